//! The shell of a Causeway node: sockets, QUIC, configuration, command line and metrics, composed around the pure
//! core.
//!
//! Nothing here decides about rooms, tracks or layers. [`link`] joins nodes, [`media`] runs the shards.

pub mod link;
pub mod media;
