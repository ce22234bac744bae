//! What has become of connections, as plain numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of media over TCP; they only grow, but for `open`.
#[derive(Debug, Default)]
pub struct TcpCounters {
    /// Gauge: connections now.
    pub open: AtomicU64,
    /// Connections let in.
    pub accepted: AtomicU64,
    /// Connections over a limit, closed at once.
    pub refused: AtomicU64,
    /// Connections closed because no session answered their first check in time.
    pub unanswered: AtomicU64,
    /// Connections closed for a first packet that is no check, or a packet over the limit.
    pub malformed: AtomicU64,
    /// Connections closed because no session had anything to say to them any more, or because they took nothing.
    pub idle: AtomicU64,
    /// Packets from clients.
    pub packets_in: AtomicU64,
    /// Packets of pictures dropped because a connection held them back.
    pub pictures_dropped: AtomicU64,
    /// Other packets dropped for that.
    pub others_dropped: AtomicU64,
}

/// Name, help, whether it is a gauge, and where it stands.
pub type TcpFigure = (&'static str, &'static str, bool, fn(&TcpCounters) -> &AtomicU64);

/// What is exported.
pub const FIGURES: &[TcpFigure] = &[
    ("tcp_connections", "media connections now", true, |c| &c.open),
    ("tcp_accepted", "media connections let in", false, |c| &c.accepted),
    (
        "tcp_refused",
        "media connections over a limit, closed at once",
        false,
        |c| &c.refused,
    ),
    (
        "tcp_unanswered",
        "media connections whose first check no session answered in time",
        false,
        |c| &c.unanswered,
    ),
    (
        "tcp_malformed",
        "media connections closed for a first packet that is no check, or a packet over the limit",
        false,
        |c| &c.malformed,
    ),
    (
        "tcp_idle",
        "media connections closed because nothing went to them any more",
        false,
        |c| &c.idle,
    ),
    ("tcp_packets_in", "packets of clients by TCP", false, |c| {
        &c.packets_in
    }),
    (
        "tcp_pictures_dropped",
        "packets of pictures dropped because a connection held them back",
        false,
        |c| &c.pictures_dropped,
    ),
    (
        "tcp_others_dropped",
        "packets of anything else dropped because a connection held them back",
        false,
        |c| &c.others_dropped,
    ),
];

pub(super) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
