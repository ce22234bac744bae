//! The bare socket: segments out in one call, coalesced segments in with the kernel's time of arrival.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

use super::FloorError;

/// A read that brings nothing for so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Segments the kernel takes in one call (`UDP_MAX_SEGMENTS` of older kernels).
const MOST_SEGMENTS: usize = 64;
/// Payload of the largest UDP datagram over IPv4.
const MOST_BYTES: usize = 65_507;
const RECEIVE_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// Room for one read; may serve many sockets.
pub(super) struct Room {
    bytes: Vec<u8>,
    control: Vec<u8>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; 64 * 1024],
            control: cmsg_space!(TimeSpec, i32),
        }
    }
}

/// What one read brought.
pub(super) struct Arrival<'a> {
    pub(super) from: SocketAddr,
    /// One datagram, or several of `segment` bytes of which the last may be shorter.
    pub(super) bytes: &'a [u8],
    pub(super) segment: usize,
    /// Nanoseconds since 1970; `None` where the kernel states none.
    pub(super) arrived_ns: Option<u64>,
}

impl Arrival<'_> {
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.segment)
    }
}

/// A socket on loopback.
pub(super) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Socket {
    /// Binds to a free port of loopback; reads wait for at most [`PATIENCE`].
    pub(super) fn open() -> Result<Self, FloorError> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // Without it segments come one by one, which only costs more.
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        // Beyond the system's limit only root may go.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES);
        }
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends packets of `segment` bytes, of which the last may be shorter, in as few calls as the kernel allows.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8], segment: usize) -> Result<(), FloorError> {
        let SocketAddr::V4(to) = to else {
            return Err(FloorError::Load("the floor speaks IPv4 only"));
        };
        let segments = MOST_SEGMENTS.min(MOST_BYTES / segment.max(1)).max(1);
        for part in bytes.chunks(segments * segment.max(1)) {
            let size = segment as u16;
            let control = [ControlMessage::UdpGsoSegments(&size)];
            let control = if part.len() > segment { &control[..] } else { &[] };
            sendmsg(
                self.socket.as_raw_fd(),
                &[IoSlice::new(part)],
                control,
                MsgFlags::empty(),
                Some(&SockaddrIn::from(to)),
            )?;
        }
        Ok(())
    }

    /// Waits for the next read.
    ///
    /// # Errors
    /// [`FloorError::Silence`] after [`PATIENCE`].
    pub(super) fn wait<'a>(&self, room: &'a mut Room) -> Result<Arrival<'a>, FloorError> {
        self.read(room, MsgFlags::empty())?.ok_or(FloorError::Silence)
    }

    /// Reads what is there; `None` for nothing.
    pub(super) fn take<'a>(&self, room: &'a mut Room) -> Result<Option<Arrival<'a>>, FloorError> {
        self.read(room, MsgFlags::MSG_DONTWAIT)
    }

    fn read<'a>(&self, room: &'a mut Room, flags: MsgFlags) -> Result<Option<Arrival<'a>>, FloorError> {
        let mut slices = [IoSliceMut::new(&mut room.bytes)];
        let descriptor = self.socket.as_raw_fd();
        let (len, from, arrived_ns, segment) = loop {
            match recvmsg::<SockaddrIn>(descriptor, &mut slices, Some(&mut room.control), flags) {
                Ok(message) => {
                    let (mut arrived_ns, mut segment) = (None, None);
                    for item in message.cmsgs()? {
                        match item {
                            ControlMessageOwned::ScmTimestampns(time) => {
                                arrived_ns = Some(Duration::from(time).as_nanos() as u64);
                            }
                            ControlMessageOwned::UdpGroSegments(bytes) => {
                                segment = usize::try_from(bytes).ok()
                            }
                            _ => {}
                        }
                    }
                    break (message.bytes, message.address, arrived_ns, segment);
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let from = from.ok_or(FloorError::Load("a datagram without a sender"))?;
        Ok(Some(Arrival {
            from: SocketAddr::from((from.ip(), from.port())),
            bytes: &room.bytes[..len],
            segment: segment.unwrap_or(len).max(1),
            arrived_ns,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_arrives_packet_by_packet_with_its_time() {
        let (sender, receiver) = (Socket::open().unwrap(), Socket::open().unwrap());
        let burst = [vec![1; 300], vec![2; 300], vec![3; 100]].concat();
        let before = super::super::wall_ns().unwrap();
        sender.send(receiver.address(), &burst, 300).unwrap();
        let (mut room, mut seen) = (Room::new(), Vec::new());
        while seen.len() < 3 {
            let arrival = receiver.wait(&mut room).unwrap();
            assert!(arrival.from == sender.address() && arrival.arrived_ns.unwrap() >= before);
            seen.extend(arrival.datagrams().map(|datagram| (datagram.len(), datagram[0])));
        }
        assert_eq!(seen, [(300, 1), (300, 2), (100, 3)]);
        assert!(receiver.take(&mut room).unwrap().is_none());
    }

    #[test]
    fn more_than_the_kernel_takes_goes_in_several_calls() {
        let (sender, receiver) = (Socket::open().unwrap(), Socket::open().unwrap());
        sender
            .send(receiver.address(), &vec![5; 100 * 1_200], 1_200)
            .unwrap();
        let (mut room, mut packets) = (Room::new(), 0);
        while packets < 100 {
            packets += receiver.wait(&mut room).unwrap().datagrams().count();
        }
        assert_eq!(packets, 100);
    }
}
