//! What goes into and comes out of a `MeshCore`.

use super::directory::DirectoryOrder;
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::control::{ControlMessage, GoodbyeCause};
use relay_proto::id::{NodeId, TrackAlias};
use relay_proto::session::SessionFact;

/// One established QUIC connection as the shell numbers them; a peer may briefly have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Which side opened a link; both nodes keep the one that the node with the smaller id dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkDirection {
    /// We dialled.
    Dialled,
    /// The peer dialled.
    Accepted,
}

/// Why `MeshCore` closes a link. The core forgets the link at once: a later `handle_link_down` is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// We said goodbye; the message is already queued.
    WeLeft(GoodbyeCause),
    /// The peer said goodbye.
    PeerLeft(GoodbyeCause),
    /// The other end is this very node: the address should not be dialled again.
    SelfConnection,
    /// The echoes of our pings, or the hello, did not come in time.
    Unresponsive,
    /// The peer has restarted; its new process has a link already.
    PeerRestarted,
    /// A named limit of this node is reached.
    LimitReached,
}

/// Why a `MeshCore` wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeshTimer {
    /// A ping is due.
    Ping,
    /// A link's verdict may change.
    Verdict,
    /// A new link's hello is overdue.
    Hello,
    /// A spare link has been read long enough.
    Retire,
    /// Rows that change smoothly are looked at.
    RowRefresh,
    /// Digests go out.
    Digest,
    /// Sessions shared with a node end, because there has been no link to it for too long.
    Lease,
}

/// Something `MeshCore` wants done. The shell does exactly this and decides nothing.
#[derive(Clone, Debug)]
pub enum MeshOutput {
    /// Write a message on a link's control stream (ordered; a full queue closes the link).
    SendControl {
        /// On which.
        link: LinkId,
        /// What.
        message: Box<ControlMessage>,
    },
    /// Send a small datagram (probe or its echo) on a link, ahead of media.
    SendDatagram {
        /// On which.
        link: LinkId,
        /// Bytes, header included.
        bytes: Vec<u8>,
    },
    /// Close a link after what was already queued.
    CloseLink {
        /// Which.
        link: LinkId,
        /// Why; `Goodbye` was already sent where the peer should know.
        cause: CloseCause,
    },
    /// From now on, media for and from `peer` uses this link (or none).
    SelectLink {
        /// The peer.
        peer: NodeId,
        /// Its link.
        link: Option<LinkId>,
    },
    /// Deliver a command to a shard.
    ToShard {
        /// Which.
        shard: ShardId,
        /// What.
        command: ShardCommand,
    },
    /// Datagrams of (origin, track) that arrive on any link belong to these shards (none: drop and count).
    RouteTrack {
        /// Where it is published (this node for feedback on local tracks).
        origin: NodeId,
        /// The track.
        track: TrackAlias,
        /// The shards: of a track of this node the one it is published on; else all that want something of it, or the
        /// first where none does.
        shards: Vec<ShardId>,
    },
    /// Tell the directory outside of the mesh; only where there is one.
    Directory(DirectoryOrder),
    /// Tell this node's signalling.
    ToSignaling(SessionFact),
}
