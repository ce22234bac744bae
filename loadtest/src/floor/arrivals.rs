//! Offers a bare forwarder what several senders send, packet by packet and at their times, instead of one paced stream.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::FloorError;
use super::load::{MARK, WARM_UP};
use super::packet::{HEADER_BYTES, Header};
use super::socket::Socket;
use super::wall_ns;

/// Longest run of packets that leaves in one call.
const MOST_PACKETS: usize = 512;
/// A pause that is longer would be taken for silence.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// SSRC of what a forwarder receives and nobody wants; of what is wanted.
const UNWANTED: u32 = 0;
const WANTED: u32 = 1;

/// What one sender sends at once: one frame of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// After the beginning. What leaves in the first 0.3 s does not count.
    pub at: Duration,
    /// Who: each has a socket of its own.
    pub sender: usize,
    /// Payload bytes of each packet, all alike but the last, which may be shorter.
    pub packets: Vec<usize>,
    /// Whether viewers get it. What they do not get still has to be received.
    pub wanted: bool,
    /// Whether its delay counts.
    pub counts: bool,
}

/// Whether a packet is one that viewers get.
pub(super) fn is_wanted(packet: &[u8]) -> bool {
    Header::read(packet).is_some_and(|header| header.ssrc != UNWANTED)
}

/// Refuses what cannot be offered.
pub(super) fn check(departures: &[Departure]) -> Result<(), FloorError> {
    let refuse = |reason| Err(FloorError::Load(reason));
    if !departures
        .iter()
        .any(|departure| departure.wanted && departure.counts && departure.at >= WARM_UP)
    {
        return refuse("nothing that counts would reach a viewer");
    }
    for pair in departures.windows(2) {
        if pair[1].at < pair[0].at || pair[1].at - pair[0].at > LONGEST_PAUSE {
            return refuse("departures are in order of time, and pauses last at most 0.5 s");
        }
    }
    for Departure { packets, .. } in departures {
        let first = packets.first().copied().unwrap_or(0);
        let (last, even) = packets.split_last().unwrap_or((&0, &[]));
        if !(1..=MOST_PACKETS).contains(&packets.len())
            || even.iter().any(|bytes| *bytes != first)
            || *last > first
            || *last == 0
        {
            return refuse("a departure has 1 to 512 packets, all alike but a shorter last one");
        }
    }
    Ok(())
}

/// Sends everything at its time, with a mark before and behind what counts; how many packets count and are wanted.
pub(super) fn offer(
    departures: &[Departure],
    to: SocketAddr,
    ended: impl Fn() -> bool,
) -> Result<u64, FloorError> {
    let mut sockets: BTreeMap<usize, Socket> = BTreeMap::new();
    for departure in departures {
        if let Entry::Vacant(place) = sockets.entry(departure.sender) {
            place.insert(Socket::open()?);
        }
    }
    let marker = Socket::open()?;
    let (start, mut number, mut burst, mut offered, mut marked) =
        (Instant::now(), 0_u16, Vec::new(), 0, false);
    for departure in departures {
        if ended() {
            break;
        }
        if !marked && departure.at >= WARM_UP {
            marked = true;
            marker.send(to, &MARK, MARK.len())?;
        }
        thread::sleep((start + departure.at).saturating_duration_since(Instant::now()));
        burst.clear();
        let header = Header {
            number,
            ssrc: if departure.wanted { WANTED } else { UNWANTED },
            // Just before it leaves: what the sender itself took is not the forwarder's.
            sent_ns: wall_ns()?,
            measured: marked && departure.wanted && departure.counts,
        };
        for bytes in &departure.packets {
            let begin = burst.len();
            Header { number, ..header }.write(&mut burst);
            burst.resize(begin + HEADER_BYTES + bytes, 7);
            number = number.wrapping_add(1);
        }
        let segment = HEADER_BYTES + departure.packets[0];
        if let Some(socket) = sockets.get(&departure.sender) {
            socket.send(to, &burst, segment)?;
        }
        if header.measured {
            offered += departure.packets.len() as u64;
        }
    }
    marker.send(to, &MARK, MARK.len())?;
    Ok(offered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departure(at_ms: u64, packets: &[usize]) -> Departure {
        Departure {
            at: Duration::from_millis(at_ms),
            sender: 0,
            packets: packets.to_vec(),
            wanted: true,
            counts: true,
        }
    }

    #[test]
    fn what_cannot_be_offered_is_refused() {
        let good = departure(310, &[700, 700, 30]);
        assert!(check(std::slice::from_ref(&good)).is_ok());
        for bad in [
            vec![],
            vec![departure(10, &[700])],
            vec![Departure {
                wanted: false,
                ..good
            }],
            vec![departure(310, &[700]), departure(300, &[700])],
            vec![departure(310, &[700]), departure(900, &[700])],
            vec![departure(310, &[])],
            vec![departure(310, &[0])],
            vec![departure(310, &[30, 700])],
            vec![departure(310, &[700, 30, 700])],
        ] {
            assert!(matches!(check(&bad), Err(FloorError::Load(_))), "{bad:?}");
        }
    }
}
