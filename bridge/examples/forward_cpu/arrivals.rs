//! When packets left and when they arrived, by the kernel's clock: whoever reads late does not make them late.

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendto, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Datagrams taken with one call.
const BATCH: usize = 64;
const DATAGRAM_BYTES: usize = 2_048;
/// RTCP's packet types, behind the marker bit (RFC 5761 section 4).
const RTCP: std::ops::RangeInclusive<u8> = 64..=95;

/// Nanoseconds since 1970, on the clock that stamps arrivals.
pub(crate) fn wall_ns() -> io::Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_REALTIME)?;
    Ok(Duration::from(time).as_nanos() as u64)
}

/// Whether a datagram is a media packet.
pub(crate) fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [first, second, ..] if first >> 6 == 2 && !RTCP.contains(&(second & 0x7f)))
}

/// Reads of one thread, whatever the socket.
pub(crate) struct Reader {
    headers: MultiHeaders<SockaddrIn>,
    buffers: Box<[[u8; DATAGRAM_BYTES]; BATCH]>,
}

impl Reader {
    /// For sockets with stamps, or for those without: the kernel shortens the room for stamps to what it has used.
    pub(crate) fn new(stamped: bool) -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, stamped.then(|| cmsg_space!(TimeSpec))),
            buffers: Box::new([[0; DATAGRAM_BYTES]; BATCH]),
        }
    }

    /// Shows what waits to `take`, with the time at which it came where the socket has stamps; how many there were.
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
        mut take: impl FnMut(&[u8], Option<u64>),
    ) -> Result<usize, Errno> {
        let mut taken = 0;
        let mut arrived = [(0, None); BATCH];
        let mut slices = self.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        match recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        ) {
            Ok(messages) => {
                for message in messages {
                    let stamp = message.cmsgs()?.find_map(|item| match item {
                        ControlMessageOwned::ScmTimestampns(time) => {
                            Some(Duration::from(time).as_nanos() as u64)
                        }
                        _ => None,
                    });
                    arrived[taken] = (message.bytes, stamp);
                    taken += 1;
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => {}
            Err(error) => return Err(error),
        }
        for ((bytes, at_ns), buffer) in arrived[..taken].iter().zip(self.buffers.iter()) {
            take(&buffer[..*bytes], *at_ns);
        }
        Ok(taken)
    }
}

/// Lets the kernel say when something came.
pub(crate) fn stamp(socket: &UdpSocket) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::ReceiveTimestampns, &true)?)
}

pub(crate) fn send(socket: &UdpSocket, to: SocketAddrV4, datagram: &[u8]) {
    // A report that does not go out is one that got lost.
    let _ = sendto(
        socket.as_raw_fd(),
        datagram,
        &SockaddrIn::from(to),
        MsgFlags::MSG_DONTWAIT,
    );
}

/// Delays of packets from the burst they belong to: that which left last before they came.
#[derive(Default)]
pub(crate) struct Delays {
    left_ns: Vec<u64>,
    microseconds: Vec<u32>,
    measuring: bool,
}

impl Delays {
    /// Whether delays count from now on.
    pub(crate) fn measure(&mut self, measuring: bool) {
        self.measuring = measuring;
    }

    /// Begins anew.
    pub(crate) fn forget(&mut self) {
        self.left_ns.clear();
        self.microseconds.clear();
    }

    pub(crate) fn note_departure(&mut self, at_ns: u64) {
        self.left_ns.push(at_ns);
    }

    pub(crate) fn note_arrival(&mut self, at_ns: u64) {
        let before = self.left_ns.partition_point(|left| *left <= at_ns);
        if self.measuring
            && let Some(left) = before.checked_sub(1).map(|at| self.left_ns[at])
        {
            self.microseconds.push(((at_ns - left) / 1_000) as u32);
        }
    }

    /// The delay that `share` of all packets do not exceed, in microseconds.
    pub(crate) fn percentile(&mut self, share: f64) -> f64 {
        self.microseconds.sort_unstable();
        let at = (self.microseconds.len() as f64 * share) as usize;
        let last = self.microseconds.len().saturating_sub(1);
        self.microseconds
            .get(at.min(last))
            .copied()
            .unwrap_or_default()
            .into()
    }
}
