//! Identifiers. Each is a type of its own, so that no number of one kind is ever passed for another.

use bincode::{Decode, Encode};
use std::fmt;

/// Longest name of a node, in bytes.
pub const MAX_NODE_NAME_BYTES: usize = 64;
/// Longest name of a room, in bytes.
pub const MAX_ROOM_NAME_BYTES: usize = 256;
/// Longest identity of a participant, in bytes.
pub const MAX_IDENTITY_BYTES: usize = 256;

/// A node on the wire: the 32-bit FNV-1a hash of its name.
///
/// Two nodes whose names collide cannot both join a mesh: the hello carries the name too and the second is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The id of the node called `name`. Cost: one pass over the name. Source: FNV-1a (32 bit).
    #[must_use]
    pub fn of(name: &str) -> Self {
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        Self(hash)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node:{:08x}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub String);

        impl $name {
            /// The text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The name of a node as its operator wrote it, for example `fra`. At most [`MAX_NODE_NAME_BYTES`] bytes.
    NodeName
}
text_id! {
    /// The name of a conference. At most [`MAX_ROOM_NAME_BYTES`] bytes.
    RoomName
}
text_id! {
    /// A participant's server-made id (`PA_` and 12 letters), unique over the mesh, made by its home node.
    ParticipantSid
}
text_id! {
    /// A participant's identity from its token: unique in a room, chosen by whoever minted the token.
    Identity
}
text_id! {
    /// A track's server-made id (`TR_` and 12 letters), unique over the mesh.
    TrackSid
}

/// One signalling session: the node that holds the WebSocket, and a serial number that node never reuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct SessionId {
    /// The node whose signalling opened the session.
    pub entry: NodeId,
    /// Serial number on that node, from 1.
    pub serial: u32,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entry, self.serial)
    }
}

/// A track inside datagrams: unique on its origin node for as long as that process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TrackAlias(pub u32);

/// How often a node has (re-)entered a conference. Only grows; packets and rows of an older one are dropped.
///
/// The origin takes it from its start time in seconds, then counts up, so a restarted process is always newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The low eight bits, as the datagram header carries them.
    #[must_use]
    pub const fn low_byte(self) -> u8 {
        (self.0 & 0xff) as u8
    }
}

/// A layer of a video track: 0 is the smallest picture, 2 the largest. Audio is always layer 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Layer(pub u8);

/// Most layers a track can have.
pub const MAX_LAYERS: usize = 3;

impl Layer {
    /// The largest layer there is.
    pub const TOP: Self = Self(MAX_LAYERS as u8 - 1);
}

/// A set of layers; bit *n* stands for layer *n*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct LayerSet(pub u8);

impl LayerSet {
    /// No layer at all.
    pub const NONE: Self = Self(0);

    /// The set with only `layer` in it; empty where no set can hold it (8 and above).
    #[must_use]
    pub const fn only(layer: Layer) -> Self {
        match 1_u8.checked_shl(layer.0 as u32) {
            Some(bit) => Self(bit),
            None => Self::NONE,
        }
    }

    /// Whether `layer` is in the set.
    #[must_use]
    pub const fn contains(self, layer: Layer) -> bool {
        self.0 & Self::only(layer).0 != 0
    }

    /// The set with `layer` added.
    #[must_use]
    pub const fn with(self, layer: Layer) -> Self {
        Self(self.0 | Self::only(layer).0)
    }

    /// The set without `layer`.
    #[must_use]
    pub const fn without(self, layer: Layer) -> Self {
        Self(self.0 & !Self::only(layer).0)
    }

    /// The layers of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_the_fnv_hash_of_its_name() {
        // Source: the FNV reference vectors for 32-bit FNV-1a.
        assert_eq!(NodeId::of(""), NodeId(0x811c_9dc5));
        assert_eq!(NodeId::of("a"), NodeId(0xe40c_292c));
        assert_eq!(NodeId::of("foobar"), NodeId(0xbf9c_f968));
    }

    #[test]
    fn a_set_holds_what_was_added_and_ignores_what_it_cannot_hold() {
        let set = LayerSet::only(Layer(0)).with(Layer(2));
        assert!(set.contains(Layer(0)) && !set.contains(Layer(1)) && set.contains(Layer(2)));
        assert!(LayerSet::only(Layer(8)).is_empty());
        assert!(!LayerSet(0xff).contains(Layer(200)));
        assert_eq!(set.with(Layer(255)), set);
    }
}
