//! Who is there: connections in all and of each address, and those on which no session has answered yet.

use super::counters::{TcpCounters, count};
use super::limits::TcpLimits;
use signaling::counted_as;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    open: usize,
    unanswered: usize,
}

#[derive(Debug, Default)]
struct Tallies {
    all: Tally,
    of: HashMap<IpAddr, Tally>,
}

/// Counts connections and keeps them within the limits.
#[derive(Debug)]
pub(super) struct Admission {
    limits: TcpLimits,
    counters: Arc<TcpCounters>,
    tallies: Mutex<Tallies>,
    has_warned: AtomicBool,
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    of: IpAddr,
    is_answered: bool,
}

impl Admission {
    pub(super) fn new(limits: TcpLimits, counters: Arc<TcpCounters>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counters,
            tallies: Mutex::default(),
            has_warned: AtomicBool::new(false),
        })
    }

    /// A place for a connection from `address`; none, counted and logged once, where a limit is reached.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let of = counted_as(address);
        let mut tallies = self.tallies();
        let own = tallies.of.get(&of).copied().unwrap_or_default();
        let limits = &self.limits;
        let reached = [
            ("tcp_connections", tallies.all.open, limits.connections),
            (
                "tcp_connections_per_address",
                own.open,
                limits.connections_per_address,
            ),
            ("tcp_greetings", tallies.all.unanswered, limits.greetings),
            (
                "tcp_greetings_per_address",
                own.unanswered,
                limits.greetings_per_address,
            ),
        ];
        if let Some((limit, _, value)) = reached.iter().find(|(_, now, most)| now >= most) {
            drop(tallies);
            count(&self.counters.refused, 1);
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    limit,
                    value,
                    "media connections over the limit are closed; said once"
                );
            }
            return None;
        }
        tallies.change(of, |tally| {
            tally.open += 1;
            tally.unanswered += 1;
        });
        count(&self.counters.accepted, 1);
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        Some(Place {
            admission: self.clone(),
            of,
            is_answered: false,
        })
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tallies {
    fn change(&mut self, of: IpAddr, change: impl Fn(&mut Tally)) {
        change(&mut self.all);
        let own = self.of.entry(of).or_default();
        change(own);
        if *own == Tally::default() {
            self.of.remove(&of);
        }
    }
}

impl Place {
    /// A session has answered: it counts as a greeting no more.
    pub(super) fn answered(&mut self) {
        if !std::mem::replace(&mut self.is_answered, true) {
            self.admission
                .tallies()
                .change(self.of, |tally| tally.unanswered -= 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let unanswered = usize::from(!self.is_answered);
        self.admission.tallies().change(self.of, |tally| {
            tally.open -= 1;
            tally.unanswered -= unanswered;
        });
        self.admission.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(change: impl Fn(&mut TcpLimits)) -> Arc<Admission> {
        let mut limits = TcpLimits::default();
        change(&mut limits);
        Admission::new(limits, Arc::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_limit_holds_and_a_place_comes_back() {
        for (of_one, change) in [
            (false, (|l| l.connections = 3) as fn(&mut TcpLimits)),
            (false, |l| l.greetings = 3),
            (true, |l| l.connections_per_address = 3),
            (true, |l| l.greetings_per_address = 3),
        ] {
            let admission = admission(change);
            let mut places: Vec<Place> = (0..3)
                .map(|n| {
                    // One /64 is one address.
                    let from = address(&format!("2001:db8::{n}"));
                    admission.admit(from).unwrap()
                })
                .collect();
            assert!(admission.admit(address("2001:db8::9")).is_none());
            assert_eq!(admission.admit(address("192.0.2.1")).is_some(), of_one);
            places.pop();
            assert!(admission.admit(address("2001:db8::9")).is_some());
            assert_eq!(
                admission.counters.refused.load(Ordering::Relaxed),
                2 - u64::from(of_one)
            );
        }
    }

    #[test]
    fn who_has_been_answered_leaves_room_for_other_greetings_and_nothing_is_kept_of_who_has_gone() {
        let admission = admission(|l| l.greetings_per_address = 1);
        let from = address("192.0.2.1");
        let mut first = admission.admit(from).unwrap();
        assert!(admission.admit(from).is_none());
        first.answered();
        first.answered();
        let second = admission.admit(from).unwrap();
        assert_eq!(admission.counters.open.load(Ordering::Relaxed), 2);
        drop((first, second));
        assert_eq!(admission.counters.open.load(Ordering::Relaxed), 0);
        let tallies = admission.tallies();
        assert_eq!((tallies.all, tallies.of.len()), (Tally::default(), 0));
    }
}
