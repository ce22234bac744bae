//! The packets under way, ordered by when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Most bytes under way at once; more is refused. 2 Gbit/s over a second.
const MOST_BYTES: usize = 256 << 20;

/// One packet under way. `W` says how it leaves.
#[derive(Debug)]
pub(super) struct Packet<W> {
    pub(super) due: Instant,
    /// Index of the directed link it is on.
    pub(super) link: usize,
    /// How often that link had been cut when it set out.
    pub(super) cuts: u32,
    /// Whether a copy leaves with it.
    pub(super) twice: bool,
    pub(super) way: W,
    pub(super) bytes: Box<[u8]>,
}

/// Order of delivery: by time, then by arrival.
type Place = (Instant, u64);

struct Entry<W> {
    place: Place,
    packet: Packet<W>,
}

impl<W> PartialEq for Entry<W> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<W> Eq for Entry<W> {}

impl<W> PartialOrd for Entry<W> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<W> Ord for Entry<W> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

/// All packets under way. Adding and taking cost O(log n).
pub(super) struct InFlight<W> {
    heap: BinaryHeap<Reverse<Entry<W>>>,
    arrivals: u64,
    bytes: usize,
}

impl<W> Default for InFlight<W> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            arrivals: 0,
            bytes: 0,
        }
    }
}

impl<W> InFlight<W> {
    /// Adds a packet; `false` if memory's limit refuses it.
    pub(super) fn push(&mut self, packet: Packet<W>) -> bool {
        if self.bytes + packet.bytes.len() > MOST_BYTES {
            return false;
        }
        self.bytes += packet.bytes.len();
        self.arrivals += 1;
        self.heap.push(Reverse(Entry {
            place: (packet.due, self.arrivals),
            packet,
        }));
        true
    }

    /// When the earliest is due.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.packet.due)
    }

    /// Takes the earliest if it is due by `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Packet<W>> {
        if self.earliest()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.bytes -= entry.packet.bytes.len();
        Some(entry.packet)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn packet(due: Instant, mark: usize, bytes: usize) -> Packet<()> {
        Packet {
            due,
            link: mark,
            cuts: 0,
            twice: false,
            way: (),
            bytes: vec![0; bytes].into(),
        }
    }

    #[test]
    fn equal_times_leave_in_order_of_arrival_and_none_leaves_early() {
        let now = Instant::now();
        let later = now + Duration::from_millis(1);
        let mut in_flight = InFlight::default();
        for (due, mark) in [(later, 0), (now, 1), (later, 2), (now, 3)] {
            assert!(in_flight.push(packet(due, mark, 1)));
        }
        let mut pop = |now| in_flight.pop_due(now).map(|packet| packet.link);
        assert_eq!([pop(now), pop(now), pop(now)], [Some(1), Some(3), None]);
        assert_eq!([pop(later), pop(later), pop(later)], [Some(0), Some(2), None]);
    }

    #[test]
    fn memory_is_bounded_and_returns_when_packets_leave() {
        let now = Instant::now();
        let mut in_flight = InFlight::default();
        for _ in 0..4 {
            assert!(in_flight.push(packet(now, 0, MOST_BYTES / 4)));
        }
        assert!(!in_flight.push(packet(now, 0, 1)));
        assert!(in_flight.pop_due(now).is_some());
        assert!(in_flight.push(packet(now, 0, 1)));
    }
}
