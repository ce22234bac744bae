//! Why an emulator could not start or had to end.

use std::io;
use std::net::SocketAddrV4;

use thiserror::Error;

use super::config::ConfigError;

/// Why the emulator could not start or had to end.
#[derive(Debug, Error)]
pub enum WanError {
    /// An address could not be taken.
    #[error("cannot listen on {address} ({purpose}): {source}")]
    Bind {
        /// What the address is for.
        purpose: String,
        /// The address.
        address: SocketAddrV4,
        /// The system's answer.
        source: io::Error,
    },
    /// The capture file could not be written.
    #[error("cannot write the capture: {0}")]
    Capture(#[source] io::Error),
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system refused epoll, a timer or an event descriptor.
    #[error("the system refused the event loop: {0}")]
    EventLoop(#[from] io::Error),
    /// The emulator has ended.
    #[error("the emulator has ended")]
    Stopped,
    /// No such link.
    #[error("there is no link {from} > {to}")]
    UnknownLink {
        /// Sending node.
        from: String,
        /// Receiving node.
        to: String,
    },
}

impl From<nix::Error> for WanError {
    fn from(error: nix::Error) -> Self {
        Self::EventLoop(error.into())
    }
}
