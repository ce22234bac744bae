//! Emulated wide-area links between nodes that run on one machine.
//!
//! Two emulators share one model of a link ([`model`]), one configuration file ([`mod@file`]), one set of commands
//! ([`command`]) and counters ([`stats`]):
//!
//! * [`namespaces`]: regions are network namespaces, joined through TUN devices. Whole programs live in a region,
//!   with UDP, TCP and ICMP. Needs root.
//! * [`relay`]: each **directed link** (`fra` to `sin`) owns a listening UDP port. What a node sends to that port
//!   reaches the other node's real port after the link's delay, jitter, loss and rate; the answers come back by
//!   the link of the opposite direction. Needs no privileges.
//!
//! Time, sockets, devices and files are touched by those two and by `capture`, `control`, `desk`, `handle`,
//! `poller` and `running`; everything else here is pure.

mod capture;
pub mod change;
pub mod command;
pub mod config;
mod control;
mod desk;
mod error;
pub mod file;
mod handle;
mod in_flight;
mod links;
pub mod model;
pub mod namespaces;
mod poller;
pub mod profiles;
pub mod relay;
mod running;
pub mod stats;
pub mod units;

pub use command::{Between, Command};
pub use config::{ConfigError, LinkConfig, WanConfig};
pub use error::WanError;
pub use file::WanFile;
pub use handle::WanHandle;
pub use model::{BitRate, Link, LinkProperties, Loss, Probability, Reorder, Verdict};
pub use namespaces::{Namespaces, NamespacesConfig, NamespacesError};
pub use relay::{CaptureTo, Relay};
pub use running::Wan;
pub use stats::{LinkStats, Traffic, WanStats};
