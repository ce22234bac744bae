//! The datagrams under way, ordered by when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::flows::FlowId;

/// Most payload under way at once; more is refused. 2 Gbit/s over a second.
const MOST_BYTES: usize = 256 << 20;

/// Which way a datagram goes through its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// To the sender that opened the flow.
    Back,
    /// To the node the flow's link leads to.
    Forward,
}

/// One datagram under way.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) due: Instant,
    /// Index of the directed link it is on.
    pub(super) pair: usize,
    /// How often that link had been cut when it set out.
    pub(super) cuts: u32,
    pub(super) flow: FlowId,
    pub(super) route: Route,
    pub(super) payload: Box<[u8]>,
}

/// Order of delivery: by time, then by arrival.
type Place = (Instant, u64);

struct Entry {
    place: Place,
    datagram: Datagram,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

/// All datagrams under way. Adding and taking cost O(log n).
#[derive(Default)]
pub(super) struct InFlight {
    heap: BinaryHeap<Reverse<Entry>>,
    arrivals: u64,
    bytes: usize,
}

impl InFlight {
    /// Adds a datagram; `false` if memory's limit refuses it.
    pub(super) fn push(&mut self, datagram: Datagram) -> bool {
        if self.bytes + datagram.payload.len() > MOST_BYTES {
            return false;
        }
        self.bytes += datagram.payload.len();
        self.arrivals += 1;
        self.heap.push(Reverse(Entry {
            place: (datagram.due, self.arrivals),
            datagram,
        }));
        true
    }

    /// When the earliest is due.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.datagram.due)
    }

    /// Takes the earliest if it is due by `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Datagram> {
        if self.earliest()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.bytes -= entry.datagram.payload.len();
        Some(entry.datagram)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn datagram(due: Instant, mark: usize, bytes: usize) -> Datagram {
        let flow = FlowId::default();
        Datagram {
            due,
            pair: mark,
            cuts: 0,
            flow,
            route: Route::Forward,
            payload: vec![0; bytes].into(),
        }
    }

    #[test]
    fn equal_times_leave_in_order_of_arrival_and_none_leaves_early() {
        let now = Instant::now();
        let later = now + Duration::from_millis(1);
        let mut in_flight = InFlight::default();
        for (due, mark) in [(later, 0), (now, 1), (later, 2), (now, 3)] {
            assert!(in_flight.push(datagram(due, mark, 1)));
        }
        let mut pop = |now| in_flight.pop_due(now).map(|datagram| datagram.pair);
        assert_eq!([pop(now), pop(now), pop(now)], [Some(1), Some(3), None]);
        assert_eq!([pop(later), pop(later), pop(later)], [Some(0), Some(2), None]);
    }

    #[test]
    fn memory_is_bounded_and_returns_when_datagrams_leave() {
        let now = Instant::now();
        let mut in_flight = InFlight::default();
        for _ in 0..4 {
            assert!(in_flight.push(datagram(now, 0, MOST_BYTES / 4)));
        }
        assert!(!in_flight.push(datagram(now, 0, 1)));
        assert!(in_flight.pop_due(now).is_some());
        assert!(in_flight.push(datagram(now, 0, 1)));
    }
}
