//! Links: one QUIC connection per pair of nodes, for all rooms.
//!
//! ```text
//!  MeshCore --ControlMessage--> control stream (ordered, bounded; full closes the link) --> peer
//!  shards   --datagrams-------> lanes (probe > audio > video) --> pace --> QUIC ----------> peer
//!  peer --> control stream --> LinkEvent::Control     peer --> datagrams --> DatagramSink | LinkEvent::Probe
//! ```
//!
//! `endpoint` owns the UDP socket and answers, `dialer` calls the peers of the configuration, `connection` runs
//! an established link, [`tls`] says who is believed, [`transport`] sets quinn's knobs, [`congestion`] estimates what
//! the link carries and `pace` holds the [`lanes`] to it.
//!
//! What may not live here: rooms, tracks beyond counting them, rows, or the choice between two links to one peer.
//! Those are `MeshCore`'s; this module reports [`LinkEvent`]s and does what a [`LinkHandle`] is told.

pub mod congestion;
mod connection;
mod dialer;
mod endpoint;
mod estimate;
mod event;
mod explain;
mod handle;
pub mod lanes;
mod pace;
mod pump;
mod reader;
pub mod tls;
mod traffic;
pub mod transport;
mod writer;

pub use dialer::{DialState, Dialer, LinkedPeers};
pub use endpoint::{EndpointError, LinkEndpoint, LinkSettings};
pub use estimate::{LinkEstimate, RateLimits};
pub use event::{CloseReason, DatagramSink, LinkEvent, OpenedLink};
pub use handle::{ControlQueueFull, LinkHandle, LinkStats};
pub use pace::Pace;
pub use traffic::{Media, Stream, StreamKey, Traffic};

#[cfg(test)]
mod tests;
