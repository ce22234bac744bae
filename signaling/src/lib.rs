//! The client side of a Causeway node: it lets people in, speaks the client protocol with them, and drives their media
//! session on the bridge.
//!
//! LiveKit client SDKs connect here unmodified (the open LiveKit signalling protocol, version 1; not affiliated with
//! LiveKit). Nothing of media is in this crate: it sends [`SessionCommand`](relay_proto::session::SessionCommand)s and
//! receives [`SessionFact`](relay_proto::session::SessionFact)s, both of which could cross a wire.
//!
//! Two halves:
//! * **pure** modules that take `now` and random bytes as arguments: [`token`], [`protocol`], [`session`], [`room`],
//!   [`hub`], [`placement`], [`join`], [`limits`], [`address`], [`turn`]. All rules are there.
//! * the **shell**: [`http`] (routes), `websocket` (one task per connection) and [`task`] (the one task that owns the
//!   hub). It owns sockets, clocks and queues and holds no rule about rooms, tracks or layers.
//!
//! One flow: a frame is decoded by its connection's task, queued to the hub task, and becomes commands; a fact of the
//! bridge reaches the hub task and becomes frames in the queues of the connections. A connection whose queue is full is
//! closed; nothing ever waits for a slow client.

pub mod address;
pub mod config;
pub mod counters;
pub mod directory;
mod gather;
pub mod http;
pub mod hub;
pub mod join;
pub mod limits;
pub mod mesh_view;
pub mod placement;
pub mod protocol;
pub mod room;
pub mod session;
pub mod sid;
pub mod task;
pub mod token;
pub mod turn;
mod websocket;

pub use config::{GeoOverrides, SignalingConfig};
pub use counters::Counters;
pub use directory::RoomDirectory;
pub use http::Signaling;
pub use hub::DrainProgress;
pub use limits::{Limits, counted_as};
pub use mesh_view::{MeshView, NodeView, RoomHost};
pub use task::FactsTask;
pub use turn::TurnServers;
