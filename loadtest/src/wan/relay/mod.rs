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
mod pair;

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::capture::Capture;
use super::config::WanConfig;
use super::desk::Desk;
use super::error::WanError;
use super::handle::WanHandle;
use super::links::Links;
use super::poller::{Poller, Token};
use flows::{FlowId, Flows};
use pair::Pair;

/// Largest UDP payload.
const LARGEST_DATAGRAM_BYTES: usize = 65_535;

/// What each socket asks the kernel to hold: a second of 4,000 packets of 1,200 bytes.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// Which way a datagram goes through its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// To the sender that opened the flow.
    Back,
    /// To the node the flow's link leads to.
    Forward,
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
    /// In the order of `pairs`.
    links: Links<(FlowId, Route)>,
    capture: Option<Capture>,
    desk: Desk,
    buffer: Box<[u8]>,
}

impl Relay {
    /// Opens every socket of `config`, and the capture file if one is asked for.
    ///
    /// # Errors
    /// [`WanError`]: the configuration, the address or the file that failed.
    pub fn bind(config: &WanConfig, capture: Option<&CaptureTo>) -> Result<Self, WanError> {
        config.check()?;
        let poller = Poller::new(Duration::ZERO)?;
        let pairs = Pair::open_all(config)?;
        let mut links = Links::default();
        for (index, (pair, link)) in pairs.iter().zip(&config.links).enumerate() {
            poller.watch(&pair.socket, Token::Listen(index))?;
            links.add(&link.from, &link.to, &link.properties, config.seed);
        }
        let desk = Desk::open(config.control, &poller)?;
        let capture = capture
            .map(|to| Capture::create(&to.path, to.limit_bytes))
            .transpose();
        Ok(Self {
            poller,
            pairs,
            flows: Flows::default(),
            links,
            capture: capture.map_err(WanError::Capture)?,
            desk,
            buffer: vec![0; LARGEST_DATAGRAM_BYTES].into_boxed_slice(),
        })
    }

    /// How other threads speak to this emulator.
    pub fn handle(&self) -> WanHandle {
        self.desk.handle()
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
        self.desk.control_addr()
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
