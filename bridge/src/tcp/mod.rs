//! Media over TCP for clients whose UDP goes nowhere: ICE-TCP, passive (RFC 6544), framed by RFC 4571.
//!
//! ```text
//!  client --connect--> admission --first check names the shard--> its inbox --> ShardCore
//!  client <--lanes of the connection (sound first)---------------------------- ShardCore
//! ```
//!
//! For the core a connection is an address like any other (`bridge_core::rtc::TcpId`). [`listener`] accepts, also what the
//! HTTPS listener hands over, `connection` is the life of one, `framing` finds packets in the stream, [`lanes`] holds what
//! waits for a slow one, `admission` counts who is there.
//!
//! What may not live here: any decision about media but which of it waits, and which is dropped, where a connection holds it
//! back.

mod admission;
mod connection;
pub mod counters;
mod framing;
pub mod lanes;
pub mod limits;
pub mod listener;

pub use counters::TcpCounters;
pub use framing::begins_with_a_check;
pub use limits::TcpLimits;
pub use listener::TcpMedia;
