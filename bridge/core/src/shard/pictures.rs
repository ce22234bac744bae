//! Which layer of each picture every viewer gets: feedback to its estimator, its wishes to the allocator, the choice
//! to its legs, padding to its path.

use super::ShardCore;
use super::io::ShardFact;
use super::transmit::Transmit;
use crate::allocation::{self, Class, OperatingPoint, Request, TEMPORAL_STEPS, allocate};
use crate::bandwidth::{Arrivals, BandwidthEstimator as _};
use crate::forward::leg::Leg;
use crate::forward::track::Track;
use crate::room::Room;
use relay_proto::id::{Layer, MAX_LAYERS};
use relay_proto::room::MediaKind;
use relay_proto::session::PictureState;
use relay_proto::unit::Bitrate;
use std::time::{Duration, Instant};

/// An estimate that falls below this part of what it was is acted on at the next tick, in hundredths.
const CRAMPED_PERCENT: u64 = 95;
/// Layers in use that take more than this part of the estimate are let go of at once, in hundredths: waiting for a
/// smaller one's keyframe would cost sound.
const OVERFLOW_PERCENT: u64 = 130;
/// A picture that has no room for this long is said to be paused. A shorter time is a picture that comes.
const PAUSED_AFTER: Duration = Duration::from_secs(1);

/// A picture that somebody wants.
#[derive(Clone, Copy, Debug)]
struct Wish {
    viewer: u32,
    track: u32,
    leg: u32,
    request: Request,
}

/// Lists that are reused from one review to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    wishes: Vec<Wish>,
    requests: Vec<Request>,
    chosen: Vec<Option<OperatingPoint>>,
    changed: Vec<u32>,
}

impl ShardCore {
    /// A viewer tells what became of its packets.
    pub(super) fn arrivals_of(&mut self, now: Instant, slot: u32, arrivals: &Arrivals) {
        let member = &mut self.members[slot as usize];
        let Bitrate(before) = member.path.estimate();
        member.path.on_reports(now, arrivals);
        member.quality.count_arrivals(now, arrivals);
        member.cramped |= member.path.estimate().0 < before * CRAMPED_PERCENT / 100;
    }

    /// Chooses the layers of everybody (at a review), or of those whose path has become narrower.
    pub(super) fn choose_layers(&mut self, now: Instant, everybody: bool) {
        if everybody {
            for (_, track) in &mut self.tracks {
                track.roll_rates(now);
                track.class = class_of(track, &self.rooms[track.identity.room as usize]);
            }
        } else if !self.members.iter().any(|(_, member)| member.cramped) {
            return;
        }
        let mut scratch = std::mem::take(&mut self.allocating);
        self.collect_wishes(now, everybody, &mut scratch.wishes);
        for (_, member) in &mut self.members {
            if everybody || member.cramped {
                // Whoever wishes for nothing is not among the wishes.
                member.cramped = false;
                member.wanted = Bitrate(0);
            }
        }
        scratch.changed.clear();
        for of_viewer in scratch.wishes.chunk_by(|a, b| a.viewer == b.viewer) {
            scratch.requests.clear();
            scratch.requests.extend(of_viewer.iter().map(|wish| wish.request));
            let member = &mut self.members[of_viewer[0].viewer as usize];
            member.wanted = allocation::needed(&scratch.requests);
            let Bitrate(estimate) = member.path.estimate();
            allocate(Bitrate(estimate), &scratch.requests, &mut scratch.chosen);
            self.apply(now, of_viewer, &scratch.chosen, &mut scratch.changed);
            self.let_go(of_viewer, estimate);
            self.tell_paused(now, of_viewer);
        }
        scratch.changed.sort_unstable();
        scratch.changed.dedup();
        for &slot in &scratch.changed {
            self.tracks[slot as usize].retarget(now);
            self.request_keyframes(now, slot);
            self.tell_demand(slot);
        }
        self.allocating = scratch;
    }

