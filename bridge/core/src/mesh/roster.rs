//! Everybody in one room, on all nodes, and who of them clients are shown. Pure bookkeeping.
//!
//! Clients know people by identity, so of several participants with one identity only the one that joined last
//! is *listed*, until their homes have closed the others. Hidden participants are known but never listed.

use relay_proto::id::{Identity, NodeId, ParticipantSid};
use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState, TrackRecord};
use std::collections::{BTreeMap, BTreeSet};

/// What a change of the roster means for those who see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RosterChange {
    /// Somebody is listed from now on.
    Listed(ParticipantRecord),
    /// Somebody listed has changed; `old_tracks` are what was known before.
    Changed {
        record: ParticipantRecord,
        old_tracks: Vec<TrackRecord>,
    },
    /// Somebody is listed no more. The record is the last one, in state `Disconnected`.
    Delisted {
        record: ParticipantRecord,
        cause: LeaveCause,
    },
}

#[derive(Debug, Default)]
pub(super) struct Roster {
    records: BTreeMap<ParticipantSid, ParticipantRecord>,
    by_identity: BTreeMap<Identity, BTreeSet<ParticipantSid>>,
    listed: BTreeMap<Identity, ParticipantSid>,
}

impl Roster {
    /// Adds or replaces a record. The caller has checked that its writer may.
    pub(super) fn upsert(&mut self, record: ParticipantRecord) -> Vec<RosterChange> {
        let (sid, identity) = (record.sid.clone(), record.identity.clone());
        let old = self.records.insert(sid.clone(), record);
        if let Some(old) = &old
            && old.identity != identity
        {
            self.unindex(&old.identity, &sid);
        }
        self.by_identity
            .entry(identity.clone())
            .or_default()
            .insert(sid.clone());
        let stays_listed = self.winner(&identity) == Some(&sid) && self.listed.get(&identity) == Some(&sid);
        if stays_listed {
            let record = self.records[&sid].clone();
            let old_tracks = old.map_or_else(Vec::new, |old| old.tracks);
            return vec![RosterChange::Changed { record, old_tracks }];
        }
        self.settle(&identity, None, LeaveCause::DuplicateIdentity)
    }

    /// Removes a participant.
    pub(super) fn remove(&mut self, sid: &ParticipantSid, cause: LeaveCause) -> Vec<RosterChange> {
        let Some(record) = self.records.remove(sid) else {
            return Vec::new();
        };
        self.unindex(&record.identity, sid);
        let identity = record.identity.clone();
        self.settle(&identity, Some(record), cause)
    }

    fn unindex(&mut self, identity: &Identity, sid: &ParticipantSid) {
        if let Some(same) = self.by_identity.get_mut(identity) {
            same.remove(sid);
            if same.is_empty() {
                self.by_identity.remove(identity);
            }
        }
    }

    /// Brings the listing of one identity up to date. `removed` is the record that has just gone, if any.
    fn settle(
        &mut self,
        identity: &Identity,
        removed: Option<ParticipantRecord>,
        cause: LeaveCause,
    ) -> Vec<RosterChange> {
        let winner = self.winner(identity).cloned();
        let before = self.listed.get(identity).cloned();
        if winner == before {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if let Some(before) = before {
            self.listed.remove(identity);
            let record = removed.filter(|record| record.sid == before);
            if let Some(mut record) = record.or_else(|| self.records.get(&before).cloned()) {
                record.state = ParticipantState::Disconnected;
                changes.push(RosterChange::Delisted { record, cause });
            }
        }
        if let Some(winner) = winner {
            changes.push(RosterChange::Listed(self.records[&winner].clone()));
            self.listed.insert(identity.clone(), winner);
        }
        changes
    }

    /// The one of that identity who may be shown.
    fn winner(&self, identity: &Identity) -> Option<&ParticipantSid> {
        let newest = self.newest_of(identity)?;
        (!newest.permission.hidden).then_some(&newest.sid)
    }

    /// The one of that identity who joined last; ties go to the larger id.
    pub(super) fn newest_of(&self, identity: &Identity) -> Option<&ParticipantRecord> {
        self.with_identity(identity)
            .max_by(|a, b| (a.joined_at, &a.sid).cmp(&(b.joined_at, &b.sid)))
    }

    /// All records of one identity.
    pub(super) fn with_identity(&self, identity: &Identity) -> impl Iterator<Item = &ParticipantRecord> + '_ {
        self.by_identity
            .get(identity)
            .into_iter()
            .flatten()
            .map(|sid| &self.records[sid])
    }

    /// The record of a participant.
    pub(super) fn record(&self, sid: &ParticipantSid) -> Option<&ParticipantRecord> {
        self.records.get(sid)
    }

    /// How many are known, hidden and doubled ones included.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Everybody homed on `home`, hidden ones included.
    pub(super) fn homed_on(&self, home: NodeId) -> impl Iterator<Item = &ParticipantRecord> + '_ {
        self.records.values().filter(move |record| record.home == home)
    }

    /// Everybody who is shown to clients.
    pub(super) fn listed(&self) -> impl Iterator<Item = &ParticipantRecord> + '_ {
        self.listed.values().map(|sid| &self.records[sid])
    }
}
