//! The pure core of a Causeway node.
//!
//! Two machines, neither of which opens a socket, reads a clock or draws a random number:
//!
//! * [`shard::ShardCore`], one per media thread, owns client sessions, tracks, fan-out and repair;
//! * [`mesh::MeshCore`], one per node, owns peers, replicated rows, rooms and who hosts them.
//!
//! Both follow one contract. The shell calls `handle_*(now, …)` and then drains every `poll_*` until it answers
//! none; `poll_timeout` says when to call `handle_timeout` at the latest. `now` never goes backwards. Input from
//! the network never fails a call: bad packets become counters, bad sessions become facts.
//!
//! ```text
//! signalling --SessionCommand--> MeshCore --ShardCommand--> ShardCore <--datagrams--> clients
//! signalling <---SessionFact---- MeshCore <----ShardFact--- ShardCore <--datagrams--> links
//!                                MeshCore <-ControlMessage-> links
//! ```

pub mod allocation;
pub mod bandwidth;
pub mod forward;
pub mod mesh;
pub mod red;
pub mod relay;
pub mod room;
pub mod rtc;
pub mod shard;
#[cfg(test)]
mod simulation;
