//! A UDP socket that receives many datagrams with one call and sends many to one address with one call.
//!
//! A trip through the stack costs about 800 ns however small the datagram; segmentation offload (GSO) shares it among
//! the datagrams of one send: 135 ns each at ten (measured: performance study, 2.1). Receiving uses small buffers and
//! no coalescing: clients send too unevenly for it to pay.

use crate::dual;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, MultiHeaders, SockaddrLike as _, SockaddrStorage, recvmmsg,
    sendmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// Datagrams taken with one call.
pub const BATCH: usize = 64;
/// Largest datagram a client may send; more is cut off and fails its authentication.
const DATAGRAM_BYTES: usize = 2_048;
/// Kernel buffers: at 35,000 packets a second they hold a quarter of a second.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// Datagrams that did not go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendFailures {
    /// The socket's buffer was full.
    pub full: u64,
    /// The system refused (no route, address of the wrong family).
    pub refused: u64,
}

/// The socket of one shard.
pub struct MediaSocket {
    socket: UdpSocket,
    /// It is of family IPv6: IPv4 addresses are written as mapped ones (RFC 4291 section 2.5.5.2).
    maps_ipv4: bool,
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; DATAGRAM_BYTES]; BATCH]>,
    arrived: Vec<(SocketAddr, usize)>,
    offload: bool,
    failures: SendFailures,
}

/// Opens the socket of a shard; its kernel buffers are as large as the system allows. `[::]` takes IPv4 too.
///
/// # Errors
/// Whatever the system says about the address.
pub fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = dual::udp(address)?;
    socket.set_nonblocking(true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER_BYTES)?;
    }
    Ok(socket)
}

impl MediaSocket {
    /// Takes an [`open`] socket. Stays on the thread that calls it.
    #[must_use]
    pub fn new(socket: UdpSocket) -> Self {
        Self {
            maps_ipv4: socket.local_addr().is_ok_and(|address| address.is_ipv6()),
            socket,
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: Box::new([[0; DATAGRAM_BYTES]; BATCH]),
            arrived: Vec::with_capacity(BATCH),
            offload: true,
            failures: SendFailures::default(),
        }
    }

