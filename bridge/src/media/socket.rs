//! A shard's UDP socket: receives in batches, sends in segments.
//!
//! One `recvmmsg` takes up to [`BATCH`] datagrams into small buffers (no GRO: clients' packets are separate flows,
//! and 64 KiB buffers cost more than they save; measured 240 against 343–375 ns). One `sendmsg` with `UDP_SEGMENT`
//! sends all packets of a burst to one client (measured 770 -> 135 ns a packet at ten segments).

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg, setsockopt, sockopt,
};
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Datagrams taken per system call.
pub const BATCH: usize = 32;
/// Longest datagram taken from a client; longer ones are cut and then fail their authentication.
const MAX_DATAGRAM_BYTES: usize = 2_048;
/// Asked of the kernel for each direction; it may grant less (`net.core.rmem_max`).
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// Why a media socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The port cannot be had.
    #[error("media.udp_listen: cannot bind {address}: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The socket cannot be set up.
    #[error("media.udp_listen: cannot set up {address}: {source}")]
    Setup {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A bound media socket.
#[derive(Debug)]
pub struct MediaSocket {
    socket: UdpSocket,
    local: SocketAddr,
    segments_refused: bool,
    dropped: u64,
}

/// Buffers for one batch of datagrams. Stays on the thread that receives.
pub struct ReceiveBatch {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; MAX_DATAGRAM_BYTES]; BATCH]>,
    received: [Option<(usize, SocketAddr)>; BATCH],
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: Box::new([[0; MAX_DATAGRAM_BYTES]; BATCH]),
            received: [None; BATCH],
        }
    }
}

impl std::fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReceiveBatch")
    }
}

