//! Who should receive whom.

use relay_proto::id::{SessionId, TrackSid};
use std::collections::{BTreeMap, BTreeSet};

/// How loud people talk (minus dBov) if nothing else is said.
pub(super) const TALK: u8 = 20;
/// Quieter than this is no voice.
const VOICE: u8 = 50;
/// Of two with no more than this between them, either may be heard.
const MARGIN: u8 = 6;

/// Somebody in the meeting.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) node: usize,
    pub(super) session: SessionId,
    pub(super) voice: TrackSid,
    pub(super) camera: TrackSid,
    pub(super) muted: bool,
    /// How loud it talks, in minus dBov.
    pub(super) level: u8,
    pub(super) identity: String,
    pub(super) screen: Option<TrackSid>,
}

/// The truth about the meeting.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) people: Vec<Person>,
    /// How many sounds are forwarded at once; 0: all.
    pub(super) loudest: usize,
    /// How many nodes there are, dead ones included.
    pub(super) nodes: usize,
    pub(super) dead: BTreeSet<usize>,
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Links that lose more than usual.
    pub(super) degraded: BTreeSet<(usize, usize)>,
    /// Nodes that take nobody new.
    pub(super) draining: BTreeSet<usize>,
}

impl Model {
    /// Whether a way leads from one node to another: media takes it, however long it is.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        let mut reached = BTreeSet::from([from]);
        for _ in 0..self.nodes {
            let next: Vec<usize> = (0..self.nodes)
                .filter(|node| !self.dead.contains(node))
                .filter(|node| {
                    reached
                        .iter()
                        .any(|known| !self.cut.contains(&(*known.min(node), *known.max(node))))
                })
                .collect();
            reached.extend(next);
        }
        reached.contains(&to)
    }

    /// Whom the clients of a node see.
    pub(super) fn seen_on(&self, node: usize) -> BTreeSet<String> {
        let seen = self
            .people
            .iter()
            .filter(|person| self.reaches(person.node, node));
        seen.map(|person| person.identity.clone()).collect()
    }

    /// Every (viewer, track) that must have packets.
    pub(super) fn expected(&self) -> BTreeSet<(SessionId, TrackSid)> {
        self.pairs(|voice| {
            let rivals = self.others(voice, |other| other.level <= voice.level.saturating_add(MARGIN));
            self.loudest == 0 || (voice.level <= VOICE && rivals < self.loudest)
        })
    }

    /// Every (viewer, track) that may have packets.
    pub(super) fn possible(&self) -> BTreeSet<(SessionId, TrackSid)> {
        self.pairs(|voice| {
            let louder = |other: &Person| other.level <= VOICE && other.level + MARGIN < voice.level;
            self.loudest == 0 || self.others(voice, louder) < self.loudest
        })
    }

    fn others(&self, voice: &Person, is: impl Fn(&Person) -> bool) -> usize {
        let others = self
            .people
            .iter()
            .filter(|other| other.session != voice.session && !other.muted);
        others.filter(|other| is(other)).count()
    }

    fn pairs(&self, heard: impl Fn(&Person) -> bool) -> BTreeSet<(SessionId, TrackSid)> {
        let mut pairs = BTreeSet::new();
        for viewer in &self.people {
            for other in &self.people {
                if viewer.session == other.session || !self.reaches(other.node, viewer.node) {
                    continue;
                }
                pairs.insert((viewer.session, other.camera.clone()));
                pairs.extend(other.screen.clone().map(|screen| (viewer.session, screen)));
                if !other.muted && heard(other) {
                    pairs.insert((viewer.session, other.voice.clone()));
                }
            }
        }
        pairs
    }

    /// Nobody has more sounds than are forwarded at once.
    pub(super) fn assert_few_sounds(
        &self,
        seed: u64,
        after: &str,
        received: &BTreeSet<(SessionId, TrackSid)>,
    ) {
        if self.loudest == 0 {
            return;
        }
        let mut sounds: BTreeMap<SessionId, usize> = BTreeMap::new();
        for (viewer, track) in received {
            let is_voice = self.people.iter().any(|person| person.voice == *track);
            *sounds.entry(*viewer).or_default() += usize::from(is_voice);
        }
        for (viewer, sounds) in sounds {
            assert!(
                sounds <= self.loudest,
                "seed {seed}: after \"{after}\": {viewer} has {sounds} sounds"
            );
        }
    }
}
