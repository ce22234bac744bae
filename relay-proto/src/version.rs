//! Protocol versions and feature bits, agreed in the hello.

use bincode::{Decode, Encode};

/// The version of the inter-node protocol this build speaks.
pub const PROTOCOL_VERSION: u16 = 1;

/// The oldest version this build can still talk to.
pub const OLDEST_SPOKEN_VERSION: u16 = 1;

/// A set of optional abilities; a bit is used only when both sides announce it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Features(pub u64);

impl Features {
    /// A media packet may arrive in two datagrams (see `datagram::Piece`).
    pub const SPLIT: Self = Self(1);
    /// Lost media is asked for again with NACK datagrams.
    pub const NACK: Self = Self(1 << 1);

    /// Room streams say who may receive what, and how good connections are.
    pub const AUDIENCE: Self = Self(1 << 2);

    /// Room streams carry the numbers of reliable messages.
    pub const SEQUENCE: Self = Self(1 << 3);

    /// Records may name tracks in VP9 and AV1.
    pub const CODECS: Self = Self(1 << 4);

    /// Packets of AV1 bring their dependency descriptors (see `datagram::MediaBody`).
    pub const DESCRIPTORS: Self = Self(1 << 5);

    /// Datagrams say what of a track a link has room for, and show how much it carries (see `datagram::Kind::Allowance` and
    /// `datagram::Kind::Padding`).
    pub const ALLOWANCES: Self = Self(1 << 6);

    /// A few datagrams of sound are followed by their parity (see `datagram::Kind::Parity`).
    pub const PARITY: Self = Self(1 << 7);

    /// Media takes distribution trees and room streams take detours: rows of [`crate::row::RowKey::Transit`], demands for
    /// tracks of third nodes, and relayed room streams.
    pub const TREES: Self = Self(1 << 8);

    /// Rows are signed by their owners and passed on as they were signed; who lacks some says so by
    /// [`crate::control::ControlMessage::RowSummary`].
    pub const SIGNED: Self = Self(1 << 9);
    /// The node takes media sessions that others drive (see [`crate::steering`]). Left out where the operator has turned
    /// that off.
    pub const STEERING: Self = Self(1 << 10);

    /// All abilities of this build.
    pub const OURS: Self = Self(
        Self::SPLIT.0
            | Self::NACK.0
            | Self::AUDIENCE.0
            | Self::SEQUENCE.0
            | Self::CODECS.0
            | Self::DESCRIPTORS.0
            | Self::ALLOWANCES.0
            | Self::PARITY.0
            | Self::TREES.0
            | Self::SIGNED.0
            | Self::STEERING.0,
    );

    /// These without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What both sides can do.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The protocol version two nodes use, or none where their ranges do not meet.
///
/// Each side announces the newest and the oldest version it speaks; the answer is the newest both know.
#[must_use]
pub fn agree(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let newest = ours.0.min(theirs.0);
    let oldest = ours.1.max(theirs.1);
    (newest >= oldest).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn neighbouring_versions_meet_at_the_newest_both_speak() {
        assert_eq!(agree((3, 2), (2, 1)), Some(2));
        assert_eq!(agree((1, 1), (1, 1)), Some(1));
    }

    #[test]
    fn a_future_version_without_overlap_is_refused() {
        assert_eq!(agree((1, 1), (9, 8)), None);
    }
}
