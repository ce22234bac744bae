//! What connections may take.

use std::time::Duration;

/// Everything about media over TCP that could grow, with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpLimits {
    /// Most connections of the node; further ones are closed at once.
    pub connections: usize,
    /// Most connections of one address (IPv6: of one /64).
    pub connections_per_address: usize,
    /// Most connections on which no session has answered yet.
    pub greetings: usize,
    /// Most of those of one address (IPv6: of one /64).
    pub greetings_per_address: usize,
    /// Time from a connection to the answer to its first check.
    pub greeting_timeout: Duration,
    /// Largest packet of a client, in bytes; a larger one closes its connection.
    pub frame_bytes: usize,
    /// Most bytes that wait for one connection; pictures are dropped first, the oldest first.
    pub queue_bytes: usize,
    /// Longest time a packet of a picture waits; older ones are dropped.
    pub queue_time: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            greetings: 1_000,
            greetings_per_address: 100,
            greeting_timeout: Duration::from_secs(5),
            frame_bytes: 2 << 10,
            queue_bytes: 512 << 10,
            queue_time: Duration::from_millis(500),
        }
    }
}