    /// All wishes for pictures whose arrivals are reported, viewer by viewer. Cost: every leg once, and a sort.
    fn collect_wishes(&self, now: Instant, everybody: bool, wishes: &mut Vec<Wish>) {
        wishes.clear();
        for (slot, track) in &self.tracks {
            if track.kind() == MediaKind::Audio || track.muted {
                continue;
            }
            // What does not come for want of room on a link takes none here.
            let (rates, offered) = match track.offered() {
                Some(offered) => (track.rates(), offered),
                None => ([[0; TEMPORAL_STEPS]; MAX_LAYERS], Layer(0)),
            };
            for (at, leg) in (0..).zip(&track.legs) {
                let member = &self.members[leg.session as usize];
                if !(everybody || member.cramped) || !member.rtc.reports_arrivals() || !leg.is_numberable() {
                    continue;
                }
                let Some(max) = leg.choice.wish() else {
                    continue;
                };
                let allowance = leg.choice.allowance();
                let request = Request {
                    class: track.class,
                    max: max.min(offered),
                    rates,
                    held: allowance.point,
                    settled: allowance.is_first
                        || allowance
                            .changed_at
                            .is_none_or(|at| now.saturating_duration_since(at) >= allocation::SETTLE),
                };
                wishes.push(Wish {
                    viewer: leg.session,
                    track: slot as u32,
                    leg: at,
                    request,
                });
            }
        }
        wishes.sort_unstable_by_key(|wish| (wish.viewer, wish.track));
    }

    fn leg_of(&mut self, wish: &Wish) -> &mut Leg {
        &mut self.tracks[wish.track as usize].legs[wish.leg as usize]
    }

    fn apply(
        &mut self,
        now: Instant,
        wishes: &[Wish],
        chosen: &[Option<OperatingPoint>],
        changed: &mut Vec<u32>,
    ) {
        for (wish, point) in wishes.iter().zip(chosen) {
            if wish.request.held_of_use() != *point {
                self.leg_of(wish).choice.allow(*point, now);
                changed.push(wish.track);
            }
        }
    }

    /// Where what is still being sent overflows the path, larger layers stop at once.
    fn let_go(&mut self, wishes: &[Wish], estimate: u64) {
        let in_use = wishes.iter().map(|wish| {
            let current = self.tracks[wish.track as usize].legs[wish.leg as usize]
                .choice
                .in_use();
            current.map_or(0, |point| point.of(&wish.request.rates))
        });
        if in_use.sum::<u64>() > estimate * OVERFLOW_PERCENT / 100 {
            for wish in wishes {
                self.leg_of(wish).choice.stop_above_allowance();
            }
        }
    }

    fn tell_paused(&mut self, now: Instant, wishes: &[Wish]) {
        let mut news = Vec::new();
        let member = &mut self.members[wishes[0].viewer as usize];
        for wish in wishes {
            let track = &self.tracks[wish.track as usize];
            let leg = &track.legs[wish.leg as usize];
            let allowance = leg.choice.allowance();
            let withheld_since = track.withheld_since();
            let long = withheld_since
                .or(allowance.changed_at)
                .is_none_or(|at| now.saturating_duration_since(at) >= PAUSED_AFTER);
            let told = member.paused.contains(&leg.track);
            let paused = match allowance.point.filter(|_| withheld_since.is_none()) {
                None if long && !told => member.paused.insert(leg.track.clone()),
                Some(_) if told => !member.paused.remove(&leg.track),
                _ => continue,
            };
            news.push(PictureState {
                participant: track.identity.participant.clone(),
                track: leg.track.clone(),
                paused,
            });
        }
        if !news.is_empty() {
            let session = member.session;
            self.facts.push_back(ShardFact::PicturesPaused {
                session,
                pictures: news,
            });
        }
    }

    /// Sends the padding that is due on a viewer's path.
    pub(super) fn pad(&mut self, now: Instant, slot: u32) {
        let member = &mut self.members[slot as usize];
        let Some(bytes) = member
            .path
            .poll_padding(now, member.wanted, member.rtc.sent_bytes())
        else {
            return;
        };
        let Some(to) = member.rtc.remote_addr() else {
            return;
        };
        let of_pictures = member
            .downlinks
            .iter()
            .filter(|section| section.rtx_ssrc.is_some());
        let tracks = of_pictures.filter_map(|section| self.track_slots.get(&section.track));
        for &track in tracks {
            let legs = &mut self.tracks[track as usize].legs;
            let Some(leg) = legs.iter_mut().find(|leg| leg.session == slot) else {
                continue;
            };
            let Some(mut outgoing) = member.rtc.outgoing(now) else {
                return;
            };
            let mut padding = Vec::new();
            if let Some(segment) = leg.write_padding(bytes, &mut outgoing, &mut padding) {
                self.counters.padding_bytes_out += padding.len() as u64;
                let transmit = Transmit {
                    to,
                    segment_bytes: (padding.len() > segment).then_some(segment),
                    is_picture: true,
                };
                self.repairs.push_back((transmit, padding));
                return;
            }
        }
    }
}

fn class_of(track: &Track, room: &Room) -> Class {
    if track.identity.picture.is_screen {
        Class::Screen
    } else if room.speakers.is_speaking(&track.identity.participant) {
        Class::Speaker
    } else {
        Class::Other
    }
}
