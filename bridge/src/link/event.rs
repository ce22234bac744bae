//! What links report, and to whom.

use super::handle::LinkHandle;
use bridge_core::mesh::io::{LinkDirection, LinkId};
use bytes::Bytes;
use quinn::VarInt;
use relay_proto::control::{ControlMessage, GoodbyeCause};
use relay_proto::datagram::Header;
use relay_proto::id::NodeId;

/// A link whose handshake is done. Its peer belongs to the mesh; who it is follows with its hello.
#[derive(Clone, Debug)]
pub struct OpenedLink {
    /// Its number on this node.
    pub link: LinkId,
    /// Who opened it.
    pub direction: LinkDirection,
    /// How to use it.
    pub handle: LinkHandle,
}

/// Something that happened on a link. Delivered in order per link; a slow receiver holds the link's control stream
/// back, never its media.
#[derive(Debug)]
pub enum LinkEvent {
    /// First event of every link.
    Opened(OpenedLink),
    /// The next control message. The first is a hello whose name the peer's certificate proves.
    Control {
        /// On which link.
        link: LinkId,
        /// What.
        message: Box<ControlMessage>,
    },
    /// A ping or pong.
    Probe {
        /// On which link.
        link: LinkId,
        /// The whole datagram.
        bytes: Bytes,
    },
    /// The largest datagram the link takes has changed, in bytes.
    DatagramLimitChanged {
        /// On which link.
        link: LinkId,
        /// New limit.
        bytes: usize,
    },
    /// Last event of every link.
    Closed {
        /// Which link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
}

/// Takes media datagrams off a link. Called on the link's reader task: must not block.
pub trait DatagramSink: Send + Sync + 'static {
    /// Hands over datagrams of `from` that have come together, each with its decoded header, and empties `batch`. They may wait
    /// until [`Self::flush`].
    fn deliver(&self, from: NodeId, batch: &mut Vec<(Header, Bytes)>);

    /// What was delivered so far is a batch: nothing more waits to be delivered right now. To be called after the last one.
    /// Waking another thread for each datagram costs more than passing it on (measured: `relay_cpu`, half of a hop).
    fn flush(&self);
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This node closed it.
    #[error("closed here: {0:?}")]
    Ours(GoodbyeCause),
    /// The peer closed it and said why.
    #[error("closed by the peer: {0:?}")]
    Peers(GoodbyeCause),
    /// The peer does not read its control stream, or this node says too much.
    #[error("the control queue is full")]
    ControlOverflow,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
    /// The address leads back to this very node.
    #[error("the address is this node's own")]
    OwnAddress,
    /// The connection is gone.
    #[error("{0}")]
    Lost(String),
}

impl CloseReason {
    /// In words for an operator, where two nodes cannot be linked until somebody changes something.
    pub(super) const fn misfit(&self) -> Option<&'static str> {
        match self {
            Self::Ours(GoodbyeCause::VersionMismatch) | Self::Peers(GoodbyeCause::VersionMismatch) => {
                Some("the two nodes speak no common protocol version; upgrade the older one")
            }
            Self::Ours(GoodbyeCause::NameTaken) | Self::Peers(GoodbyeCause::NameTaken) => {
                Some("two nodes of the mesh have the same node.name")
            }
            _ => None,
        }
    }

    /// What the peer is told.
    pub(super) const fn cause(&self) -> GoodbyeCause {
        match self {
            Self::Ours(cause) | Self::Peers(cause) => *cause,
            Self::ControlOverflow | Self::Protocol(_) => GoodbyeCause::ProtocolViolation,
            Self::OwnAddress | Self::Lost(_) => GoodbyeCause::Stopping,
        }
    }
}

/// The QUIC application error code of a cause.
pub(super) fn close_code(cause: GoodbyeCause) -> VarInt {
    VarInt::from_u32(match cause {
        GoodbyeCause::Stopping => 0,
        GoodbyeCause::VersionMismatch => 1,
        GoodbyeCause::NameTaken => 2,
        GoodbyeCause::DuplicateLink => 3,
        GoodbyeCause::ProtocolViolation => 4,
    })
}

/// The cause of a QUIC application error code; none for codes of the future.
pub(super) fn cause_of(code: VarInt) -> Option<GoodbyeCause> {
    Some(match code.into_inner() {
        0 => GoodbyeCause::Stopping,
        1 => GoodbyeCause::VersionMismatch,
        2 => GoodbyeCause::NameTaken,
        3 => GoodbyeCause::DuplicateLink,
        4 => GoodbyeCause::ProtocolViolation,
        _ => return None,
    })
}
