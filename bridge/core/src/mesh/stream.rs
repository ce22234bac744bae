//! The room streams: what we tell the other hosts of a room of our participants, and what they tell us of theirs.
//!
//! A stream begins with a snapshot, again on every new link and every re-opening on either side; every later
//! step travels the same ordered link. So a reader never has to guess what it missed.

use super::MeshCore;
use super::audience::{as_told_to, needed_for};
use super::publish::text_bytes;
use super::room::Origin;
use super::roster::RosterChange;
use super::weight::Weight;
use crate::shard::io::ShardCommand;
use relay_proto::id::{Epoch, NodeId, ParticipantSid, RoomName};
use relay_proto::limit::MAX_PARTICIPANTS;
use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState, RoomEvent, RoomMessage, SealKey};
use relay_proto::session::RoomChange;
use relay_proto::version::Features;
use std::collections::BTreeSet;
use tracing::{debug, info, warn};

impl MeshCore {
    /// Tells a peer of every room that both host.
    pub(super) fn tell_all_rooms(&mut self, reader: NodeId) {
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.tell_room(&room, reader);
        }
    }

    /// Tells every node that hosts it of a room.
    pub(super) fn tell_all_hosts(&mut self, room: &RoomName) {
        let mut hosts = self.living_hosts(room);
        hosts.remove(&self.us);
        for host in hosts {
            self.tell_room(room, host);
        }
    }

    /// Begins our stream of a room to a node that hosts it, where there is a way to it.
    fn tell_room(&mut self, name: &RoomName, reader: NodeId) {
        let Some(their_epoch) = self.host_epoch(reader, name) else {
            return;
        };
        if !self.rooms.contains_key(name) || !self.speaks_to(reader) {
            return;
        }
        if let Some(room) = self.rooms.get_mut(name) {
            room.readers.insert(reader, their_epoch);
        }
        self.tell_audiences(name, reader);
        let features = self.features_of(reader).unwrap_or_default();
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let mut records: Vec<ParticipantRecord> = room
            .roster
            .homed_on(self.us)
            .filter(|record| !record.permission.hidden)
            .map(|record| {
                let mut record = record.clone();
                as_told_to(features, &mut record);
                record
            })
            .collect();
        // Publishers first: the rest of a huge room follows one by one, and nobody's media shall wait for it.
        records.sort_by_key(|record| record.tracks.is_empty());
        let rest = records.split_off(snapshot_len(&records, self.config.limits.max_snapshot_bytes));
        let snapshot = RoomEvent::Snapshot {
            seal_key: room.seal_key.clone(),
            participants: records,
        };
        let upserts = rest
            .into_iter()
            .map(|record| RoomEvent::ParticipantUpserted(Box::new(record)));
        let epoch = room.epoch;
        for event in std::iter::once(snapshot).chain(upserts) {
            let room = name.clone();
            self.tell_room_message(reader, RoomMessage { room, epoch, event });
        }
        self.tell_qualities(name, reader);
    }

    /// Tells the readers of a room the newest record of one of our participants.
    pub(super) fn tell_readers_of(&mut self, room: &RoomName, record: &ParticipantRecord) {
        if !record.permission.hidden {
            self.tell_readers(room, &RoomEvent::ParticipantUpserted(Box::new(record.clone())));
        }
    }

    /// Tells the readers of a room the next step.
    pub(super) fn tell_readers(&mut self, name: &RoomName, event: &RoomEvent) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let needed = needed_for(event);
        let epoch = room.epoch;
        let readers: Vec<NodeId> = room.readers.keys().copied().collect();
        for reader in readers {
            let features = self.features_of(reader).filter(|features| features.has(needed));
            let Some(features) = features else {
                continue;
            };
            let mut event = event.clone();
            if let RoomEvent::ParticipantUpserted(record) = &mut event {
                as_told_to(features, record);
            }
            let room = name.clone();
            self.tell_room_message(reader, RoomMessage { room, epoch, event });
        }
    }

    /// A peer without link or life reads no more and wants nothing.
    pub(super) fn forget_reader(&mut self, node: NodeId) {
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.forget_reader_of(&room, node);
        }
    }

    fn forget_reader_of(&mut self, name: &RoomName, node: NodeId) {
        if let Some(room) = self.rooms.get_mut(name) {
            room.readers.remove(&node);
            // Whoever speaks of trees may want things for others, and takes back itself what it wants no more.
            let speaks = self
                .features_of(node)
                .is_some_and(|features| features.has(Features::TREES));
            if !speaks || self.link_of(node).is_none() {
                self.withdraw_demands(name, node);
            }
        }
    }

    /// A node is without a link: what others have passed on of its rooms counts from now on.
    pub(super) fn on_all_host_rows(&mut self, owner: NodeId) {
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.on_host_row(owner, &room);
        }
    }

    /// The host row of a room we may host has changed.
    pub(super) fn on_host_row(&mut self, owner: NodeId, name: &RoomName) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let heard = room.origins.get(&owner).map(|origin| origin.epoch);
        let told = room.readers.get(&owner).copied();
        let hosted = self.host_epoch(owner, name);
        if heard.is_some_and(|heard| hosted.is_none_or(|hosted| heard < hosted)) {
            self.drop_origin(name, owner, LeaveCause::ClientLeft);
        }
        if told != hosted {
            self.forget_reader_of(name, owner);
            self.tell_room(name, owner);
        }
    }

    pub(super) fn on_room_message(&mut self, from: NodeId, message: RoomMessage) {
        let RoomMessage {
            room: name,
            epoch,
            event,
        } = message;
        let Some(room) = self.rooms.get(&name) else {
            self.counters.room_messages_ignored += 1;
            return;
        };
        let known = room.origins.get(&from).map(|origin| origin.epoch);
        match event {
            RoomEvent::Snapshot {
                seal_key,
                participants,
            } if known.is_none_or(|known| known <= epoch) => {
                self.on_snapshot(from, &name, epoch, seal_key, participants);
                self.note_speaker(from, &name, epoch);
            }
            // Comes before the snapshot, so that nobody receives anything in between.
            RoomEvent::AudienceChanged {
                participant,
                audience,
            } if known.is_none_or(|known| known <= epoch) => {
                self.on_remote_audience(from, &name, epoch, participant, audience);
            }
            event if known == Some(epoch) => self.on_step(from, &name, event),
            _ => {
                self.counters.room_messages_ignored += 1;
                debug!(room = %name, peer = %from, epoch = epoch.0, "room message of another epoch ignored");
            }
        }
    }

    fn on_step(&mut self, from: NodeId, name: &RoomName, event: RoomEvent) {
        match event {
            // Only ones of an older epoch get here, and the epoch is checked.
            RoomEvent::Snapshot { .. } | RoomEvent::AudienceChanged { .. } => {
                self.counters.room_messages_ignored += 1
            }
            RoomEvent::ParticipantUpserted(record) => self.on_remote_record(from, name, *record),
            RoomEvent::ParticipantLeft { participant, cause } => {
                self.on_remote_left(from, name, &participant, cause);
                self.forget_audience(from, name, &participant);
            }
            RoomEvent::QualityChanged { participant, quality } => {
                self.on_remote_quality(from, name, participant, quality)
            }
            RoomEvent::DataSent(message) => self.on_peer_data(from, name, message, 0),
            RoomEvent::ReliableSent { message, sequence } => self.on_peer_data(from, name, message, sequence),
        }
    }

    fn on_snapshot(
        &mut self,
        from: NodeId,
        name: &RoomName,
        epoch: Epoch,
        seal_key: SealKey,
        participants: Vec<ParticipantRecord>,
    ) {
        let same_stream = self
            .rooms
            .get(name)
            .and_then(|room| room.origins.get(&from))
            .is_some_and(|origin| origin.epoch == epoch && origin.seal_key == seal_key);
        let stay: BTreeSet<&ParticipantSid> = participants
            .iter()
            .filter(|_| same_stream)
            .map(|record| &record.sid)
            .collect();
        let gone: Vec<ParticipantSid> = self
            .rooms
            .get(name)
            .into_iter()
            .flat_map(|room| room.roster.homed_on(from))
            .filter(|record| !stay.contains(&record.sid))
            .map(|record| record.sid.clone())
            .collect();
        for sid in gone {
            self.on_remote_left(from, name, &sid, LeaveCause::ClientLeft);
        }
        if !same_stream {
            self.join_origin(from, name, epoch, seal_key);
        }
        for record in participants {
            self.on_remote_record(from, name, record);
        }
        if same_stream {
            // The origin may have withdrawn our demand when it began to tell anew.
            self.resend_demands(name, from);
        }
    }

    fn join_origin(&mut self, from: NodeId, name: &RoomName, epoch: Epoch, seal_key: SealKey) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        info!(room = %name, peer = %from, epoch = epoch.0, "another node hosts the room too");
        let command = ShardCommand::JoinOrigin {
            room: name.clone(),
            origin: from,
            epoch,
            seal_key: seal_key.clone(),
        };
        room.origins.insert(from, Origin { epoch, seal_key });
        self.tell_parts(name, &command);
    }

    fn on_remote_record(&mut self, from: NodeId, name: &RoomName, mut record: ParticipantRecord) {
        record.tracks.retain(|track| track.codec.is_some());
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let known = room.roster.record(&record.sid);
        let foreign = record.home != from || known.is_some_and(|known| known.home != from);
        let is_new = known.is_none();
        let is_newer = known.is_none_or(|known| known.version < record.version);
        let weights = (Weight::of_record(known), Weight::of_record(Some(&record)));
        let why = if foreign {
            Some("it is of another node")
        } else if record.permission.hidden || record.state == ParticipantState::Disconnected {
            Some("it is hidden or gone")
        } else if record.joined_at.0 > self.latest_joining() {
            Some("it joined in the future")
        } else if !is_newer {
            return;
        } else {
            self.too_heavy(name, from, weights)
        };
        let why = why.or_else(|| {
            let full = is_new && !self.make_room_in(name, from);
            full.then_some("limits.participants_per_room is reached")
        });
        if let Some(why) = why {
            self.counters.records_refused += 1;
            if self.counters.records_refused == 1 {
                warn!(room = %name, peer = %from, "participant of a peer refused: {why}");
            }
            return;
        }
        self.weigh(name, from, weights.0, weights.1);
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let changes = room.roster.upsert(record.clone());
        self.show(name, changes);
        self.close_replaced(name, &record);
    }

    /// The latest time of joining that is believed: clocks differ, but not by a day.
    fn latest_joining(&self) -> u64 {
        const DAY_MS: u64 = 24 * 3_600 * 1_000;
        let age = self.looked_at.saturating_duration_since(self.started).as_millis() as u64;
        self.incarnation.saturating_add(age).saturating_add(DAY_MS)
    }

    pub(super) fn on_remote_left(
        &mut self,
        from: NodeId,
        name: &RoomName,
        sid: &ParticipantSid,
        cause: LeaveCause,
    ) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let record = room.roster.record(sid);
        if record.is_some_and(|record| record.home != from) {
            self.counters.records_refused += 1;
            return;
        }
        let mut weight = Weight::of_record(record);
        weight.bytes += room.histories.remove(sid).map_or(0, |history| history.bytes());
        let changes = room.roster.remove(sid, cause);
        self.weigh(name, from, weight, Weight::default());
        self.show(name, changes);
    }

    /// A node is gone: so are its participants, in every room.
    pub(super) fn drop_origin_everywhere(&mut self, node: NodeId, cause: LeaveCause) {
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.drop_origin(&room, node, cause);
        }
    }

    fn drop_origin(&mut self, name: &RoomName, node: NodeId, cause: LeaveCause) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let Some(origin) = room.origins.remove(&node) else {
            return;
        };
        let gone: Vec<ParticipantSid> = room
            .roster
            .homed_on(node)
            .map(|record| record.sid.clone())
            .collect();
        info!(room = %name, peer = %node, participants = gone.len(), ?cause, "another node hosts the room no more");
        for sid in gone {
            self.on_remote_left(node, name, &sid, cause);
        }
        self.forget_audiences_of(name, node, origin.epoch);
        let epoch = origin.epoch;
        let (room, origin) = (name.clone(), node);
        self.tell_parts(name, &ShardCommand::DropOrigin { room, origin });
        let key = (node, name.clone());
        // Nodes behind us may have heard of the next epoch before us.
        let is_over = self
            .branches
            .get(&key)
            .is_some_and(|branch| branch.epoch <= epoch);
        if is_over {
            self.fell_branch(&key);
        }
    }

    /// Tells our signalling, and the shards where tracks are concerned that they do not publish, how the roster has changed.
    pub(super) fn show(&mut self, name: &RoomName, changes: Vec<RosterChange>) {
        for change in changes {
            let (before, now, fact) = match change {
                RosterChange::Replaced { gone, record } => {
                    self.show_replaced(name, gone, record);
                    continue;
                }
                RosterChange::Listed(record) => (Vec::new(), record, None),
                RosterChange::Changed { record, old_tracks } => (old_tracks, record, None),
                RosterChange::Delisted { mut record, cause } => {
                    let before = std::mem::take(&mut record.tracks);
                    (before, record, Some(cause))
                }
            };
            self.show_tracks(name, &before, &now);
            let (home, sid) = (now.home, now.sid.clone());
            let participant = Box::new(now);
            let fact = match fact {
                None => RoomChange::ParticipantUpserted(participant),
                Some(cause) => RoomChange::ParticipantLeft { participant, cause },
            };
            self.out.room_change(name, fact);
            if home == self.us {
                self.unveil(name, &sid);
            }
        }
    }
}

/// How many records fit into a snapshot.
pub(super) fn snapshot_len(records: &[ParticipantRecord], max_bytes: usize) -> usize {
    const RECORD_BYTES: usize = 512;
    const TRACK_BYTES: usize = 512;
    let mut bytes = 0;
    records
        .iter()
        .take(MAX_PARTICIPANTS)
        .take_while(|record| {
            bytes += RECORD_BYTES + text_bytes(record) + record.tracks.len() * TRACK_BYTES;
            bytes <= max_bytes
        })
        .count()
}
