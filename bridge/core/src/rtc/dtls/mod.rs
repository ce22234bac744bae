//! DTLS, passive side: certificate, the port the session uses, and its one adapter.
//!
//! A server may be built only once the ClientHello has been read (see [`client_hello`]), because the client's order of
//! SRTP profiles decides which DTLS version gives AES-GCM. Randomness of the handshake comes from the operating
//! system, inside the library: key exchange must not be replayable from a seed.

mod certificate;
mod client_hello;
mod dimpl;
mod framing;

pub use certificate::{Certificate, CertificateError, Fingerprint};
pub(crate) use dimpl::DimplServer;

use super::srtp::SrtpProfile;
use std::time::Instant;

/// Something a DTLS endpoint wants done, in this order.
#[derive(Debug)]
pub(crate) enum DtlsOutput {
    /// Send this datagram.
    Transmit(Vec<u8>),
    /// The client's certificate hashes to this; comes before [`DtlsOutput::Keys`].
    PeerCertificate(Fingerprint),
    /// The handshake is done as far as SRTP is concerned.
    Keys(SrtpProfile, Vec<u8>),
    /// Application data: an SCTP packet.
    Data(Vec<u8>),
    /// The client has closed the connection.
    Closed,
    /// The connection is unusable.
    Failed(String),
}

/// A DTLS connection without sockets, clock or addresses.
pub(crate) trait DtlsEndpoint {
    /// Takes one datagram. False if it was dropped: not made of whole records, or the budget before the handshake's
    /// end is used up.
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> bool;
    /// Retransmits what is due.
    fn handle_timeout(&mut self, now: Instant);
    /// When `handle_timeout` is due.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Sends application data; dropped before the handshake is done.
    fn send(&mut self, now: Instant, data: &[u8]);
    /// Next thing to do.
    fn poll_output(&mut self) -> Option<DtlsOutput>;
}

#[cfg(test)]
mod tests;
