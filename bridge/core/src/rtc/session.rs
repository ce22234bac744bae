//! One client.
use super::config::RtcConfig;
use super::counters::RtcCounters;
use super::io::{Announced, DataError, Negotiated, Received, RtcEvent, RtcpOut, Wanted};
#[cfg(any(test, feature = "sim"))]
use super::srtp::SrtpProfile;
use super::srtp::SrtpSealer;
use bytes::Bytes;
use relay_proto::id::Layer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Why an offer cannot be used; the session stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// Over a limit.
    #[error("offer is over the limit: {0}")]
    TooLarge(&'static str),
    /// Not readable, or without something it must have.
    #[error("offer cannot be used: {0}")]
    Unusable(String),
}
/// One client's transport.
#[derive(Debug)]
pub struct Session {}
#[allow(unused_variables)]
impl Session {
    /// A session that waits for its first offer. All randomness of ours comes from `seed`.
    #[must_use]
    pub fn new(config: Arc<RtcConfig>, seed: [u8; 32], now: Instant) -> Self {
        todo!()
    }
    /// The newest local ufrag; it carries the shard id and changes with an ICE restart.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        todo!()
    }
    /// Applies an offer and answers it.
    ///
    /// # Errors
    /// [`NegotiationError`]; nothing has changed then.
    pub fn negotiate(
        &mut self,
        now: Instant,
        offer: &str,
        announced: &[Announced<'_>],
        wanted: &[Wanted<'_>],
    ) -> Result<Negotiated, NegotiationError> {
        todo!()
    }
    /// Takes one datagram, opening it in place.
    pub fn handle_datagram<'b>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &'b mut [u8],
    ) -> Received<'b> {
        todo!()
    }
    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }
    /// When `handle_timeout` is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        todo!()
    }
    /// Next event.
    pub fn poll_event(&mut self) -> Option<RtcEvent> {
        todo!()
    }
    /// Next newly authenticated address, for [`super::Mux::learn`].
    pub fn poll_new_addr(&mut self) -> Option<SocketAddr> {
        todo!()
    }
    /// Where media goes now.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        todo!()
    }
    /// Whether keys are installed.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        todo!()
    }
    /// Outgoing SRTP; none before keys.
    pub fn sealer(&mut self) -> Option<&mut SrtpSealer> {
        todo!()
    }
    /// Queues RTCP; leaves with the next `poll_transmit`.
    pub fn send_rtcp(&mut self, packet: RtcpOut) {
        todo!()
    }
    /// Sends on the client's data channel; queued, within bounds, until it is open.
    ///
    /// # Errors
    /// [`DataError`] when the message is too large or too much waits.
    pub fn send_data(&mut self, now: Instant, reliable: bool, payload: Bytes) -> Result<(), DataError> {
        todo!()
    }
    /// SSRC of an uplink's layer as seen on the wire.
    #[must_use]
    pub fn uplink_ssrc(&self, track: usize, layer: Layer) -> Option<u32> {
        todo!()
    }
    /// What has been refused so far.
    #[must_use]
    pub fn counters(&self) -> &RtcCounters {
        todo!()
    }
    /// Stands in for ICE and DTLS in simulations and benchmarks.
    #[cfg(any(test, feature = "sim"))]
    pub fn install_keys(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        profile: SrtpProfile,
        keying_material: &[u8],
    ) {
        todo!()
    }
}
