//! Flows: for each sender at each link, the socket that speaks to the receiving node on its behalf.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use super::open_udp;

/// Most flows at once: each holds a file descriptor, and 1,024 of those are the usual limit of a process.
const MOST_FLOWS: usize = 512;

/// How long an unused flow stays open; far longer than any datagram is under way.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// Names a flow; a number used again has another generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FlowId {
    pub(super) index: usize,
    generation: u64,
}

/// One sender's way through one link.
pub(super) struct Flow {
    generation: u64,
    /// Index of the directed link the sender uses.
    pub(super) pair: usize,
    /// The sender.
    pub(super) sender: SocketAddrV4,
    /// Connected to the receiving node.
    pub(super) socket: UdpSocket,
    last_used: Instant,
}

/// All open flows.
#[derive(Default)]
pub(super) struct Flows {
    slots: Vec<Option<Flow>>,
    by_sender: BTreeMap<(usize, SocketAddrV4), usize>,
    opened: u64,
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.by_sender.len()
    }

    /// The flow of a sender at a link, if it is open; marks it as used.
    pub(super) fn find(&mut self, pair: usize, sender: SocketAddrV4, now: Instant) -> Option<FlowId> {
        let index = *self.by_sender.get(&(pair, sender))?;
        let flow = self.slots.get_mut(index)?.as_mut()?;
        flow.last_used = now;
        Some(FlowId {
            index,
            generation: flow.generation,
        })
    }

    /// Opens a flow for a sender that has none. The caller must watch its socket.
    pub(super) fn open(
        &mut self,
        pair: usize,
        sender: SocketAddrV4,
        forward_to: SocketAddrV4,
        now: Instant,
    ) -> io::Result<FlowId> {
        if self.len() >= MOST_FLOWS {
            return Err(io::Error::other("too many flows"));
        }
        let socket = open_udp(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(forward_to)?;
        let index = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.opened += 1;
        let generation = self.opened;
        self.slots[index] = Some(Flow {
            generation,
            pair,
            sender,
            socket,
            last_used: now,
        });
        self.by_sender.insert((pair, sender), index);
        Ok(FlowId { index, generation })
    }

    /// The flow named by a datagram under way, unless it has been closed since.
    pub(super) fn by_id(&self, id: FlowId) -> Option<&Flow> {
        self.slots
            .get(id.index)?
            .as_ref()
            .filter(|flow| flow.generation == id.generation)
    }

    /// The flow whose socket is ready; marks it as used.
    pub(super) fn by_index(&mut self, index: usize, now: Instant) -> Option<(FlowId, &Flow)> {
        let flow = self.slots.get_mut(index)?.as_mut()?;
        flow.last_used = now;
        Some((
            FlowId {
                index,
                generation: flow.generation,
            },
            flow,
        ))
    }

    /// Closes one flow.
    pub(super) fn close(&mut self, id: FlowId) {
        if let Some(slot) = self.slots.get_mut(id.index)
            && let Some(flow) = slot.take_if(|flow| flow.generation == id.generation)
        {
            self.by_sender.remove(&(flow.pair, flow.sender));
        }
    }

    /// Closes flows that nobody has used for [`IDLE_LIMIT`]. O(open flows).
    pub(super) fn close_idle(&mut self, now: Instant) {
        for slot in &mut self.slots {
            let idle = |flow: &mut Flow| now.saturating_duration_since(flow.last_used) >= IDLE_LIMIT;
            if let Some(flow) = slot.take_if(idle) {
                self.by_sender.remove(&(flow.pair, flow.sender));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    #[test]
    fn idle_flows_close_and_their_names_are_not_taken_for_new_ones() {
        let mut flows = Flows::default();
        let start = Instant::now();
        let old = flows.open(0, sender(1), sender(9), start).unwrap();
        let busy = flows.open(0, sender(2), sender(9), start).unwrap();
        assert_eq!(flows.find(0, sender(2), start + IDLE_LIMIT / 2), Some(busy));

        flows.close_idle(start + IDLE_LIMIT);
        assert_eq!(flows.len(), 1);
        assert!(flows.by_id(old).is_none() && flows.by_id(busy).is_some());

        let new = flows.open(1, sender(3), sender(9), start).unwrap();
        assert_eq!(new.index, old.index);
        assert!(flows.by_id(old).is_none() && flows.by_id(new).is_some());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut flows = Flows::default();
        let now = Instant::now();
        let opened =
            (1..=MOST_FLOWS as u16).filter(|port| flows.open(0, sender(*port), sender(9), now).is_ok());
        assert_eq!(opened.count(), MOST_FLOWS);
        assert!(flows.open(0, sender(60_000), sender(9), now).is_err());
    }
}
