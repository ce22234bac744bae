//! The shell of a Causeway node: sockets, QUIC, configuration, command line and metrics, composed around the pure
//! core.
//!
//! Nothing here decides about rooms, tracks or layers. [`config`] is what the operator says; [`link`] joins nodes. [`directory`] asks etcd
//! who hosts which room, where that is wanted. [`shard`] runs the media threads, [`tcp`] brings
//! them clients whose UDP is blocked.

pub mod cli;
pub mod config;
pub mod control;
pub mod directory;
mod dual;
pub mod http;
pub mod incarnation;
pub mod link;
mod listening;
pub mod media;
pub mod metrics;
pub mod node;
pub mod places;
pub mod shard;
pub mod tcp;
pub mod telemetry;
