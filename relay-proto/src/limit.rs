//! Named limits on everything a control message can hold, and the check of a whole message against them.
//!
//! [`crate::codec`] applies it in both directions: a message over a limit is neither sent nor accepted, so no
//! other module of the mesh has to distrust a length. What may not live here: rules that need more than the one
//! message (who may write which row, which epoch is current) — those belong to the mesh core.

mod check;

use crate::control::{ControlMessage, DetourStep};
use crate::steering::SteeringStep;
use check::Bounded;

/// Longest server-made id (`PA_…`, `TR_…`), in bytes.
pub const MAX_SID_BYTES: usize = 64;
/// Longest short text (region, software version, URL, names of people and tracks, `mid`, candidate, reason), in bytes.
pub const MAX_LABEL_BYTES: usize = 4 << 10;
/// Longest metadata and attribute value, in bytes.
pub const MAX_TEXT_BYTES: usize = 64 << 10;
/// Longest session description, in bytes.
pub const MAX_SDP_BYTES: usize = 512 << 10;
/// Largest payload of one message among participants, in bytes.
pub const MAX_DATA_BYTES: usize = 256 << 10;
/// Most owners in one digest.
pub const MAX_DIGEST_ENTRIES: usize = 4_096;
/// Most rows in one message.
pub const MAX_ROWS: usize = 1_024;
/// Most certificates that prove the key of a node.
pub const MAX_CERTIFICATES: usize = 4;
/// Longest certificate of them, and longest endorsement, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 8 << 10;
/// Most demands in one message.
pub const MAX_DEMANDS: usize = 16_384;
/// Most participants in one snapshot or list of others; more follow one by one as upserts.
pub const MAX_PARTICIPANTS: usize = 2_048;
/// Most tracks of one participant.
pub const MAX_TRACKS: usize = 64;
/// Most attributes of one participant.
pub const MAX_ATTRIBUTES: usize = 256;
/// Most numbers in a list that clients interpret (capabilities, audio features, sources).
pub const MAX_NUMBERS: usize = 64;
/// Most addressees of one message among participants; none means everybody.
pub const MAX_RECIPIENTS: usize = 2_048;
/// Most tracks named by one command or fact.
pub const MAX_TRACK_REFERENCES: usize = 4_096;
/// Most levels in one fact.
pub const MAX_SPEAKERS: usize = 2_048;

/// Longest sealed step of a detour, in bytes: what a frame takes, less its head.
pub const MAX_DETOUR_BYTES: usize = (1 << 20) - 64;

/// Why a message that decodes is refused all the same. Always the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A text or list is longer than its named limit.
    #[error("{what}: {size} is over the limit of {limit}")]
    TooLarge {
        /// Which part of which type.
        what: &'static str,
        /// Its length in bytes or elements.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A name that identifies something is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A number is outside the range of its unit.
    #[error("{what}: {value} is out of range")]
    OutOfRange {
        /// Which part of which type.
        what: &'static str,
        /// What it says.
        value: i64,
    },
    /// Two parts of the message contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

impl ControlMessage {
    /// Checks every name, text, list and layer of the message against its named limit.
    ///
    /// Cost: one pass over the message, no allocation. [`crate::codec`] calls it; call it yourself only for a
    /// message that did not come through there.
    ///
    /// # Errors
    /// The first [`LimitError`] found; from a peer it is a protocol violation.
    pub fn validate(&self) -> Result<(), LimitError> {
        self.check()
    }
}

impl DetourStep {
    /// As [`ControlMessage::validate`].
    ///
    /// # Errors
    /// The first [`LimitError`] found.
    pub fn validate(&self) -> Result<(), LimitError> {
        self.check()
    }
}

impl SteeringStep {
    /// As [`ControlMessage::validate`].
    ///
    /// # Errors
    /// The first [`LimitError`] found.
    pub fn validate(&self) -> Result<(), LimitError> {
        self.check()
    }
}

#[cfg(test)]
mod tests;
