//! Everybody in one room, on all nodes, and who of them clients are shown. Pure bookkeeping.
//!
//! Clients know people by identity, so of several participants with one identity only the one that joined last
//! is *listed*, until their homes have closed the others. Only one whose home sends it elsewhere stays listed for as long as
//! the newcomer does not bring what it has: so a move makes before it breaks. Hidden participants are known but never listed.

use relay_proto::id::{Identity, NodeId, ParticipantSid};
use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState, TrackRecord};
use std::collections::{BTreeMap, BTreeSet};

/// What a change of the roster means for those who see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RosterChange {
    /// Somebody is listed from now on.
    Listed(ParticipantRecord),
    /// Somebody is listed in the place of somebody of the same identity, whose last record, in state `Disconnected`, is `gone`.
    Replaced {
        gone: Box<ParticipantRecord>,
        record: Box<ParticipantRecord>,
    },
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
    /// Homes that send their people elsewhere.
    draining: BTreeSet<NodeId>,
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
        let gone = before.and_then(|before| {
            self.listed.remove(identity);
            let record = removed.filter(|record| record.sid == before);
            let mut record = record.or_else(|| self.records.get(&before).cloned())?;
            record.state = ParticipantState::Disconnected;
            Some(record)
        });
        let come = winner.map(|winner| {
            let record = self.records[&winner].clone();
            self.listed.insert(identity.clone(), winner);
            record
        });
        let change = match (gone, come) {
            (Some(gone), Some(record)) => RosterChange::Replaced {
                gone: Box::new(gone),
                record: Box::new(record),
            },
            (Some(record), None) => RosterChange::Delisted { record, cause },
            (None, Some(record)) => RosterChange::Listed(record),
            (None, None) => return Vec::new(),
        };
        vec![change]
    }

    /// The one of that identity who may be shown.
    fn winner(&self, identity: &Identity) -> Option<&ParticipantSid> {
        let newest = self.newest_of(identity)?;
        if newest.permission.hidden {
            return None;
        }
        Some(&self.still_there(newest).unwrap_or(newest).sid)
    }

    /// An older one of the identity of `newest` whose home sends it elsewhere, where `newest` does not bring yet what it has.
    fn still_there(&self, newest: &ParticipantRecord) -> Option<&ParticipantRecord> {
        if self.draining.is_empty() || self.draining.contains(&newest.home) {
            return None;
        }
        let brings = |older: &ParticipantRecord| {
            newest.state == ParticipantState::Active && newest.tracks.len() >= older.tracks.len()
        };
        self.with_identity(&newest.identity)
            .filter(|older| self.draining.contains(&older.home))
            .filter(|older| !older.permission.hidden && !brings(older))
            .max_by(|a, b| (a.joined_at, &a.sid).cmp(&(b.joined_at, &b.sid)))
    }

    /// Says which homes send their people elsewhere.
    pub(super) fn set_draining(&mut self, draining: &BTreeSet<NodeId>) -> Vec<RosterChange> {
        self.draining.clone_from(draining);
        let doubled = self.by_identity.iter().filter(|(_, same)| same.len() > 1);
        let doubled: Vec<Identity> = doubled.map(|(identity, _)| identity.clone()).collect();
        let settled = doubled
            .iter()
            .map(|identity| self.settle(identity, None, LeaveCause::DuplicateIdentity));
        settled.flatten().collect()
    }

    /// Whether a participant is shown to clients.
    pub(super) fn is_listed(&self, sid: &ParticipantSid) -> bool {
        self.records
            .get(sid)
            .is_some_and(|record| self.listed.get(&record.identity) == Some(sid))
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