impl MediaSocket {
    /// Binds `address` and asks for large buffers.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(address: SocketAddr) -> Result<Self, SocketError> {
        let socket = UdpSocket::bind(address).map_err(|source| SocketError::Bind { address, source })?;
        let setup = |source| SocketError::Setup { address, source };
        socket.set_nonblocking(true).map_err(setup)?;
        let granted = [
            setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES),
            setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER_BYTES),
        ];
        for asked in granted {
            asked.map_err(|errno| setup(errno.into()))?;
        }
        Ok(Self {
            local: socket.local_addr().map_err(setup)?,
            socket,
            segments_refused: false,
            dropped: 0,
        })
    }

    /// Where it is bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// For waiting on it.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Datagrams the kernel did not take (its buffer was full).
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes what has arrived, at most [`BATCH`] datagrams, and hands each to `take`; returns how many there were.
    /// Hot path: no allocation.
    pub fn receive(&self, batch: &mut ReceiveBatch, mut take: impl FnMut(SocketAddr, &mut [u8])) -> usize {
        let count = self.receive_batch(batch);
        for at in 0..count {
            if let Some((len, from)) = batch.received[at] {
                take(from, &mut batch.buffers[at][..len]);
            }
        }
        count
    }

    fn receive_batch(&self, batch: &mut ReceiveBatch) -> usize {
        let mut slices = batch
            .buffers
            .each_mut()
            .map(|buffer| [IoSliceMut::new(&mut buffer[..])]);
        let fd = self.socket.as_raw_fd();
        let results = match recvmmsg(
            fd,
            &mut batch.headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        ) {
            Ok(results) => results,
            Err(Errno::EAGAIN) => return 0,
            Err(errno) => {
                // An ICMP error of an earlier send, for example: the socket goes on.
                tracing::debug!(%errno, "receiving media");
                return 0;
            }
        };
        let mut count = 0;
        for message in results {
            batch.received[count] = message
                .address
                .and_then(|from| Some((message.bytes, socket_addr(&from)?)));
            count += 1;
        }
        count
    }

    /// Sends `contents` to one client: one datagram, or several of `segment_bytes` each (the last may be shorter).
    /// What the kernel does not take is dropped and counted.
    pub fn send(&mut self, to: SocketAddr, segment_bytes: Option<usize>, contents: &[u8]) {
        match segment_bytes {
            None => self.send_one(to, contents),
            Some(segment) if self.segments_refused => {
                contents
                    .chunks(segment)
                    .for_each(|datagram| self.send_one(to, datagram));
            }
            Some(segment) => self.send_segments(to, segment, contents),
        }
    }

    fn send_segments(&mut self, to: SocketAddr, segment: usize, contents: &[u8]) {
        let size = segment as u16;
        let control = [ControlMessage::UdpGsoSegments(&size)];
        match self.send_message(to, &control, contents) {
            Ok(()) => {}
            Err(Errno::EIO | Errno::EINVAL | Errno::EOPNOTSUPP) => {
                tracing::warn!("the kernel refuses segmented sends here; media is sent packet by packet");
                self.segments_refused = true;
                contents
                    .chunks(segment)
                    .for_each(|datagram| self.send_one(to, datagram));
            }
            Err(errno) => {
                self.dropped += contents.len().div_ceil(segment) as u64;
                tracing::trace!(%errno, "media not sent");
            }
        }
    }

    fn send_one(&mut self, to: SocketAddr, datagram: &[u8]) {
        if let Err(errno) = self.send_message(to, &[], datagram) {
            self.dropped += 1;
            tracing::trace!(%errno, "media not sent");
        }
    }

    fn send_message(
        &self,
        to: SocketAddr,
        control: &[ControlMessage<'_>],
        contents: &[u8],
    ) -> nix::Result<()> {
        let address = SockaddrStorage::from(to);
        let parts = [IoSlice::new(contents)];
        sendmsg(
            self.socket.as_raw_fd(),
            &parts,
            control,
            MsgFlags::MSG_DONTWAIT,
            Some(&address),
        )
        .map(|_| ())
    }
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    address
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::new(IpAddr::V6(v6.ip()), v6.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> MediaSocket {
        MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    fn receive_all(socket: &MediaSocket, count: usize) -> Vec<Vec<u8>> {
        let (mut datagrams, mut batch) = (Vec::new(), ReceiveBatch::default());
        while datagrams.len() < count {
            let mut fds = [nix::poll::PollFd::new(
                socket.as_fd(),
                nix::poll::PollFlags::POLLIN,
            )];
            assert!(
                nix::poll::poll(&mut fds, 5_000_u16).unwrap() > 0,
                "nothing arrives"
            );
            socket.receive(&mut batch, |_, bytes| datagrams.push(bytes.to_vec()));
        }
        datagrams
    }

    #[test]
    fn segments_arrive_as_datagrams_of_their_own() {
        let (mut from, to) = (socket(), socket());
        let contents: Vec<u8> = (0..2_500_u32).map(|at| (at / 1_000) as u8).collect();
        from.send(to.local_addr(), Some(1_000), &contents);
        let datagrams = receive_all(&to, 3);
        assert_eq!(
            datagrams.iter().map(Vec::len).collect::<Vec<_>>(),
            [1_000, 1_000, 500]
        );
        assert_eq!(datagrams[2], [2; 500]);
    }

    #[test]
    fn a_port_in_use_is_named_with_its_key() {
        let taken = socket();
        let error = MediaSocket::bind(taken.local_addr()).err().unwrap().to_string();
        assert!(
            error.contains("media.udp_listen") && error.contains(&taken.local_addr().to_string()),
            "{error}"
        );
    }

    #[test]
    fn more_datagrams_than_a_batch_are_all_taken() {
        let (mut from, to) = (socket(), socket());
        for at in 0..100_u8 {
            from.send(to.local_addr(), None, &[at; 100]);
        }
        let datagrams = receive_all(&to, 100);
        assert!(
            datagrams
                .iter()
                .enumerate()
                .all(|(at, datagram)| datagram == &[at as u8; 100])
        );
    }
}
