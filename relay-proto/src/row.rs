//! Replicated rows. Each node alone writes its own rows; a higher version wins; nothing else merges.

use crate::id::{Epoch, NodeId, NodeName, RoomName};
use crate::unit::{Micros, MilliDegrees, PartsPerMillion};
use crate::version::Features;
use bincode::{Decode, Encode};

/// Whether a node takes new sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum NodeState {
    /// Takes new sessions.
    Serving,
    /// Keeps its sessions, takes no new ones.
    Draining,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeFacts {
    /// Its name.
    pub name: NodeName,
    /// The operator's label for the place.
    pub region: String,
    /// Latitude.
    pub latitude: MilliDegrees,
    /// Longitude.
    pub longitude: MilliDegrees,
    /// Base URL clients reach it at (`https://…` or `http://…`).
    pub public_url: String,
    /// Version of the software.
    pub software: String,
    /// Whether it takes sessions.
    pub state: NodeState,
    /// Used share of its capacity.
    pub load: PartsPerMillion,
    /// Participants homed on it.
    pub participants: u32,
}

/// What a node says of one of its links.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LinkFacts {
    /// The other end.
    pub peer: NodeId,
    /// Whether it carries traffic.
    pub up: bool,
    /// Smoothed round trip.
    pub rtt: Micros,
    /// Lost pings.
    pub loss: PartsPerMillion,
}

/// That a node hosts a conference.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HostFacts {
    /// Which conference.
    pub room: RoomName,
    /// The node's epoch in it.
    pub epoch: Epoch,
    /// Participants homed on the node.
    pub participants: u32,
}

/// That a node takes part in distribution trees, and what others need to know for it. Only peers with
/// [`Features::TREES`] are told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransitFacts {
    /// What the node can do. Nodes without a link to it cannot ask.
    pub features: Features,
    /// How many times the shortest way a node may be from this one in its trees, in millionths: 1,200,000 is 1.2.
    pub stretch: PartsPerMillion,
    /// Room streams to and from this node are sealed under keys agreed with it (X25519, RFC 7748) where they take detours.
    pub public_key: [u8; 32],
}

/// The key that signs a node's rows, and what proves that it is that node's: its certificate signs for it. Only peers with
/// [`Features::SIGNED`] are told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IdentityFacts {
    /// Signs the rows of this process (Ed25519, RFC 8032).
    pub public_key: [u8; 32],
    /// The certificate of the node (X.509, DER), then those that lead to the authority of the mesh.
    pub chain: Vec<Vec<u8>>,
    /// How the certificate's key has signed (a `SignatureScheme` of TLS 1.3, RFC 8446).
    pub scheme: u16,
    /// Its signature over [`IdentityFacts::statement`].
    pub endorsement: Vec<u8>,
}

impl IdentityFacts {
    /// What the key of a certificate signs to say that `public_key` signs rows of its node.
    #[must_use]
    pub fn statement(public_key: &[u8; 32]) -> Vec<u8> {
        [b"causeway row key 1\0".as_slice(), public_key].concat()
    }
}

/// Which row of its owner a row is; the order is the order of digests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum RowKey {
    /// The node itself.
    Node,
    /// Its link to a peer.
    Link(NodeId),
    /// A conference it hosts.
    Host(RoomName),
    /// Its part in distribution trees.
    Transit,
    /// The key that signs its rows.
    Identity,
}

/// The content of a row.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RowValue {
    /// Content of [`RowKey::Node`].
    Node(NodeFacts),
    /// Content of [`RowKey::Link`].
    Link(LinkFacts),
    /// Content of [`RowKey::Host`].
    Host(HostFacts),
    /// The row is gone; kept until its owner's next incarnation so that it does not come back.
    Gone,
    /// Content of [`RowKey::Transit`].
    Transit(TransitFacts),
    /// Content of [`RowKey::Identity`].
    Identity(IdentityFacts),
}

/// Version of a row: the owner's incarnation (start time in milliseconds), then a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RowVersion {
    /// Start time of the owning process in milliseconds since 1970.
    pub incarnation: u64,
    /// Grows with each change of any of the owner's rows.
    pub counter: u64,
}

/// One replicated fact.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Row {
    /// The only node that may write it.
    pub owner: NodeId,
    /// Which of the owner's rows.
    pub key: RowKey,
    /// When it was written.
    pub version: RowVersion,
    /// What it says.
    pub value: RowValue,
}

/// The newest version somebody holds of one owner's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DigestEntry {
    /// Whose rows.
    pub owner: NodeId,
    /// The newest version held; everything up to it is held.
    pub newest: RowVersion,
}

/// An Ed25519 signature (RFC 8032).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signature(pub [u8; 64]);

/// A row as its owner has signed it: whoever passes it on cannot change it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedRow {
    /// The row.
    pub row: Row,
    /// By the key of its owner's row of [`RowKey::Identity`], over [`crate::codec::row_to_sign`].
    pub signature: Signature,
}

/// What somebody holds of one owner's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OwnerSummary {
    /// Whose rows.
    pub owner: NodeId,
    /// Everything up to this version is held.
    pub newest: RowVersion,
    /// Sum of [`mark`] over all rows held that are not gone, modulo 2^64.
    pub marks: u64,
}

/// The mark of a row in an [`OwnerSummary`]: FNV-1a (64 bit) over its key and version, mixed so that sums tell sets apart.
/// Cost: one pass over the key.
#[must_use]
pub fn mark(key: &RowKey, version: RowVersion) -> u64 {
    let (kind, name) = match key {
        RowKey::Node => (0_u8, Vec::new()),
        RowKey::Link(peer) => (1, peer.0.to_be_bytes().to_vec()),
        RowKey::Host(room) => (2, room.as_str().as_bytes().to_vec()),
        RowKey::Transit => (3, Vec::new()),
        RowKey::Identity => (4, Vec::new()),
    };
    let words = [version.incarnation.to_be_bytes(), version.counter.to_be_bytes()];
    let bytes = std::iter::once(kind)
        .chain(name)
        .chain(words.into_iter().flatten());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last steps of splitmix64 (Steele, Lea, Flood 2014).
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
