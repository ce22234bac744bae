//! Whether everybody receives exactly whom they should, and sees whom they should.

use super::world::{ROOM, SIGNALLING_STEP, World};
use crate::mesh::testing::SentMedia;
use relay_proto::id::{Layer, NodeId, SessionId, TrackAlias, TrackSid};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Longest time until an event has had all its effects: a link is dialled again, a snapshot crosses, clients offer; lengths
/// are measured anew, and trees follow with the next round.
const SETTLE: Duration = Duration::from_secs(20);
/// How long is looked at who receives whom.
const WINDOW: Duration = Duration::from_secs(1);
/// How long nothing happens now and then, so that leases and rounds pass.
const CALM: Duration = Duration::from_secs(25);

/// What is not as it should be after an event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Troubles {
    /// Viewers who do not receive what they want though its origin can be reached.
    pub(super) stuck: Vec<(SessionId, TrackSid)>,
    /// What is received or shown of whom it should not be.
    pub(super) ghosts: Vec<String>,
    /// Everything else.
    pub(super) others: Vec<String>,
}

impl World {
    /// Lets an event have its effects, and tells what is still wrong after the longest time that they may take.
    pub(super) fn settle(&mut self) -> Troubles {
        if self.chance.happens(0.1) {
            self.run(CALM);
        } else if self.model.loudest > 0 {
            // Who is among the loudest is settled once all are heard of.
            self.run(WINDOW * 8);
        }
        let until = self.net.now() + SETTLE;
        loop {
            let troubles = self.look();
            if troubles == Troubles::default() || self.net.now() >= until {
                return troubles;
            }
        }
    }

    /// Compares who receives and sees whom with who should.
    fn look(&mut self) -> Troubles {
        let start = self.net.now();
        self.net.take_media();
        self.run(WINDOW);
        let media = self.net.take_media();
        let received = self.received_since(start);
        let (expected, possible) = (self.model.expected(), self.model.possible());
        let mut ghosts: Vec<String> = received
            .difference(&possible)
            .map(|(viewer, track)| format!("{viewer} receives {track}"))
            .collect();
        let mut others = self.few_copies(&media);
        self.look_at_lists(&mut ghosts, &mut others);
        Troubles {
            stuck: expected.difference(&received).cloned().collect(),
            ghosts,
            others,
        }
    }

    /// [`Self::settle`], and panics where anything is wrong.
    pub(super) fn check(&mut self, after: &str) {
        let start = self.net.now();
        let troubles = self.settle();
        let received = self.received_since(start);
        let lately = self.received_since(self.net.now() - WINDOW);
        self.model.assert_few_sounds(self.seed, after, &lately);
        assert!(
            troubles == Troubles::default(),
            "seed {}: after \"{after}\" (before: {:?}): {} received\n  not received: {:?}\n  received or shown but should \
             not be: {:?}\n  {:?}\n  replay: SIM_SEED={} cargo test -p bridge-core --features sim {}",
            self.seed,
            self.log,
            received.len(),
            troubles.stuck,
            troubles.ghosts,
            troubles.others,
            self.seed,
            self.replay,
        );
    }

    /// The clients of each node see those people who can be reached, and nobody else.
    fn look_at_lists(&self, ghosts: &mut Vec<String>, others: &mut Vec<String>) {
        for node in 0..self.names.len() {
            if !self.model.people.iter().any(|person| person.node == node) {
                continue;
            }
            let expected = self.model.seen_on(node);
            let seen = self.net.clients(node).people(&ROOM.into());
            let seen: BTreeSet<String> = seen
                .into_iter()
                .flat_map(|people| people.keys().map(ToString::to_string))
                .collect();
            let name = self.names[node];
            ghosts.extend(
                seen.difference(&expected)
                    .map(|who| format!("{name} shows {who}")),
            );
            others.extend(
                expected
                    .difference(&seen)
                    .map(|who| format!("{name} does not show {who}")),
            );
        }
    }

    /// A layer of a track comes to a node from one neighbour, each packet once but for what was lost. Not looked at where links
    /// lose much: nodes look elsewhere now and then.
    fn few_copies(&self, media: &[SentMedia]) -> Vec<String> {
        if !self.model.degraded.is_empty() {
            return Vec::new();
        }
        let mut senders: BTreeMap<(usize, NodeId, TrackAlias, Layer), BTreeSet<usize>> = BTreeMap::new();
        let mut packets: BTreeMap<_, usize> = BTreeMap::new();
        for SentMedia { from, to, header } in media {
            let stream = (*to, header.origin, header.track, header.layer);
            senders.entry(stream).or_default().insert(*from);
            *packets.entry((*from, stream, header.seq)).or_default() += 1;
        }
        let doubled = senders.into_iter().filter(|(_, senders)| senders.len() > 1);
        let mut troubles: Vec<String> = doubled
            .map(|(stream, senders)| format!("{stream:?} comes from {senders:?}"))
            .collect();
        // Half a per cent is lost each way. Each shard asks for what it misses, and twice, so times would say little.
        let again = packets.values().filter(|times| **times > 1).count();
        if again * 20 > media.len() {
            troubles.push(format!("{again} of {} were sent again", media.len()));
        }
        troubles
    }

    pub(super) fn received_since(&mut self, start: Instant) -> BTreeSet<(SessionId, TrackSid)> {
        let mut received = BTreeSet::new();
        for node in 0..self.names.len() {
            for (session, attached) in &self.net.shards(node).clients {
                for (track, heard) in &attached.client.heard {
                    if heard.at.is_some_and(|at| at > start) {
                        assert_eq!(heard.payload, track.0.as_bytes(), "the media of another track");
                        received.insert((*session, track.clone()));
                    }
                }
            }
        }
        received
    }

    /// Lets time pass; answers for how long at most any viewer of one node had nothing of any picture of another one's people.
    pub(super) fn longest_gap(&mut self, publishers: usize, viewers: usize, time: Duration) -> Duration {
        let cameras = self
            .model
            .people
            .iter()
            .filter(|person| person.node == publishers);
        let cameras: Vec<TrackSid> = cameras.map(|person| person.camera.clone()).collect();
        let began = self.net.now();
        let (mut last, mut longest) = (BTreeMap::new(), Duration::ZERO);
        while self.net.now() < began + time {
            self.run(SIGNALLING_STEP);
            let now = self.net.now();
            for (session, attached) in &self.net.shards(viewers).clients {
                for camera in &cameras {
                    let heard = attached.client.heard.get(camera).and_then(|heard| heard.at);
                    let last = last.entry((*session, camera.clone())).or_insert(began);
                    *last = heard.map_or(*last, |at| at.max(*last));
                    longest = longest.max(now.saturating_duration_since(*last));
                }
            }
        }
        longest
    }
}
