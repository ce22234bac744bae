//! Counters of an emulator: what was offered to each directed link and what became of it.

use serde::Serialize;

/// Datagrams and their bytes: UDP payload in the relay, whole IP packets between namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes: UDP payload in the relay, whole IP packets between namespaces.
    pub bytes: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes as u64;
    }
}

/// One directed link. Every offered datagram is in exactly one of the other counts; `held_back` and
/// `duplicated` are counted beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LinkStats {
    /// Sending node.
    pub from: String,
    /// Receiving node.
    pub to: String,
    /// Whether the link is cut now.
    pub cut: bool,
    /// Arrived at the near end.
    pub offered: Traffic,
    /// Left the far end.
    pub delivered: Traffic,
    /// Datagrams under way.
    pub in_flight: u64,
    /// Datagrams the path lost.
    pub lost: u64,
    /// Datagrams dropped because the queue before the line was full.
    pub queue_full: u64,
    /// Datagrams lost to a cut, on arrival or under way.
    pub cut_off: u64,
    /// Datagrams dropped by a limit of the emulator itself (flows or memory): must be 0 in a valid run.
    pub refused: u64,
    /// Datagrams the kernel did not take or nobody listened for.
    pub unsent: u64,
    /// Datagrams held back by reordering; they are in one of the counts above as well.
    pub held_back: u64,
    /// Copies that left the far end beside their originals.
    pub duplicated: u64,
}

/// The whole emulator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WanStats {
    /// Every directed link, in the order of the configuration.
    pub links: Vec<LinkStats>,
    /// Open flows: one per sender and link it sends to.
    pub flows: usize,
    /// Packets that were for no region or not IPv4; always 0 in the relay.
    pub strays: u64,
    /// Datagrams written to the capture file.
    pub captured: u64,
    /// Datagrams not captured because the file had reached its limit.
    pub capture_skipped: u64,
}

impl WanStats {
    /// The counters of one directed link.
    pub fn link(&self, from: &str, to: &str) -> Option<&LinkStats> {
        self.links.iter().find(|link| link.from == from && link.to == to)
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("invariant: a tree of strings and integers always serialises")
    }
}