    /// The address really taken.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits until a datagram or `bell` comes, or `timeout` has passed.
    ///
    /// # Errors
    /// Whatever the system says; being interrupted is not an error.
    pub fn wait(&self, bell: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<()> {
        let mut watched = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(bell, PollFlags::POLLIN),
        ];
        match ppoll(&mut watched, timeout.map(TimeSpec::from), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes up to [`BATCH`] waiting datagrams and shows each to `take`; returns how many there were. Hot path: no
    /// allocation.
    ///
    /// # Errors
    /// Whatever the system says; nothing waiting is not an error, nor is a complaint about an earlier send.
    pub fn receive(&mut self, mut take: impl FnMut(SocketAddr, &mut [u8])) -> io::Result<usize> {
        self.fill()?;
        for (&(from, bytes), buffer) in self.arrived.iter().zip(self.buffers.iter_mut()) {
            take(from, &mut buffer[..bytes]);
        }
        Ok(self.arrived.len())
    }

    fn fill(&mut self) -> io::Result<()> {
        self.arrived.clear();
        let mut slices = self.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            flags,
            None,
        ) {
            Ok(messages) => {
                for message in messages {
                    // An address of no internet family cannot occur; it would be shown as one nobody answers.
                    let from = message.address.as_ref().and_then(internet_address);
                    self.arrived.push((from.unwrap_or(NOBODY), message.bytes));
                }
                Ok(())
            }
            // ECONNREFUSED and its kin report that an earlier datagram of ours was not wanted.
            Err(
                Errno::EAGAIN
                | Errno::EINTR
                | Errno::ECONNREFUSED
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN,
            ) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends `bytes` to `to`: one datagram, or several of `segment_bytes` each (the last may be shorter). What does
    /// not go out is counted, never waited for.
    pub fn send(&mut self, to: SocketAddr, bytes: &[u8], segment_bytes: Option<usize>) {
        let to = if self.maps_ipv4 { dual::mapped(to) } else { to };
        let segment = segment_bytes
            .and_then(|size| u16::try_from(size).ok())
            .filter(|size| *size > 0);
        match segment {
            Some(segment) if bytes.len() > usize::from(segment) => self.send_segments(to, bytes, segment),
            _ => self.send_one(to, bytes),
        }
    }

    /// Datagrams that did not go out so far.
    #[must_use]
    pub const fn failures(&self) -> SendFailures {
        self.failures
    }

    fn send_segments(&mut self, to: SocketAddr, bytes: &[u8], segment: u16) {
        if self.offload {
            let message = [ControlMessage::UdpGsoSegments(&segment)];
            match sendmsg(
                self.socket.as_raw_fd(),
                &[IoSlice::new(bytes)],
                &message,
                MsgFlags::MSG_DONTWAIT,
                Some(&SockaddrStorage::from(to)),
            ) {
                Ok(_) => return,
                // The kernel or the device does not do it, now or ever: the segments go out one by one.
                Err(Errno::EIO | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT) => {
                    tracing::warn!(
                        "UDP segmentation offload is refused; sending costs six times as much without"
                    );
                    self.offload = false;
                }
                Err(error) => {
                    self.count(error, bytes.len().div_ceil(usize::from(segment)));
                    return;
                }
            }
        }
        for datagram in bytes.chunks(usize::from(segment)) {
            self.send_one(to, datagram);
        }
    }

    fn send_one(&mut self, to: SocketAddr, datagram: &[u8]) {
        if let Err(error) = self.socket.send_to(datagram, to) {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            self.count(errno, 1);
        }
    }

    fn count(&mut self, error: Errno, datagrams: usize) {
        match error {
            Errno::EAGAIN | Errno::ENOBUFS => self.failures.full += datagrams as u64,
            _ => self.failures.refused += datagrams as u64,
        }
    }
}

/// An address that answers nobody.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn internet_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => address
            .as_sockaddr_in()
            .map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4))),
        AddressFamily::Inet6 => address
            .as_sockaddr_in6()
            .map(|v6| dual::canonical(SocketAddr::V6(SocketAddrV6::from(*v6)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn pair() -> (MediaSocket, MediaSocket) {
        let bind = || MediaSocket::new(open("127.0.0.1:0".parse().unwrap()).unwrap());
        (bind(), bind())
    }

    fn received(socket: &mut MediaSocket, count: usize) -> Vec<Vec<u8>> {
        let bell = nix::sys::eventfd::EventFd::new().unwrap();
        let mut all = Vec::new();
        let patience = Instant::now() + Duration::from_secs(10);
        while all.len() < count && Instant::now() < patience {
            socket
                .wait(bell.as_fd(), Some(Duration::from_millis(100)))
                .unwrap();
            socket.receive(|_, bytes| all.push(bytes.to_vec())).unwrap();
        }
        all
    }

    #[test]
    fn a_batch_of_segments_arrives_as_datagrams_in_order_and_from_its_sender() {
        let (mut sender, mut receiver) = pair();
        let bytes: Vec<u8> = (0..10_u8)
            .flat_map(|n| vec![n; if n == 9 { 300 } else { 1_000 }])
            .collect();
        sender.send(receiver.local_addr().unwrap(), &bytes, Some(1_000));
        let all = received(&mut receiver, 10);
        assert_eq!(
            all.iter().map(Vec::len).collect::<Vec<_>>(),
            [&[1_000; 9][..], &[300]].concat()
        );
        assert!(
            all.iter()
                .enumerate()
                .all(|(n, bytes)| usize::from(bytes[0]) == n)
        );
        let mut from = None;
        sender.send(receiver.local_addr().unwrap(), b"x", None);
        while from.is_none() {
            receiver.receive(|address, _| from = Some(address)).unwrap();
        }
        assert_eq!(from, Some(sender.local_addr().unwrap()));
    }

    #[test]
    fn without_offload_the_segments_go_out_one_by_one() {
        let (mut sender, mut receiver) = pair();
        sender.offload = false;
        sender.send(receiver.local_addr().unwrap(), &[7; 2_500], Some(1_000));
        let lengths: Vec<usize> = received(&mut receiver, 3).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1_000, 1_000, 500]);
    }

    #[test]
    fn one_socket_serves_both_families_and_shows_ipv4_addresses_as_such() {
        let mut node = MediaSocket::new(open("[::]:0".parse().unwrap()).unwrap());
        let port = node.local_addr().unwrap().port();
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let mut client = MediaSocket::new(open(local.parse().unwrap()).unwrap());
            let address = client.local_addr().unwrap();
            client.send(SocketAddr::new(address.ip(), port), b"x", None);
            let mut from = None;
            let patience = Instant::now() + Duration::from_secs(10);
            while from.is_none() && Instant::now() < patience {
                node.receive(|address, _| from = Some(address)).unwrap();
            }
            assert_eq!(from, Some(address));
            node.send(address, &[7; 2_500], Some(1_000));
            assert_eq!(received(&mut client, 3).len(), 3, "{local}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_counted() {
        let (mut sender, _) = pair();
        sender.send("[::1]:9".parse().unwrap(), &[0; 3_000], Some(1_000));
        assert_eq!(sender.failures().refused, 3);
    }
}
