//! What all sessions of a shard share: certificate, candidates, and every limit by name.

use super::dtls::Certificate;
use crate::shard::io::ShardId;
use std::net::SocketAddr;
use std::time::Duration;

/// Configuration of the transports of one shard, shared by all its sessions.
#[derive(Clone, Debug)]
pub struct RtcConfig {
    /// DTLS certificate; the shell makes it (see [`Certificate::from_der`]).
    pub certificate: Certificate,
    /// Advertised host candidates, all UDP, best first.
    pub candidates: Vec<SocketAddr>,
    /// Advertised host candidates for TCP connections that clients open (RFC 6544: passive), best first.
    pub tcp_candidates: Vec<SocketAddr>,
    /// The shard; written into the ufrag.
    pub shard: ShardId,
    /// Whether clients' paths are estimated and layers chosen to fit. Without it everybody is sent what it wishes: the
    /// baseline to measure against.
    pub estimates_paths: bool,
    /// Limits per session.
    pub limits: RtcLimits,
}

/// Everything about one session that could grow, with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcLimits {
    /// Longest offer, in bytes.
    pub max_sdp_bytes: usize,
    /// Most m-lines in an offer.
    pub max_sections: usize,
    /// Most codecs (payload types) read from one m-line.
    pub max_codecs_per_section: usize,
    /// Most header extensions read from one m-line.
    pub max_extensions_per_section: usize,
    /// Most authenticated incoming SSRCs remembered.
    pub max_ssrcs_per_session: usize,
    /// Most validated client addresses remembered; the oldest gives way.
    pub max_addresses_per_session: usize,
    /// Largest data channel message, in bytes, both ways; announced as `a=max-message-size`.
    pub max_data_message_bytes: usize,
    /// Most bytes waiting to be sent on data channels.
    pub max_queued_data_bytes: usize,
    /// Most datagrams waiting in `poll_transmit`; further ones are dropped and counted.
    pub max_queued_datagrams: usize,
    /// Most sequence numbers in one incoming NACK packet that are reported.
    pub max_nacked_per_packet: usize,
    /// Time from the first offer to keys.
    pub handshake_timeout: Duration,
    /// Silence after which the client counts as gone.
    pub consent_timeout: Duration,
}

impl Default for RtcLimits {
    fn default() -> Self {
        Self {
            max_sdp_bytes: relay_proto::limit::MAX_SDP_BYTES,
            max_sections: 512,
            max_codecs_per_section: 128,
            max_extensions_per_section: 32,
            max_ssrcs_per_session: 128,
            max_addresses_per_session: 8,
            max_data_message_bytes: 64 * 1024,
            max_queued_data_bytes: 4 * 1024 * 1024,
            max_queued_datagrams: 512,
            max_nacked_per_packet: 512,
            handshake_timeout: Duration::from_secs(10),
            consent_timeout: Duration::from_secs(20),
        }
    }
}
