//! Who should receive whom.

use relay_proto::id::{SessionId, TrackSid};
use std::collections::BTreeSet;

/// Somebody in the meeting.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) node: usize,
    pub(super) session: SessionId,
    pub(super) voice: TrackSid,
    pub(super) camera: TrackSid,
    pub(super) muted: bool,
}

/// The truth about the meeting.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) people: Vec<Person>,
    pub(super) dead: BTreeSet<usize>,
    pub(super) cut: BTreeSet<(usize, usize)>,
}

impl Model {
    /// Whether media flows from one node to another.
    fn reaches(&self, from: usize, to: usize) -> bool {
        from == to || !self.cut.contains(&(from.min(to), from.max(to)))
    }

    /// Every (viewer, track) that should have packets.
    pub(super) fn expected(&self) -> BTreeSet<(SessionId, TrackSid)> {
        let mut expected = BTreeSet::new();
        for viewer in &self.people {
            for other in &self.people {
                if viewer.session == other.session || !self.reaches(other.node, viewer.node) {
                    continue;
                }
                expected.insert((viewer.session, other.camera.clone()));
                if !other.muted {
                    expected.insert((viewer.session, other.voice.clone()));
                }
            }
        }
        expected
    }
}
