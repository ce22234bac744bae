//! A light client's session descriptions: offers written as browsers write them, answers read.
//!
//! All pure. Only what clients of an SFU need (RFC 8829 in the answerer-is-ICE-lite corner): one bundle, sections that are
//! only ever appended, the client always offers.

mod answer;
mod offer;

pub use answer::{Answer, AnswerError, AnswerSection, KnownCodec};
pub use offer::{Offer, OfferSection};

/// What an m-line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels, and whatever else.
    Application,
}

/// Header extensions by their URI.
pub mod uri {
    /// Which section a packet belongs to (RFC 9143).
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// Which layer (RFC 8852).
    pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    /// Which layer a retransmission repairs (RFC 8852).
    pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    /// Loudness (RFC 6464).
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    /// When the packet was sent.
    pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// Number of the packet on its connection.
    pub const TRANSPORT_CC: &str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
}
