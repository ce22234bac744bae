//! SDP: a client's offer into types of ours, and the answer back into text.
//!
//! Parsing is the library's, reading attributes and all limits are ours. What may not live here: which section gets
//! which track.

mod alike;
mod answer;
mod codecs;
mod offer;
mod ours;

pub(crate) use answer::{AnswerHead, AnswerSection, Role, write_answer};
pub(crate) use codecs::Matched;
pub(crate) use offer::{Offer, Section, SectionKind};
pub(crate) use ours::our_section;

/// Header extensions we know, with the ids one offer gives them; equal in all sections of a bundle (RFC 8843).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionIds {
    pub(crate) mid: Option<u8>,
    pub(crate) rid: Option<u8>,
    pub(crate) repaired_rid: Option<u8>,
    pub(crate) audio_level: Option<u8>,
    pub(crate) transport_cc: Option<u8>,
    pub(crate) abs_send_time: Option<u8>,
    pub(crate) dependency: Option<u8>,
}

impl ExtensionIds {
    pub(crate) const MID: &'static str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    pub(crate) const RID: &'static str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    pub(crate) const REPAIRED_RID: &'static str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    pub(crate) const AUDIO_LEVEL: &'static str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    pub(crate) const TRANSPORT_CC: &'static str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    pub(crate) const ABS_SEND_TIME: &'static str =
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    pub(crate) const DEPENDENCY: &'static str =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

    /// Takes note of a mapping; unknown URIs are ignored, the first id of a URI stays.
    pub(crate) fn learn(&mut self, id: u8, uri: &str) {
        let slot = match uri {
            Self::MID => &mut self.mid,
            Self::RID => &mut self.rid,
            Self::REPAIRED_RID => &mut self.repaired_rid,
            Self::AUDIO_LEVEL => &mut self.audio_level,
            Self::TRANSPORT_CC => &mut self.transport_cc,
            Self::ABS_SEND_TIME => &mut self.abs_send_time,
            Self::DEPENDENCY => &mut self.dependency,
            _ => return,
        };
        slot.get_or_insert(id);
    }

    /// What is not known here is taken from elsewhere.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            mid: self.mid.or(other.mid),
            rid: self.rid.or(other.rid),
            repaired_rid: self.repaired_rid.or(other.repaired_rid),
            audio_level: self.audio_level.or(other.audio_level),
            transport_cc: self.transport_cc.or(other.transport_cc),
            abs_send_time: self.abs_send_time.or(other.abs_send_time),
            dependency: self.dependency.or(other.dependency),
        }
    }
}

#[cfg(test)]
mod tests;
