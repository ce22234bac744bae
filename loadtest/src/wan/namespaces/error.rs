//! Why namespaces could not be made or used.

use std::io;

use thiserror::Error;

use crate::wan::config::ConfigError;
use crate::wan::error::WanError;

/// Why namespaces could not be made or used.
#[derive(Debug, Error)]
pub enum NamespacesError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A TUN device could not be opened.
    #[error("the system refused the device of region {region}: {source}")]
    Device {
        /// The region.
        region: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The emulator behind the namespaces.
    #[error(transparent)]
    Emulator(#[from] WanError),
    /// A thread could not enter a namespace.
    #[error("cannot enter the network namespace {name}: {source}")]
    Enter {
        /// Name of the namespace.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The name is taken.
    #[error("the network namespace {0} exists already: give this emulator another `prefix`")]
    Exists(String),
    /// iproute2 refused.
    #[error("`ip {arguments}` failed: {said}")]
    Ip {
        /// What it was told.
        arguments: String,
        /// What it said.
        said: String,
    },
    /// This machine or user cannot have namespaces.
    #[error(
        "network namespaces are not possible here: {0}; run it as root on Linux with iproute2 and /dev/net/tun, or \
         use the user-space relay (`loadtest run` without --namespaces; `loadtest wan` with `listen` and `forward_to` for \
         every link)"
    )]
    NotPossible(String),
    /// A thread could not be started.
    #[error("the system refused a thread: {0}")]
    Thread(#[source] io::Error),
    /// No such region.
    #[error("there is no region {0}")]
    UnknownRegion(String),
}
