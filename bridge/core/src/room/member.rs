//! One client of a room: its transport, what it publishes, and what it wants to receive.

use super::quality::QualityMeter;
use super::redundancy::Redundancy;
use super::repaired::Repaired;
use crate::bandwidth::Estimator;
use crate::rtc::{Downlink, Session};
use relay_proto::id::{Identity, Layer, ParticipantSid, SessionId, TrackSid};
use relay_proto::session::{AnnouncedTrack, TrackWish};
use relay_proto::unit::Bitrate;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Changes of a room's tracks within this time become one new offer.
const DEBOUNCE: Duration = Duration::from_millis(60);
/// An offer names every section, so a client that holds many is asked the less often: between two offers lies this much
/// for each section. What a crowd that comes, goes or changes over costs a client, and us for it, is bounded so (here some 4 µs
/// a section; browsers take far longer). In a room of six nobody waits longer than [`DEBOUNCE`]; in one of sixty (118 sections) the first
/// change after a rest is answered as fast, and what follows it within 0.6 s is answered together, unless it is about somebody
/// whom the client hears or sees.
const APART_PER_SECTION: Duration = Duration::from_millis(5);
/// However many sections it holds, a client waits no longer than this for what has changed.
const MOST_APART: Duration = Duration::from_secs(1);
/// Longest time in which nobody looks at a client that only watches: its probes begin that much later, and what is
/// judged once a second is judged that much later.
const REST: Duration = Duration::from_millis(40);
/// A client that was asked for an offer is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// What a member may do.
#[derive(Clone, Copy, Debug)]
pub struct Rights {
    /// Send tracks.
    pub publish: bool,
    /// Receive tracks.
    pub subscribe: bool,
    /// Wants every track without asking.
    pub auto_subscribe: bool,
}

/// Whether the client has been asked for a new offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// Nothing to ask for.
    Settled,
    /// Something has changed; ask at this time.
    Due(Instant),
    /// Asked; no offer yet.
    Asked(Instant),
}

/// One client of a room.
#[derive(Debug)]
pub struct Member {
    /// Its session.
    pub session: SessionId,
    /// Slot of its room.
    pub room: u32,
    /// Who it is.
    pub participant: ParticipantSid,
    /// By whom it is named in audiences.
    pub identity: Identity,
    /// What it may do.
    pub rights: Rights,
    /// We offer on this transport: it is a client's second one, which only receives.
    pub answers: bool,
    /// Its transport.
    pub rtc: Session,
    /// Tracks it has announced, bound or not.
    pub announced: Vec<AnnouncedTrack>,
    /// Track slot of each of its uplinks, in the order of the last negotiation.
    pub uplinks: Vec<u32>,
    /// What it receives since the last negotiation.
    pub downlinks: Vec<Downlink>,
    /// Receiving sections without a track: (audio, video).
    pub free_sections: (u32, u32),
    /// Has offered, or answered an offer of ours, at least once.
    pub has_offered: bool,
    /// Its address has changed since the last tick.
    pub has_moved: bool,
    /// Repairs it may still get in this tick.
    pub repairs_left: u32,
    /// Media packets that are still taken from it in this tick.
    pub packets_left: u32,
    /// Until when time brings nothing new to it, unless something else stirs it; none: look at the next tick.
    rests_until: Option<Instant>,
    /// That it sends too many has been logged.
    pub has_flooded: bool,
    /// What it has been sent again lately.
    pub repaired: Repaired,
    /// How wide its path is.
    pub path: Estimator,
    /// How good its connection is.
    pub quality: QualityMeter,
    /// Whether its sound repeats itself.
    pub redundancy: Redundancy,
    /// How wide its path would have to be for all it wishes.
    pub wanted: Bitrate,
    /// Its path has become narrower, or its wishes others, since its layers were chosen.
    pub cramped: bool,
    /// Tracks of which it has been told that there is no room for them.
    pub paused: BTreeSet<TrackSid>,
    /// Tracks that ended while a section still carried them. Until that section has been answered without them, a
    /// track of the same id gets none: its packets would use numbers of the old stream again.
    ended: BTreeSet<TrackSid>,
    /// Of those: the ones that our offer, which waits for its answer, no longer carries.
    leaving: BTreeSet<TrackSid>,
    subscriptions: BTreeMap<TrackSid, bool>,
    wishes: BTreeMap<TrackSid, TrackWish>,
    asking: Asking,
    /// When it was asked for an offer, or sent one, last.
    negotiated_at: Option<Instant>,
}

impl Member {
    /// A client that has not offered yet.
    #[must_use]
    pub fn new(
        session: SessionId,
        room: u32,
        (participant, identity): (ParticipantSid, Identity),
        rights: Rights,
        rtc: Session,
    ) -> Self {
        Self {
            session,
            room,
            participant,
            identity,
            rights,
            answers: false,
            rtc,
            announced: Vec::new(),
            uplinks: Vec::new(),
            downlinks: Vec::new(),
            free_sections: (0, 0),
            has_offered: false,
            has_moved: false,
            repairs_left: 0,
            packets_left: 0,
            rests_until: None,
            has_flooded: false,
            repaired: Repaired::default(),
            path: Estimator::default(),
            quality: QualityMeter::default(),
            redundancy: Redundancy::default(),
            wanted: Bitrate(0),
            cramped: false,
            paused: BTreeSet::new(),
            ended: BTreeSet::new(),
            leaving: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            wishes: BTreeMap::new(),
            asking: Asking::Settled,
            negotiated_at: None,
        }
    }

