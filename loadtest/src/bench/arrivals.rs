//! What the senders of a scenario send and when, for a floor that is offered the same. Pure.
//!
//! The people, their sources, who talks and who looks at what come from the plan, the frames from the traces that light
//! clients replay, and the times from the run itself: a client begins all its sources when its media begin to flow, and
//! keeps to that beat. Which frame of its trace a sender is at is not taken over (a keyframe request would move it). Of
//! pictures that fewer than half of all people look at nothing is passed on: the floor rather does too little.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{LegKey, Source};
use crate::floor::arrivals::Departure;
use crate::scenario::{Plan, What};
use crate::trace::{Frame, Trace, TraceKind};
use crate::worker::wanted_layer;

/// A silent speaker sends a packet of comfort noise each so many frames (400 ms).
const SILENCE_FRAMES: usize = 20;
/// Senders are at different frames of the same trace.
const FRAMES_APART: usize = 37;

/// Everything that leaves senders from `from` on, a time after the start of the run, for `length`. `began` says when media
/// of each sender began to flow, by its number; who is not named sends nothing.
pub(super) fn departures(
    plan: &Plan,
    began: &BTreeMap<u32, Duration>,
    from: Duration,
    length: Duration,
) -> Vec<Departure> {
    let cameras: Vec<LegKey> = keys(plan, Source::Camera);
    let mut all = Vec::new();
    for (person, since) in plan
        .participants
        .iter()
        .filter_map(|one| Some((one, *began.get(&one.id)?)))
    {
        for source in &person.sources {
            for (layer, kind) in source.traces().into_iter().enumerate() {
                let picture = source.source == Source::Camera;
                let beat = Beat::new(kind, since, person.id as usize * FRAMES_APART);
                for (at, place) in beat.within(from, length) {
                    let frame = match source.source {
                        Source::Audio if !talks(plan, person.id, at) => {
                            if place % SILENCE_FRAMES != 0 {
                                continue;
                            }
                            &Trace::of(TraceKind::Silence).frames()[0]
                        }
                        _ => beat.frame(place),
                    };
                    all.push(Departure {
                        at: at - from,
                        sender: person.id as usize,
                        packets: frame.packets.iter().map(|packet| packet.len()).collect(),
                        wanted: !picture || is_watched(plan, &cameras, person.id, layer),
                        counts: picture,
                    });
                }
            }
        }
    }
    // Stable: what one sender sends at once stays together, the smallest layer first, as light clients do.
    all.sort_by_key(|departure| departure.at);
    all
}

/// The times of one stream.
struct Beat {
    trace: &'static Trace,
    since: Duration,
    period: Duration,
    offset: usize,
}

impl Beat {
    fn new(kind: TraceKind, since: Duration, offset: usize) -> Self {
        let trace = Trace::of(kind);
        let ticks = trace.frames()[0].duration_ticks;
        Self {
            trace,
            since,
            period: Duration::from_secs(1) * ticks / trace.codec().clock_rate_hz(),
            offset,
        }
    }

    fn frame(&self, place: usize) -> &'static Frame {
        let frames = self.trace.frames();
        &frames[(place + self.offset) % frames.len()]
    }

    /// Times of frames, each with its number.
    fn within(&self, from: Duration, length: Duration) -> impl Iterator<Item = (Duration, usize)> {
        let (since, period) = (self.since, self.period);
        let first = from
            .saturating_sub(since)
            .as_nanos()
            .div_ceil(period.as_nanos().max(1)) as u32;
        (first..)
            .map(move |number| (since + period * number, number as usize))
            .take_while(move |(at, _)| *at < from + length)
    }
}

fn keys(plan: &Plan, source: Source) -> Vec<LegKey> {
    let sends = |one: &&crate::scenario::Planned| one.sources.iter().any(|setup| setup.source == source);
    let key = |one: &crate::scenario::Planned| LegKey {
        sender: one.id,
        source: source.number(),
    };
    plan.participants.iter().filter(sends).map(key).collect()
}

/// Whether at least half of the people look at this layer of a camera.
fn is_watched(plan: &Plan, cameras: &[LegKey], sender: u32, layer: usize) -> bool {
    let key = LegKey {
        sender,
        source: Source::Camera.number(),
    };
    let watching = plan.participants.iter().filter(|viewer| {
        let others: Vec<LegKey> = cameras
            .iter()
            .copied()
            .filter(|other| other.sender != viewer.id)
            .collect();
        let wanted = viewer.layout.picture(key, &others);
        viewer.id != sender && wanted.is_some_and(|picture| usize::from(wanted_layer(picture)) == layer)
    });
    watching.count() * 2 >= plan.participants.len()
}

fn talks(plan: &Plan, id: u32, at: Duration) -> bool {
    let changes = plan.events.iter().take_while(|event| event.at <= at);
    let last = changes.filter_map(|event| match event.what {
        What::Talk(who, on) if who == id => Some(on),
        _ => None,
    });
    last.last().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::forward::forward_arrivals;
    use crate::scenario::named;

    const FROM: Duration = Duration::from_secs(12);
    const LENGTH: Duration = Duration::from_secs(2);

    fn instrument() -> (Plan, BTreeMap<u32, Duration>) {
        let plan = Plan::of(&named("instrument").unwrap().scenario().unwrap()).unwrap();
        let began = (0..10).map(|id| (id, Duration::from_millis(300 + 103 * u64::from(id))));
        (plan, began.collect())
    }

    #[test]
    fn ten_senders_keep_their_beats_and_all_look_at_one_camera() {
        let (plan, began) = instrument();
        let all = departures(&plan, &began, FROM, LENGTH);
        for (id, since) in &began {
            let own = || all.iter().filter(|one| one.sender == *id as usize);
            let cameras = own().filter(|one| one.counts);
            assert_eq!(
                cameras.clone().count() % 50,
                0,
                "two seconds at 25 frames in each layer"
            );
            for one in cameras {
                assert_eq!((FROM + one.at - *since).as_micros() % 40_000, 0);
            }
            let pictures = own().filter(|one| one.counts && one.wanted).count();
            assert_eq!(pictures, if *id == 0 { 50 } else { 0 });
            let sounds = own().filter(|one| !one.counts && one.wanted).count();
            assert!((5..=100).contains(&sounds), "{sounds} packets of sound");
        }
        assert!(all.is_sorted_by_key(|one| one.at));
        let sounds = all.iter().filter(|one| !one.counts).count();
        assert!((60..400).contains(&sounds), "mostly one talks: {sounds}");
    }

    #[test]
    fn who_did_not_begin_sends_nothing_and_the_floor_takes_the_rest() {
        let (plan, mut began) = instrument();
        began.retain(|id, _| *id < 2);
        let all = departures(&plan, &began, FROM, LENGTH);
        assert!(all.iter().all(|one| one.sender < 2));
        let passed = forward_arrivals(&all, 3).unwrap();
        assert_eq!(passed.packets % 3, 0);
        assert!(passed.packets > 100);
    }
}
