//! What this machine allows at best: bare programs that do the least any server must do, under the same load.
//!
//! [`forward`] sends one publisher, or several with their own times ([`arrivals`]), to many viewers, [`hop`] passes packets from one encrypted hop to the next, [`echo`]
//! says how late a bare datagram is, [`great_circle`] how late light is. [`rounds`] orders measurements so that a busy
//! machine does not favour one of them. Nothing here knows rooms, clients or a server's protocol, and nothing may learn
//! them: a floor that does more than it must is no floor.
//!
//! Sockets, threads and clocks are in `socket`, `load` and [`echo`]; `packet`, [`great_circle`] and [`rounds`] are pure.

pub mod arrivals;
pub mod echo;
pub mod forward;
pub mod great_circle;
pub mod hop;
mod load;
mod packet;
pub mod rounds;
mod socket;

use std::time::Duration;

use thiserror::Error;

pub use load::{Load, Passed};

/// Why there is no figure.
#[derive(Debug, Error)]
pub enum FloorError {
    /// A load that cannot be offered.
    #[error("{0}")]
    Load(&'static str),
    /// Too little arrived: the figure would be of another load.
    #[error(
        "only {arrived} of {expected} packets arrived; this machine is too busy or the rate too high, lower --pps or --viewers"
    )]
    Overload {
        /// Packets that arrived.
        arrived: u64,
        /// Packets that should have.
        expected: u64,
    },
    /// Nothing was heard of the other side for a while.
    #[error("nothing arrived for {} s; is the loopback device up?", socket::PATIENCE.as_secs())]
    Silence,
    /// The cipher refused, which happens when packets are not what was sent.
    #[error("a packet could not be opened or sealed")]
    Cipher,
    /// A thread has panicked; what it printed says why.
    #[error("a thread of the measurement has panicked")]
    Panicked,
    /// What the system says.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl From<nix::errno::Errno> for FloorError {
    fn from(error: nix::errno::Errno) -> Self {
        Self::System(error.into())
    }
}

/// CPU time of the calling thread since it began. One system call, about 0.2 µs.
fn thread_cpu() -> Result<Duration, FloorError> {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(Duration::from(time))
}

/// Nanoseconds since 1970, on the clock with which the kernel stamps arrivals.
fn wall_ns() -> Result<u64, FloorError> {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)?;
    Ok(Duration::from(time).as_nanos() as u64)
}