    /// Whether it wants a track of somebody else, and may have it.
    #[must_use]
    pub fn wants(&self, track: &TrackSid) -> bool {
        self.rights.subscribe
            && !self.ended.contains(track)
            && !self.leaving.contains(track)
            && self
                .subscriptions
                .get(track)
                .copied()
                .unwrap_or(self.rights.auto_subscribe)
    }

    /// Sets an explicit subscription; false where `max` of them are held already.
    pub fn set_subscription(&mut self, track: TrackSid, wanted: bool, max: usize) -> bool {
        if self.subscriptions.len() >= max && !self.subscriptions.contains_key(&track) {
            return false;
        }
        self.subscriptions.insert(track, wanted);
        true
    }

    /// What it wants of a track: everything, until it says otherwise.
    #[must_use]
    pub fn wish(&self, track: &TrackSid) -> TrackWish {
        const EVERYTHING: TrackWish = TrackWish {
            enabled: true,
            max_layer: Layer(2),
        };
        self.wishes.get(track).copied().unwrap_or(EVERYTHING)
    }

    /// Sets what it wants of a track; false where `max` wishes are held already.
    pub fn set_wish(&mut self, track: TrackSid, wish: TrackWish, max: usize) -> bool {
        if self.wishes.len() >= max && !self.wishes.contains_key(&track) {
            return false;
        }
        self.wishes.insert(track, wish);
        true
    }

    /// A track is gone: forgets what was said about it.
    pub fn track_ended(&mut self, track: &TrackSid) {
        self.subscriptions.remove(track);
        self.paused.remove(track);
        self.wishes.remove(track);
    }

    /// A track it received is gone, or not for it any more: keeps its section from serving a namesake.
    pub fn section_ended(&mut self, track: &TrackSid) {
        self.ended.insert(track.clone());
    }

    /// Something has happened to it: it is looked at with the next tick.
    pub const fn stir(&mut self) {
        self.rests_until = None;
    }

    /// Whether the tick at `now` may pass it over.
    #[must_use]
    pub fn is_resting(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    /// Lets it rest after a look. Whoever sends is looked at with every tick, because arrivals start timers, and so is
    /// whoever is being probed or not connected yet; to those who only watch most ticks bring nothing (measured: they
    /// were 6 % of a shard's time at fifty viewers).
    pub fn rest(&mut self, now: Instant) {
        self.rests_until = if self.rtc.is_connected()
            && self.uplinks.is_empty()
            && !self.path.is_probing()
            && !self.has_moved
        {
            let due = [self.rtc.poll_timeout(), self.asking_due()];
            due.into_iter().flatten().chain([now + REST]).min()
        } else {
            None
        };
    }

    /// What it receives may have to change: ask for an offer soon.
    pub fn tracks_changed(&mut self, now: Instant) {
        if self.has_offered && self.asking == Asking::Settled {
            let apart = (APART_PER_SECTION * self.sections()).min(MOST_APART);
            let after_last = self.negotiated_at.map(|last| last + apart);
            let due = now + DEBOUNCE;
            self.asking = Asking::Due(after_last.map_or(due, |after| after.max(due)));
            self.stir();
        }
    }

    /// The same where somebody heard or seen just now is missed by it: that is not kept waiting, however often it is asked.
    pub fn misses_track(&mut self, now: Instant) {
        self.tracks_changed(now);
        if let Asking::Due(at) = self.asking {
            self.asking = Asking::Due(at.min(now + DEBOUNCE));
            self.stir();
        }
    }

    /// How many sections it receives on.
    #[must_use]
    pub fn sections(&self) -> u32 {
        u32::try_from(self.downlinks.len()).unwrap_or(u32::MAX)
    }

    /// The client has offered and was answered; whatever it was asked for is done. A track that came back under an
    /// ended one's id is looked at again.
    pub fn answered(&mut self, now: Instant) {
        self.has_offered = true;
        self.negotiated_at = Some(now);
        self.asking = Asking::Settled;
        if !self.ended.is_empty() {
            self.ended.clear();
            self.tracks_changed(now);
        }
    }

    /// An offer of ours is on its way.
    pub fn offered(&mut self, now: Instant) {
        self.asking = Asking::Asked(now);
        self.negotiated_at = Some(now);
        self.leaving = std::mem::take(&mut self.ended);
    }

    /// The client has answered our offer: what has changed since that was made is looked at next.
    pub fn accepted(&mut self, now: Instant) {
        self.has_offered = true;
        self.leaving.clear();
        self.asking = Asking::Settled;
        self.tracks_changed(now);
    }

    /// The client has just been asked for an offer.
    pub const fn asked(&mut self, now: Instant) {
        self.asking = Asking::Asked(now);
    }

    /// Whether to look now at what must be asked for.
    #[must_use]
    pub fn is_asking_due(&self, now: Instant) -> bool {
        self.asking_due().is_some_and(|at| at <= now)
    }

    fn asking_due(&self) -> Option<Instant> {
        match self.asking {
            Asking::Settled => None,
            Asking::Due(at) => Some(at),
            Asking::Asked(at) => Some(at + ASK_AGAIN),
        }
    }

    /// There is nothing to ask for after all.
    pub const fn settle(&mut self) {
        self.asking = Asking::Settled;
    }
}
