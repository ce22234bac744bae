//! What waits to be sent: bursts of equally long packets that leave in one segmented send, and single datagrams.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rtc_rtcp::Packet as RtcpPacket;
use rtc_rtcp::receiver_report::ReceiverReport;

/// Bursts that wait; more are dropped and counted. A client is drained after every call, so only a bug fills this.
const MOST_BURSTS: usize = 512;
/// Segments of one send (the kernel's limit is 64 KiB and 128 segments; quinn measured no gain beyond 10 to 32).
const MOST_SEGMENTS: usize = 40;
/// Buffers kept for reuse.
const MOST_SPARE: usize = 8;
/// Largest compound RTCP packet before sealing.
const MOST_COMPOUND_BYTES: usize = 1_100;

/// Datagrams to one address, back to back.
#[derive(Debug)]
pub struct Burst {
    /// Where to.
    pub to: SocketAddr,
    /// All datagrams.
    pub bytes: Vec<u8>,
    /// Length of each but the last, which may be shorter.
    pub segment_bytes: usize,
}

impl Burst {
    /// Number of datagrams.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.bytes.len().div_ceil(self.segment_bytes.max(1))
    }
}

/// The queue of a client.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bursts: VecDeque<Burst>,
    /// Whether the newest burst may grow.
    open: bool,
    spare: Vec<Vec<u8>>,
    dropped: u64,
}

impl Outgoing {
    /// A datagram by itself.
    pub(super) fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.close_burst();
        self.begin(to, datagram);
        self.open = false;
    }

    /// A datagram that leaves together with those before it, if it is not longer than they are.
    pub(super) fn append(&mut self, to: SocketAddr, datagram: &[u8]) {
        if let Some(burst) = self.bursts.back_mut().filter(|burst| self.open && burst.to == to) {
            let whole = burst.bytes.len().is_multiple_of(burst.segment_bytes);
            if whole && datagram.len() <= burst.segment_bytes && burst.segments() < MOST_SEGMENTS {
                burst.bytes.extend_from_slice(datagram);
                return;
            }
        }
        self.begin(to, datagram);
        self.open = true;
    }

    /// The next datagram begins a new burst.
    pub(super) fn close_burst(&mut self) {
        self.open = false;
    }

    fn begin(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.bursts.len() >= MOST_BURSTS || datagram.is_empty() {
            self.dropped += 1;
            return;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(datagram);
        self.bursts.push_back(Burst {
            to,
            bytes,
            segment_bytes: datagram.len(),
        });
    }

    pub(super) fn pop(&mut self) -> Option<Burst> {
        let burst = self.bursts.pop_front();
        if self.bursts.is_empty() {
            self.open = false;
        }
        burst
    }

    pub(super) fn recycle(&mut self, burst: Burst) {
        if self.spare.len() < MOST_SPARE {
            let mut bytes = burst.bytes;
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

/// Bundles RTCP packets; each compound begins with a report (RFC 3550 section 6.1) unless the packets already do.
pub(super) fn compounds(packets: &[Box<dyn RtcpPacket>], ssrc: u32, mut emit: impl FnMut(&[u8])) {
    let mut compound: Vec<u8> = Vec::new();
    for packet in packets {
        // Only numbers too large for their fields cannot be written, and they are bounded where they arise.
        let Ok(bytes) = packet.marshal() else {
            continue;
        };
        if !compound.is_empty() && compound.len() + bytes.len() > MOST_COMPOUND_BYTES {
            emit(&compound);
            compound.clear();
        }
        let report = matches!(bytes.get(1), Some(200 | 201));
        if compound.is_empty() && !report {
            let empty = ReceiverReport {
                ssrc,
                ..Default::default()
            };
            if let Ok(start) = rtc_shared::marshal::Marshal::marshal(&empty) {
                compound.extend_from_slice(&start);
            }
        }
        compound.extend_from_slice(&bytes);
    }
    if !compound.is_empty() {
        emit(&compound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to() -> SocketAddr {
        "127.0.0.1:9".parse().unwrap()
    }

    #[test]
    fn equal_packets_and_a_shorter_last_leave_together() {
        let mut outgoing = Outgoing::default();
        for len in [100, 100, 60, 100, 120] {
            outgoing.append(to(), &vec![1; len]);
        }
        outgoing.close_burst();
        outgoing.append(to(), &[2; 10]);
        let sizes: Vec<(usize, usize)> = std::iter::from_fn(|| outgoing.pop())
            .map(|burst| (burst.bytes.len(), burst.segments()))
            .collect();
        assert_eq!(sizes, [(260, 3), (100, 1), (120, 1), (10, 1)]);
    }

    #[test]
    fn feedback_alone_gets_a_report_before_it() {
        let pli = rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication {
            sender_ssrc: 1,
            media_ssrc: 2,
        };
        let mut seen = Vec::new();
        compounds(&[Box::new(pli)], 1, |compound| seen.push(compound.to_vec()));
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0][1], seen[0][9]), (201, 206));
    }
}
