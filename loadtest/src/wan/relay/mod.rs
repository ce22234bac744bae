//! The real-time half of the emulator: one thread that owns every socket, one timer, and the datagrams under
//! way.
//!
//! For each directed link a socket listens; each sender at it gets a **flow**, a socket of its own connected
//! to the receiving node, so that answers find their way back. An answer obeys the link of the opposite
//! direction, exactly like what the other node sends by itself. Datagram boundaries are preserved, ECN marks
//! are not.
//!
//! A timer file descriptor wakes the thread for the earliest datagram, so precision is that of the kernel's
//! high-resolution timers (measured by `loadtest wan-accuracy`), not of a runtime's tick. What a link does to
//! a datagram is decided in `model`, never here.

mod event_loop;
mod flows;
mod handle;
mod in_flight;
mod pair;
mod poller;

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{setsockopt, sockopt};
use thiserror::Error;

use super::capture::Capture;
use super::config::{ConfigError, WanConfig};
use super::control::ControlServer;
use flows::Flows;
use handle::Request;
pub use handle::WanHandle;
use in_flight::InFlight;
use pair::Pair;
use poller::{Poller, Token};

/// Largest UDP payload.
const LARGEST_DATAGRAM_BYTES: usize = 65_535;

/// What each socket asks the kernel to hold: a second of 4,000 packets of 1,200 bytes.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// Commands that may wait for the thread before their callers wait.
const WAITING_REQUESTS: usize = 64;

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

/// Where delivered datagrams are recorded.
#[derive(Debug, Clone)]
pub struct CaptureTo {
    /// The pcap file, created or emptied at the start, readable up to the last second while the emulator
    /// runs.
    pub path: PathBuf,
    /// Size after which nothing is added, in bytes.
    pub limit_bytes: u64,
}

/// An emulator with all its sockets open. [`Relay::run`] carries datagrams on the calling thread;
/// [`super::Wan`] does it on a thread of its own.
pub struct Relay {
    poller: Poller,
    pairs: Vec<Pair>,
    flows: Flows,
    in_flight: InFlight,
    capture: Option<Capture>,
    control: Option<ControlServer>,
    requests: Receiver<Request>,
    wake: Arc<EventFd>,
    handle: WanHandle,
    buffer: Box<[u8]>,
}

impl Relay {
    /// Opens every socket of `config`, and the capture file if one is asked for.
    ///
    /// # Errors
    /// [`WanError`]: the configuration, the address or the file that failed.
    pub fn bind(config: &WanConfig, capture: Option<&CaptureTo>) -> Result<Self, WanError> {
        config.check()?;
        let poller = Poller::new()?;
        let pairs = Pair::open_all(config)?;
        for (index, pair) in pairs.iter().enumerate() {
            poller.watch(&pair.socket, Token::Listen(index))?;
        }
        let control = config.control.map(ControlServer::bind).transpose()?;
        if let Some(control) = &control {
            poller.watch(control.listener(), Token::ControlListener)?;
        }
        let capture = capture
            .map(|to| Capture::create(&to.path, to.limit_bytes))
            .transpose();
        let wake = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?);
        poller.watch(&wake, Token::Wake)?;
        let (sender, requests) = sync_channel(WAITING_REQUESTS);
        Ok(Self {
            poller,
            pairs,
            flows: Flows::default(),
            in_flight: InFlight::default(),
            capture: capture.map_err(WanError::Capture)?,
            control,
            requests,
            handle: WanHandle::new(sender, Arc::clone(&wake)),
            wake,
            buffer: vec![0; LARGEST_DATAGRAM_BYTES].into_boxed_slice(),
        })
    }

    /// How other threads speak to this emulator.
    pub fn handle(&self) -> WanHandle {
        self.handle.clone()
    }

    /// The addresses that stand for the links, as `(from, to, listen)`, with the ports really taken.
    pub fn listens(&self) -> Vec<(String, String, SocketAddrV4)> {
        self.pairs
            .iter()
            .map(|pair| (pair.from.clone(), pair.to.clone(), pair.listen))
            .collect()
    }

    /// The address of the control socket, with the port really taken.
    pub fn control_addr(&self) -> Option<SocketAddrV4> {
        self.control.as_ref().map(ControlServer::address)
    }
}

/// A non-blocking socket on `address` with large buffers.
fn open_udp(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    enlarge_buffers(&socket)?;
    Ok(socket)
}

/// Makes room for bursts. Only a privileged process may exceed the system's maximum; others get that maximum.
pub(crate) fn enlarge_buffers(socket: &UdpSocket) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(socket, sockopt::SndBuf, &SOCKET_BUFFER_BYTES)?;
    }
    Ok(())
}
