//! Who is in a conference on this shard, and what each of them wants to receive.
//!
//! [`Room`] is an index: its members, its tracks (local and remote), and the nodes its remote tracks come from.
//! [`member::Member`] is one client with its subscriptions. [`speaker`] decides who is speaking, [`loudest`] who is heard,
//! [`quality`] how good a connection is, [`redundancy`] whose sound repeats itself. Packets never pass through here.

pub mod loudest;
pub mod member;
pub mod quality;
pub mod redundancy;
pub mod repaired;
pub mod speaker;
mod window;

use crate::relay::ingress::Origin;
use loudest::Loudest;
use relay_proto::id::{Epoch, Identity, NodeId, ParticipantSid, RoomName, TrackSid};
use relay_proto::room::Audience;
use relay_proto::seal::Seal;
use speaker::SpeakerDetector;
use std::collections::BTreeMap;

/// A conference on this shard.
#[derive(Debug)]
pub struct Room {
    /// Its name.
    pub name: RoomName,
    /// This node's epoch in it.
    pub epoch: Epoch,
    /// Seals what this node originates.
    pub seal: Seal,
    /// Session slots, in order of arrival.
    pub members: Vec<u32>,
    /// Track slots, in order of arrival.
    pub tracks: Vec<u32>,
    /// Other nodes that host it.
    pub origins: BTreeMap<NodeId, Origin>,
    /// Publishers that not everybody may receive; as many as the node's control allows.
    pub audiences: BTreeMap<ParticipantSid, Audience>,
    /// Who is speaking.
    pub speakers: SpeakerDetector,
    /// Which sounds are forwarded, to viewers and to links.
    pub loudest: Loudest,
}

impl Room {
    /// An empty room, which forwards at most `loudest_sounds` sounds at once (0: all).
    #[must_use]
    pub fn new(name: RoomName, epoch: Epoch, seal: Seal, loudest_sounds: usize) -> Self {
        Self {
            name,
            epoch,
            seal,
            members: Vec::new(),
            tracks: Vec::new(),
            origins: BTreeMap::new(),
            audiences: BTreeMap::new(),
            speakers: SpeakerDetector::default(),
            loudest: Loudest::new(loudest_sounds),
        }
    }

    /// Whether `viewer` may receive a track of `publisher`.
    #[must_use]
    pub fn admits(&self, viewer: &Identity, publisher: &ParticipantSid, track: &TrackSid) -> bool {
        self.audiences
            .get(publisher)
            .is_none_or(|audience| audience.admits(viewer, track))
    }
}
