//! The messages of the ordered control stream of a link.

use crate::id::{Epoch, LayerSet, NodeId, NodeName, RoomName, TrackAlias};
use crate::room::RoomMessage;
use crate::row::{DigestEntry, OwnerSummary, Row, SignedRow};
use crate::steering::SteeringMessage;
use crate::version::Features;
use bincode::{Decode, Encode};

/// First message each way; nothing else is read before it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Newest protocol version spoken.
    pub newest_version: u16,
    /// Oldest protocol version spoken.
    pub oldest_version: u16,
    /// Optional abilities.
    pub features: Features,
    /// Who is speaking.
    pub name: NodeName,
    /// Start time of the process in milliseconds since 1970; tells a restarted node from its former self.
    pub incarnation: u64,
    /// Software version, for people.
    pub software: String,
}

/// Why a link is refused or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum GoodbyeCause {
    /// The node is stopping.
    Stopping,
    /// The versions do not meet.
    VersionMismatch,
    /// Two nodes with one name or one id.
    NameTaken,
    /// The same pair already has a link; this one is the spare.
    DuplicateLink,
    /// The peer broke the protocol.
    ProtocolViolation,
}

/// Which layers of one of the receiver's tracks the sender wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrackDemand {
    /// The receiver's track.
    pub track: TrackAlias,
    /// Wanted layers; empty withdraws.
    pub layers: LayerSet,
}

/// A step of the stream from one node to another that has no link to it, passed on by nodes that cannot read it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DetourMessage {
    /// Who speaks.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// How many more nodes may pass it on.
    pub hops: u8,
    /// Number of the stream among all that `from` has begun since it started; an older one is dropped.
    pub stream: u32,
    /// Number of the step in its stream, from 0.
    pub number: u32,
    /// Sealed [`DetourStep`]; see `WIRE.md`, section 6.
    pub sealed: Vec<u8>,
}

/// What a [`DetourMessage`] says once it is opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DetourStep {
    /// A step of a room stream, as [`ControlMessage::Room`].
    Room(RoomMessage),
    /// Nothing new: shows whether the last step before it has arrived.
    Mark,
    /// Steps of the receiver's stream with that number are missing: it shall begin a new one.
    BeginAnew {
        /// The stream.
        stream: u32,
    },
}

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ControlMessage {
    /// Who is speaking and what it can do.
    Hello(Hello),
    /// What the sender holds, per owner; the receiver answers with what is newer.
    RowDigest(Vec<DigestEntry>),
    /// Rows, new or changed.
    Rows(Vec<Row>),
    /// A step of the sender's room stream.
    Room(RoomMessage),
    /// What the sender wants of the receiver's tracks in a conference.
    Demand {
        /// The conference.
        room: RoomName,
        /// The receiver's epoch in it, so that a late message cannot touch a newer incarnation.
        epoch: Epoch,
        /// Changed demands only.
        tracks: Vec<TrackDemand>,
    },
    /// The sender closes the link.
    Goodbye(GoodbyeCause),
    /// A command for a session on the receiver, from signalling on another node.
    Command {
        /// The node whose signalling speaks.
        entry: NodeId,
        /// The command.
        command: Box<crate::session::SessionCommand>,
    },
    /// A fact about a session, for the signalling of the receiver.
    Fact(Box<crate::session::SessionFact>),
    /// What the sender wants of the tracks of `origin` through the receiver, which is the sender's parent in the
    /// distribution tree of (origin, conference). Said again every few seconds: without it the receiver forgets it. Only to
    /// peers with [`Features::TREES`].
    TransitDemand {
        /// Where the tracks are published; it may be the receiver itself.
        origin: NodeId,
        /// The conference.
        room: RoomName,
        /// The origin's epoch in it.
        epoch: Epoch,
        /// The sender has these layers already, from the parent it had before: they go on where they are, without a
        /// keyframe.
        goes_on: bool,
        /// Changed demands, or all of them.
        tracks: Vec<TrackDemand>,
    },
    /// A step of a room stream between two nodes without a link. Only to peers with [`Features::TREES`].
    Detour(DetourMessage),
    /// Rows, new or changed, as their owners have signed them. Only to peers with [`Features::SIGNED`], in place of `Rows`.
    SignedRows(Vec<SignedRow>),
    /// What the sender holds of some owners; the receiver answers with what is newer of its own rows. Only to peers with
    /// [`Features::SIGNED`], in place of `RowDigest`.
    RowSummary {
        /// One entry for each owner of whom something is held and asked for.
        owners: Vec<OwnerSummary>,
        /// Whether the receiver shall answer with the rows of nodes that the sender has no link to, too.
        others: bool,
    },
    /// About media sessions that one of the two drives on the other. Only to peers with [`Features::STEERING`].
    Steering(SteeringMessage),
}
