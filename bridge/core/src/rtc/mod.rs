//! One client's media transport, without sockets: ICE-lite, DTLS, SRTP, SCTP data channels, RTCP, and the SDP answerer.
//!
//! A [`Session`] knows tracks by their sid and nothing else of rooms: who may receive what, which layer is chosen and
//! what is repaired is decided elsewhere. It follows the contract of the crate: `handle_*(now, …)`, then drain
//! `poll_transmit`, `poll_event` and `poll_new_addr`; `poll_timeout` says when to call `handle_timeout` at the latest.
//! Outgoing media does not pass through the session: the forwarder writes packets itself and seals them in place
//! with [`Outgoing`].
//!
//! What may not live here: rooms, subscriptions, caches, layer choice, relaying between nodes.

mod config;
mod counters;
mod demux;
mod dtls;
mod ice;
mod io;
mod losses;
mod mux;
mod negotiation;
mod random;
mod receiver_report;
mod rtcp;
mod rtp;
mod sctp;
mod sdp;
mod session;
mod srtp;
mod stun;
mod tcp;
#[cfg(any(test, feature = "sim"))]
pub mod testing;
mod twcc;

pub use config::{RtcConfig, RtcLimits};
pub use counters::RtcCounters;
pub use dtls::{Certificate, CertificateError, Fingerprint};
pub use io::{
    Accepted, Announced, DataError, Downlink, Negotiated, Offered, Received, RtcEvent, RtcpIn, RtcpOut,
    RtpIn, Uplink, Wanted,
};
pub use mux::Mux;
pub use session::{NegotiationError, Outgoing, Session};
pub use srtp::SrtpProfile;
pub use tcp::TcpId;
