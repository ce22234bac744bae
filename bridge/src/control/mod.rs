//! The control task of a node: the one owner of `MeshCore`.
//!
//! [`task`] feeds it from links, shards and signalling, and carries out what it wants; `tracks` remembers which id
//! clients know a track by, for operators; `view` turns its view into what signalling ranks nodes with, and [`feed`]
//! into the operator feed `/api/mesh`.
//!
//! What may not live here: any decision about rooms, links or routes. An output of the core is one call.

pub mod feed;
pub mod task;
mod tracks;
mod view;

pub use feed::MeshFeed;
pub use task::{ControlTask, Inlets, Order, Outlets};
