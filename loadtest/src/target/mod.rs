//! The servers under test: a mesh of our own nodes with emulated links, or a server that is there already.
//!
//! Starts and stops processes, causes faults, and reads from outside what a server costs: CPU and memory from the
//! operating system, counters from `/metrics`. Clients and rooms are none of this folder's business.

mod attached;
mod feed;
mod http;
mod mesh;
mod metrics;
mod ports;
mod process;
mod sample;

use std::path::PathBuf;

use thiserror::Error;

use crate::wan::{NamespacesError, WanError};

pub use crate::wan::namespaces::Entrance;
pub use attached::Attached;
pub use feed::{Feed, MediaCount, Sent};
pub use mesh::{Ground, Mesh, MeshSpec, NodeSpec};
pub use metrics::Counters;
pub use sample::{Cost, Sample};

/// Why a server cannot be tested.
#[derive(Debug, Error)]
pub enum TargetError {
    /// There is no such program.
    #[error("cannot start {}: {source}; build it with `cargo build --release -p bridge` or name it with --causeway", path.display())]
    Program {
        /// What should be started.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// People are where no node is, and there is no network between.
    #[error(
        "the scenario has regions without a node, whose people reach one over an emulated link: run it with --namespaces"
    )]
    PlacesNeedNamespaces,
    /// A file or folder of the run.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder of a mesh is there already: it is removed in the end, and so would be what it holds.
    #[error("{} exists already; name a folder that does not", .0.display())]
    FolderExists(PathBuf),
    /// A node ended before it was wanted to.
    #[error("node {node} ended ({status}); its last lines:\n{log}")]
    Ended {
        /// Which.
        node: String,
        /// How.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A node does not become ready, or does not see the others.
    #[error("node {node} was not {what} within {seconds} s; its last lines:\n{log}")]
    NotReady {
        /// Which.
        node: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// No node or link of that name.
    #[error("there is no node {0:?} in this mesh")]
    UnknownNode(String),
    /// A server that cannot be used.
    #[error("{url}: {reason}")]
    Server {
        /// Its address.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The emulated links.
    #[error(transparent)]
    Wan(#[from] WanError),
    /// The namespaces the nodes should be in.
    #[error(transparent)]
    Namespaces(#[from] NamespacesError),
    /// A signal could not be sent.
    #[error("node {node} takes no signal: {reason}")]
    Signal {
        /// Which.
        node: String,
        /// What the system says.
        reason: String,
    },
    /// No free ports.
    #[error("no free UDP ports in a row: {0}")]
    Ports(std::io::Error),
}
