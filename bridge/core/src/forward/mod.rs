//! From one published packet to every leg and next-hop node that wants it.
//!
//! [`track::Track`] is the unit: its layers with their caches, its legs (viewers on this shard) and its next-hop
//! nodes. A packet enters through [`track::Track::ingest`], whether it came from a client or over a link; legs are
//! written by [`leg::Leg::write_batch`]. Everything here is free of clients' transports, rooms and links: sealing is
//! behind [`packet::SealRtp`], so that the forward path can be read and tested by itself.

pub mod asked;
pub mod av1;
pub mod cache;
mod clock;
pub mod dependency;
pub mod keyframe;
pub mod layer;
mod lead_in;
pub mod leg;
pub mod nack;
pub mod packet;
pub mod peers;
mod publishing;
mod rate;
mod redundancy;
pub mod rewrite;
pub mod sequence;
pub mod svc;
pub mod track;
pub mod vp9;
