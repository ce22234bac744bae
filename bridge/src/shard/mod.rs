//! Media threads: each owns one UDP socket and one `ShardCore`, and shares nothing with its siblings. Where a room is on
//! several of them, they relay to each other as nodes do.
//!
//! ```text
//!  clients --recvmmsg--> ShardCore --GSO--> clients
//!  tcp ----inbox------> ShardCore --lanes of a connection--> clients by TCP
//!  links ---inbox------> ShardCore --lanes of the next hop--> links
//!  siblings-inbox------> ShardCore --their inboxes--> siblings
//!  links ---readers----> ShardCore of what only passes through --lanes of the next hop--> links
//!  mesh ----inbox------> ShardCore --facts--> mesh
//! ```
//!
//! [`inbox`] is how other threads speak to a shard and wake it, [`routes`], `siblings` and `connections` say where a datagram goes, [`socket`] receives and sends in batches, and
//! [`passing`] is the one shard without a thread; [`thread`] is the loop: take everything that waits, stamp `now` once, feed the core, drain it, sleep.
//!
//! What may not live here: any decision about media. The core decides; this moves bytes.

mod connections;
pub mod inbox;
pub mod passing;
mod priority;
pub mod routes;
mod siblings;
pub mod socket;
pub mod thread;

pub use inbox::ShardInbox;
pub use passing::PassingShard;
pub use routes::{LinkTable, TrackRoutes};
pub use siblings::Siblings;
pub use socket::MediaSocket;
pub use thread::{ShardEvent, ShardThread};
