//! The threads that carry media: one per shard, each with its own UDP socket and its own `ShardCore`.
//!
//! ```text
//!  clients --UDP--> socket --> ShardCore --UDP segments--> clients
//!  links ---------> inbox  -->           --datagrams-----> LinkTable --> links
//!  mesh task -----> inbox  -->           --facts---------> mesh task
//! ```
//!
//! [`socket`] batches system calls, [`inbox`] is how other threads reach a shard (bounded; media is dropped and
//! counted, commands wait), [`route`] says which shard a link's datagram belongs to and which link leads to a peer,
//! [`thread`] is the loop. Nothing here decides about rooms, tracks or layers.

pub mod inbox;
pub mod route;
pub mod socket;
pub mod thread;

pub use inbox::{Inbox, InboxClosed};
pub use route::{LinkTable, TrackTable};
pub use socket::{MediaSocket, ReceiveBatch, SocketError};
pub use thread::{ShardSettings, ShardThread};
