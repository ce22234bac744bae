//! The client's side, for simulations, benchmarks and tests: offers, SRTP, packets.
//!
//! Nothing here is part of a node. A simulated client is a [`OfferBuilder`] for signalling (and an [`answer`] to offers of the node), a [`PeerSrtp`] made from the
//! same keying material as `Session::install_keys`, and [`rtp_packet`] for media.

mod answer;
mod offer;
mod srtp;

pub use answer::{AnswererSide, answer};
pub use offer::{OfferBuilder, extension, payload_type};
pub use srtp::{PeerRtcp, PeerRtp, PeerSrtp};

pub(crate) use super::rtcp::write_twcc;
pub(crate) use super::rtp::RtpHeader;
pub(crate) use super::twcc::TwccRecorder;

use super::dtls::Certificate;
use super::stun;
use std::time::Instant;

/// A throw-away certificate. Unlike everything else in this crate it draws randomness and reads the wall clock.
///
/// # Panics
/// If the operating system has no randomness.
#[must_use]
pub fn certificate() -> Certificate {
    let made = dimpl::certificate::generate_self_signed_certificate().expect("randomness");
    Certificate::from_der(made.certificate, made.private_key).expect("a certificate just made")
}

/// Some instant to count virtual time from.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the only way to get an instant; tests count from it"
)]
pub fn instant() -> Instant {
    Instant::now()
}

/// The fixed part of an RTP packet to write.
#[derive(Clone, Copy, Debug)]
pub struct RtpFields {
    /// Payload type.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Sequence number.
    pub seq: u16,
    /// RTP timestamp.
    pub time: u32,
    /// SSRC.
    pub ssrc: u32,
}

/// Writes an RTP packet with one-byte header extensions (ids 1 to 14, 1 to 16 bytes each).
///
/// # Panics
/// If an extension does not fit that form.
#[must_use]
pub fn rtp_packet(fields: RtpFields, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, fields.payload_type | u8::from(fields.marker) << 7];
    packet.extend_from_slice(&fields.seq.to_be_bytes());
    packet.extend_from_slice(&fields.time.to_be_bytes());
    packet.extend_from_slice(&fields.ssrc.to_be_bytes());
    if !extensions.is_empty() {
        packet[0] |= 0x10;
        let mut block = Vec::new();
        for (id, data) in extensions {
            assert!(
                (1..=14).contains(id) && (1..=16).contains(&data.len()),
                "a one-byte extension"
            );
            block.push(id << 4 | (data.len() - 1) as u8);
            block.extend_from_slice(data);
        }
        block.resize(block.len().next_multiple_of(4), 0);
        packet.extend_from_slice(&[0xbe, 0xde, 0, (block.len() / 4) as u8]);
        packet.extend_from_slice(&block);
    }
    packet.extend_from_slice(payload);
    packet
}

/// A client's connectivity check to `local_ufrag` of a session, signed with the session's password.
#[must_use]
pub fn connectivity_check(transaction: u64, local_ufrag: &str, password: &str, nominate: bool) -> Vec<u8> {
    let mut id = [0; 12];
    id[4..].copy_from_slice(&transaction.to_be_bytes());
    stun::binding_request(id, &format!("{local_ufrag}:peer"), password, nominate, &[])
}
