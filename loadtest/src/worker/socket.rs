//! The UDP socket of one client: bursts go out in one segmented send, and what comes is read many packets at a time with
//! the kernel's own time of arrival, so that a busy loop does not make packets look late.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrLike as _, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

use crate::client::Burst;

/// What the kernel may hold for one client: a second of a large room.
const RECEIVE_BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// Reads per turn, so that one client cannot keep the loop.
const READS_PER_TURN: usize = 8;
/// The most a coalesced read brings.
const READ_BYTES: usize = 64 * 1024;

/// Room for reads, shared by all clients of a worker.
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    control: Vec<u8>,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; READ_BYTES],
            control: cmsg_space!(TimeSpec, i32, i32),
        }
    }

    /// A stand-in while the real one is lent out.
    pub(super) fn empty() -> Self {
        Self {
            bytes: Vec::new(),
            control: Vec::new(),
        }
    }
}

/// Datagrams read, sent and lost by the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SocketCounters {
    pub(super) received: u64,
    pub(super) received_bytes: u64,
    pub(super) sent: u64,
    pub(super) sent_bytes: u64,
    pub(super) send_failed: u64,
}

/// A bound socket that never blocks.
pub(super) struct MediaSocket {
    socket: UdpSocket,
    pub(super) counters: SocketCounters,
}

impl MediaSocket {
    /// Binds to a free port of `local`.
    pub(super) fn bind(local: IpAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(local, 0))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // Without it packets come one by one, which only costs more.
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        // Beyond the system's limit only root may go.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES);
        }
        Ok(Self {
            socket,
            counters: SocketCounters::default(),
        })
    }

    pub(super) fn descriptor(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends a burst; what the kernel refuses is counted, as a lossy path would lose it.
    pub(super) fn send(&mut self, burst: &Burst) {
        let slices = [IoSlice::new(&burst.bytes)];
        let segment = burst.segment_bytes as u16;
        let segmented = [ControlMessage::UdpGsoSegments(&segment)];
        let control = if burst.segments() > 1 { &segmented[..] } else { &[] };
        let to = SockaddrStorage::from(burst.to);
        let sent = sendmsg(
            self.socket.as_raw_fd(),
            &slices,
            control,
            MsgFlags::MSG_DONTWAIT,
            Some(&to),
        );
        match sent {
            Ok(_) => {
                self.counters.sent += burst.segments() as u64;
                self.counters.sent_bytes += burst.bytes.len() as u64;
            }
            Err(_) => self.counters.send_failed += burst.segments() as u64,
        }
    }

    /// Reads what has come: `take` gets the sender, the kernel's time of arrival (nanoseconds since 1970; `None` where it
    /// states none) and the datagram.
    pub(super) fn receive(
        &mut self,
        buffer: &mut ReadBuffer,
        mut take: impl FnMut(SocketAddr, Option<u64>, &[u8]),
    ) {
        for _ in 0..READS_PER_TURN {
            let mut slices = [IoSliceMut::new(&mut buffer.bytes)];
            let read = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut buffer.control),
                MsgFlags::MSG_DONTWAIT,
            );
            let (len, from, arrived, segment) = match read {
                Ok(message) => {
                    let (arrived, segment) = read_control(&message);
                    (message.bytes, message.address.and_then(to_std), arrived, segment)
                }
                // An earlier datagram was refused by the other side: no reason to stop reading.
                Err(Errno::ECONNREFUSED | Errno::EINTR) => continue,
                Err(_) => return,
            };
            let Some(from) = from else {
                continue;
            };
            let whole = &buffer.bytes[..len];
            let segment = segment.unwrap_or(len).max(1);
            for datagram in whole.chunks(segment) {
                self.counters.received += 1;
                self.counters.received_bytes += datagram.len() as u64;
                take(from, arrived, datagram);
            }
        }
    }
}

type Message<'a, 'b> = nix::sys::socket::RecvMsg<'a, 'b, SockaddrStorage>;

fn read_control(message: &Message<'_, '_>) -> (Option<u64>, Option<usize>) {
    let (mut arrived, mut segment) = (None, None);
    let Ok(control) = message.cmsgs() else {
        return (None, None);
    };
    for item in control {
        match item {
            ControlMessageOwned::ScmTimestampns(time) => {
                let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
                let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or(0);
                arrived = Some(seconds * 1_000_000_000 + nanoseconds);
            }
            ControlMessageOwned::UdpGroSegments(bytes) => segment = usize::try_from(bytes).ok(),
            _ => {}
        }
    }
    (arrived, segment)
}

fn to_std(address: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
    })
    .filter(|_| address.family().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_once_and_arrives_packet_by_packet_with_a_time() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let mut sender = MediaSocket::bind(local).unwrap();
        let mut receiver = MediaSocket::bind(local).unwrap();
        let burst = Burst {
            to: receiver.descriptor().local_addr().unwrap(),
            bytes: [vec![1; 300], vec![2; 300], vec![3; 120]].concat(),
            segment_bytes: 300,
        };
        let before = std::time::SystemTime::now();
        sender.send(&burst);
        let mut buffer = ReadBuffer::new();
        let mut seen = Vec::new();
        receiver.receive(&mut buffer, |_, arrived, datagram| {
            seen.push((datagram.len(), datagram[0], arrived.is_some()));
            let before = before.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
            assert!(arrived.is_some_and(|at| at >= before));
        });
        assert_eq!(seen, [(300, 1, true), (300, 2, true), (120, 3, true)]);
        assert_eq!((sender.counters.sent, receiver.counters.received), (3, 3));
    }
}
