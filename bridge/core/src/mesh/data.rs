//! Messages among participants: to the data channels here, and once to each node that homes an addressee.
//!
//! They travel the ordered stream of the room, after everything their sender did before, so that a publisher's
//! messages keep their order and never arrive from somebody the receiver has not heard of.

use super::MeshCore;
use super::audience::needed_for;
use super::room::Room;
use super::weight::Weight;
use crate::shard::io::ShardCommand;
use bytes::Bytes;
use relay_proto::id::{Identity, NodeId, ParticipantSid, RoomName, SessionId};
use relay_proto::room::{DataMessage, RoomEvent, RoomMessage};
use std::collections::{BTreeMap, BTreeSet};
use tracing::{debug, warn};

impl MeshCore {
    /// `sequence` is the sender's number of a reliable message; 0 where it has none.
    pub(super) fn on_send_data(&mut self, session: SessionId, mut message: DataMessage, sequence: u32) {
        let Some(room) = self.room_of(session) else {
            self.note_no_session(session);
            return;
        };
        let Some(record) = room.record_of(session) else {
            return;
        };
        if !record.permission.can_publish_data {
            self.counters.commands_refused += 1;
            debug!(%session, "data refused: the token does not allow it");
            return;
        }
        message.from = record.sid.clone();
        let name = room.name.clone();
        self.deliver_here(&name, Some(session), &message, sequence);
        self.send_to_hosts(&name, message, sequence);
    }

    /// Hands a message to the addressed sessions of this node but its sender's.
    fn deliver_here(
        &mut self,
        name: &RoomName,
        sender: Option<SessionId>,
        message: &DataMessage,
        sequence: u32,
    ) {
        let max_bytes = self.config.limits.max_history_bytes;
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let payload = Bytes::copy_from_slice(&message.payload);
        // Of somebody who is not shown nothing is kept: nobody would tell when to forget it.
        let home = room.roster.record(&message.from).map(|record| record.home);
        let mut remembered = None;
        if message.reliable
            && sequence > 0
            && let Some(home) = home
        {
            let history = room.histories.entry(message.from.clone()).or_default();
            let before = history.bytes();
            history.note(sequence, &message.to, payload.clone(), max_bytes);
            remembered = (home != self.us).then_some((home, before, history.bytes()));
        }
        for (session, member) in &room.members {
            let identity = room.roster.record(&member.sid).map(|record| &record.identity);
            let addressed = message.to.is_empty() || identity.is_some_and(|who| message.to.contains(who));
            if addressed && Some(*session) != sender {
                let command = ShardCommand::SendData {
                    session: *session,
                    reliable: message.reliable,
                    payload: payload.clone(),
                };
                self.out.shard(member.shard, command);
            }
        }
        if let Some((home, before, after)) = remembered {
            self.weigh_history(name, home, &message.from, (before, after));
        }
    }

    /// Counts what is remembered of somebody on another node; where that node is over its limit, it is not.
    fn weigh_history(
        &mut self,
        name: &RoomName,
        home: NodeId,
        sender: &ParticipantSid,
        (before, after): (usize, usize),
    ) {
        let weights = (Weight::of_bytes(before), Weight::of_bytes(after));
        if self.too_heavy(name, home, weights).is_none() {
            return self.weigh(name, home, weights.0, weights.1);
        }
        self.counters.records_refused += 1;
        if let Some(room) = self.rooms.get_mut(name) {
            room.histories.remove(sender);
        }
        self.weigh(name, home, weights.0, Weight::default());
    }

    fn send_to_hosts(&mut self, name: &RoomName, message: DataMessage, sequence: u32) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let homes = homes_of(room, &message.to);
        let plain = RoomEvent::DataSent(message.clone());
        let numbered = RoomEvent::ReliableSent { message, sequence };
        let epoch = room.epoch;
        let wanted = |reader: &&NodeId| homes.as_ref().is_none_or(|homes| homes.contains(*reader));
        let readers: Vec<NodeId> = room.readers.keys().filter(wanted).copied().collect();
        for reader in readers {
            let features = self.features_of(reader).unwrap_or_default();
            let event = if sequence > 0 && features.has(needed_for(&numbered)) {
                &numbered
            } else {
                &plain
            };
            let message = RoomMessage {
                room: name.clone(),
                epoch,
                event: event.clone(),
            };
            self.tell_room_message(reader, message);
        }
    }

    /// A message of somebody on another node, for our sessions only.
    pub(super) fn on_peer_data(
        &mut self,
        from: NodeId,
        name: &RoomName,
        message: DataMessage,
        sequence: u32,
    ) {
        let sender = self
            .rooms
            .get(name)
            .and_then(|room| room.roster.record(&message.from));
        // A sender nobody knows is hidden; one who is known must be the peer's.
        if sender.is_some_and(|sender| sender.home != from) {
            self.counters.data_refused += 1;
            if self.counters.data_refused == 1 {
                warn!(room = %name, peer = %from, participant = %message.from, "data refused: its sender is not on that peer");
            }
            return;
        }
        self.deliver_here(name, None, &message, sequence);
    }

    /// Sends a client again what it has missed, as far as it is remembered: by number, of each sender it names. What it has
    /// had meanwhile all the same, it drops by that number.
    pub(super) fn on_replay_data(&mut self, session: SessionId, after: &[(ParticipantSid, u32)]) {
        let Some(room) = self.room_of(session) else {
            self.note_no_session(session);
            return;
        };
        let Some(viewer) = room.record_of(session).map(|record| record.identity.clone()) else {
            return;
        };
        // Each sender once, however often it is named.
        let after: BTreeMap<&ParticipantSid, u32> =
            after.iter().map(|(sender, last)| (sender, *last)).collect();
        let missed: Vec<Bytes> = after
            .into_iter()
            .filter_map(|(sender, last)| Some((room.histories.get(sender)?, last)))
            .flat_map(|(history, last)| history.after(last, &viewer))
            .collect();
        debug!(%session, messages = missed.len(), "reliable messages sent again");
        for payload in missed {
            let command = ShardCommand::SendData {
                session,
                reliable: true,
                payload,
            };
            self.pass_to_shard(session, command);
        }
    }
}

/// The nodes that home the addressees; none means every node, also where an addressee is unknown (hidden).
fn homes_of(room: &Room, to: &[Identity]) -> Option<BTreeSet<NodeId>> {
    if to.is_empty() {
        return None;
    }
    let mut homes = BTreeSet::new();
    for identity in to {
        let before = homes.len();
        homes.extend(room.roster.with_identity(identity).map(|record| record.home));
        if homes.len() == before && room.roster.newest_of(identity).is_none() {
            return None;
        }
    }
    Some(homes)
}
