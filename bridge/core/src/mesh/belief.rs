//! Which rows of whom are believed of whom: of a node with a link to us its own word alone, of others what they have signed.

use super::MeshCore;
use super::author::is_signed;
use super::rows::{Teller, Told};
use relay_proto::id::NodeId;
use relay_proto::row::{RowKey, RowValue};
use std::time::Instant;
use tracing::warn;

/// What a row with a signature that had to be verified costs of what a peer may tell.
const VERIFIED: f64 = 4.0;
/// What one costs whose signature is wrong: so that forgers do not keep us busy.
const FORGED: f64 = 256.0;

impl MeshCore {
    /// Whether a peer may tell this row, and in which role; none where the row is not even looked at.
    pub(super) fn may_tell(&mut self, now: Instant, from: NodeId, told: &Told) -> Option<Teller> {
        let row = &told.row;
        // What we hold already costs nothing and shows nothing; rows in our name are counted later.
        if row.owner == self.us {
            return Some(Teller::Other);
        }
        if self.rows.version(row.owner, &row.key) >= Some(row.version) {
            return Some(Teller::Other);
        }
        if !self.affords(now, from, 1.0) {
            if row.owner == from {
                self.rows.doubt(from);
            }
            self.counters.rows_over_rate += 1;
            if self.counters.rows_over_rate == 1 {
                warn!(peer = %from, "rows dropped: limits.rows_per_second is reached");
            }
            return None;
        }
        if row.owner == from {
            return self.owner_may_tell(from, told).then_some(Teller::Owner);
        }
        if self.link_of(row.owner).is_some() {
            // It tells us itself, in order.
            self.counters.rows_overheard += 1;
            return None;
        }
        match self.other_may_tell(now, from, told) {
            Ok(()) => Some(Teller::Other),
            Err(why) => {
                self.refuse_row(row.owner, from, why);
                None
            }
        }
    }

    /// A node speaks for the process that has said hello, and its key has to be proved.
    fn owner_may_tell(&mut self, from: NodeId, told: &Told) -> bool {
        let row = &told.row;
        let incarnation = self.peers.get(&from).map(|peer| peer.incarnation);
        let why = if incarnation != Some(row.version.incarnation) {
            Some("it is of another process than the one that has said hello")
        } else if !self.is_proved(told) {
            Some("no certificate proves its key")
        } else {
            None
        };
        if let Some(why) = why {
            self.refuse_row(from, from, why);
        }
        why.is_none()
    }

    fn other_may_tell(&mut self, now: Instant, from: NodeId, told: &Told) -> Result<(), &'static str> {
        let row = &told.row;
        let held = self.rows.identity(row.owner).map(|facts| facts.public_key);
        let incarnation = self.rows.incarnation(row.owner);
        let Some(signature) = &told.signature else {
            // Whoever has ever signed does not tell anything unsigned.
            return match held {
                None if self.config.unsigned_rows => Ok(()),
                _ => Err("it is not signed"),
            };
        };
        let key = match &row.value {
            RowValue::Identity(facts) => Some(facts.public_key),
            _ => held.filter(|_| incarnation == Some(row.version.incarnation)),
        };
        let Some(key) = key else {
            return Err("its owner's key is not known");
        };
        self.charge(now, from, VERIFIED - 1.0);
        if is_signed(row, signature, &key) && self.is_proved(told) {
            return Ok(());
        }
        self.charge(now, from, FORGED);
        Err("its signature is wrong")
    }

    /// Whether a row that names its owner's key proves it; true of all others.
    fn is_proved(&self, told: &Told) -> bool {
        match (&told.row.key, &told.row.value) {
            (RowKey::Identity, RowValue::Identity(facts)) => {
                let authority = self.config.authority.as_ref();
                authority.is_some_and(|authority| authority.proves(told.row.owner, facts))
            }
            _ => true,
        }
    }

    pub(super) fn refuse_row(&mut self, owner: NodeId, from: NodeId, why: &'static str) {
        self.counters.rows_refused += 1;
        if self.counters.rows_refused == 1 {
            warn!(peer = %from, node = %owner, "a row was refused: {why}");
        }
    }

    fn affords(&mut self, now: Instant, from: NodeId, cost: f64) -> bool {
        let rate = self.config.limits.max_rows_per_second as f64;
        self.peers
            .get_mut(&from)
            .is_some_and(|peer| peer.told.take(now, rate, cost))
    }

    fn charge(&mut self, now: Instant, from: NodeId, cost: f64) {
        let rate = self.config.limits.max_rows_per_second as f64;
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.told.charge(now, rate, cost);
        }
    }
}
