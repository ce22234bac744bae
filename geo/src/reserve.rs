//! Clients that were sent to a node and do not yet show in its reported load.
//!
//! A node reports its load once in a while. Without a memory of what was assigned since then, a flash crowd is
//! sent to the same node as a whole. Whoever ranks adds the reservations first.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Assignments that a node's own report does not contain yet. Each counts until the node has reported as many arrivals, or
/// `lifetime` is over: then whoever it was has not come.
#[derive(Debug)]
pub struct Reservations {
    lifetime: Duration,
    /// Per node, oldest first: when each assignment was made.
    made: BTreeMap<String, VecDeque<Instant>>,
}

impl Reservations {
    /// Most assignments remembered per node; beyond it the oldest are forgotten. No node takes so many in one
    /// lifetime.
    pub const PER_NODE_MAX: usize = 100_000;

    /// Starts empty. `lifetime` should be a little longer than nodes take to report (default of callers: 5 s).
    #[must_use]
    pub const fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            made: BTreeMap::new(),
        }
    }

    /// Notes that one client was sent to `node`.
    pub fn reserve(&mut self, now: Instant, node: &str) {
        self.expire(now);
        let made = self.made.entry(node.to_owned()).or_default();
        if made.len() == Self::PER_NODE_MAX {
            made.pop_front();
        }
        made.push_back(now);
    }

    /// Notes that `node` reported `arrivals` more clients than before: the oldest assignments are in its report now. (Clients
    /// whom others have sent there count too; whoever comes of ours is then in the next report.)
    pub fn arrived(&mut self, node: &str, arrivals: u32) {
        if let Some(made) = self.made.get_mut(node) {
            let known = usize::try_from(arrivals).unwrap_or(usize::MAX).min(made.len());
            made.drain(..known);
        }
    }

    /// Assignments to `node` that count at `now`.
    #[must_use]
    pub fn pending(&self, now: Instant, node: &str) -> usize {
        let live = |at: &&Instant| now.saturating_duration_since(**at) < self.lifetime;
        self.made
            .get(node)
            .map_or(0, |made| made.iter().filter(live).count())
    }

    /// Load of `node` with its reservations, 0 to 1: `reported_load` plus `pending / capacity`, where `capacity`
    /// is the number of participants the node is meant for (0 counts as 1).
    #[must_use]
    pub fn load(&self, now: Instant, node: &str, reported_load: f32, capacity: u32) -> f32 {
        // Counts are far below 2^24, where f32 is exact.
        let reserved = self.pending(now, node) as f32 / capacity.max(1) as f32;
        (reported_load + reserved).clamp(0.0, 1.0)
    }

    fn expire(&mut self, now: Instant) {
        let lifetime = self.lifetime;
        self.made.retain(|_, made| {
            while made
                .front()
                .is_some_and(|at| now.saturating_duration_since(*at) >= lifetime)
            {
                made.pop_front();
            }
            !made.is_empty()
        });
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "an Instant can only be made by the clock; nothing waits for it"
)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(5);

    #[test]
    fn reservations_count_until_as_many_have_arrived_or_expired() {
        let start = Instant::now();
        let mut ledger = Reservations::new(LIFETIME);
        ledger.reserve(start, "fra");
        ledger.reserve(start + Duration::from_secs(2), "fra");
        assert_eq!(ledger.pending(start + Duration::from_secs(2), "fra"), 2);
        ledger.arrived("fra", 1);
        assert_eq!(ledger.pending(start + Duration::from_secs(2), "fra"), 1);
        assert_eq!(ledger.pending(start + Duration::from_secs(8), "fra"), 0);
        ledger.arrived("fra", 7);
        ledger.arrived("sin", 1);
        assert_eq!(ledger.pending(start + Duration::from_secs(2), "fra"), 0);
        assert_eq!(ledger.pending(start, "sin"), 0);
    }

    #[test]
    fn load_includes_reservations_and_stays_in_range() {
        let now = Instant::now();
        let mut ledger = Reservations::new(LIFETIME);
        for _ in 0..25 {
            ledger.reserve(now, "fra");
        }
        assert!((ledger.load(now, "fra", 0.5, 100) - 0.75).abs() < 1e-6);
        assert_eq!(ledger.load(now, "fra", 0.9, 0), 1.0);
    }

    #[test]
    fn memory_is_bounded_and_expired_nodes_are_forgotten() {
        let now = Instant::now();
        let mut ledger = Reservations::new(LIFETIME);
        for _ in 0..=Reservations::PER_NODE_MAX {
            ledger.reserve(now, "fra");
        }
        assert_eq!(ledger.pending(now, "fra"), Reservations::PER_NODE_MAX);
        ledger.reserve(now + LIFETIME, "sin");
        assert_eq!(ledger.made.len(), 1);
    }
}
