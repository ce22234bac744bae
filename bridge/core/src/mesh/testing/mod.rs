//! A whole mesh in one thread of virtual time: real `MeshCore`s, imitated links, clients and shards.
//!
//! [`MeshNet`] moves messages between nodes, dials, cuts, kills and restarts; what stands behind a node's shards is
//! the [`ShardPort`] of the caller's choice ([`FakeShards`] answers every command at once). The same seed gives the
//! same run. What may not live here: expectations about rooms; those belong to the tests.

mod authority;
mod chance;
mod clients;
mod directory;
mod fake_shards;
mod net;
mod pipe;
mod size;
mod wires;

pub use authority::TestAuthority;
pub use chance::Chance;
pub use clients::{ClientsView, announce, join_command};
pub use fake_shards::FakeShards;
pub use net::{MeshNet, NodeIndex, SentBytes, SentMedia, ShardPort};
pub use pipe::Path;
pub use size::{FullMesh, Size, Traffic};
