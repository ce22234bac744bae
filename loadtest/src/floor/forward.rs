//! The least a server does for one publisher and many viewers: receive, rewrite the header, seal, one segmented send per
//! viewer and burst.

use std::net::SocketAddr;

use super::FloorError;
use super::arrivals::{self, Departure};
use super::load::{Load, Passed, measure, measure_offered};
use super::packet::{Cipher, TAG_BYTES, rewrite};
use super::socket::Socket;

/// Most viewers: each has a socket, and a process may have about a thousand.
const MOST_VIEWERS: usize = 900;

/// Where a viewer is, and what it gets.
type Leg = (SocketAddr, Viewer);

struct Viewer {
    cipher: Option<Cipher>,
    ssrc: u32,
    number: u16,
}

impl Viewer {
    /// Appends what this viewer gets of a packet.
    fn append(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), FloorError> {
        let start = out.len();
        out.extend_from_slice(packet);
        rewrite(&mut out[start..], self.number, self.ssrc);
        self.number = self.number.wrapping_add(1);
        match &self.cipher {
            Some(cipher) => cipher.seal(out, start),
            None => Ok(()),
        }
    }
}

/// Forwards `load` to `viewers` sockets (1 to 900) on loopback, each packet sealed with AES-128-GCM under the viewer's own
/// key if `sealed`. What comes in is not opened: that costs once what sealing costs per viewer. Viewers take segments
/// together, as light clients do; one that takes them one by one costs the sender about twice as much.
///
/// Takes the load's duration and 0.3 s, in three threads.
///
/// # Errors
/// [`FloorError`].
pub fn forward(load: &Load, viewers: usize, sealed: bool) -> Result<Passed, FloorError> {
    let (sockets, mut legs) = legs(viewers, sealed)?;
    let (arriving, leaving) = (load.packet_bytes(false), load.packet_bytes(sealed));
    let mut out = Vec::with_capacity(load.burst as usize * (arriving + TAG_BYTES));
    let compose = |header: super::packet::Header, burst: &mut Vec<u8>| {
        let start = burst.len();
        header.write(burst);
        burst.resize(start + arriving, 7);
        Ok(())
    };
    measure(load, &sockets, compose, |burst, segment, socket| {
        pass(&mut legs, burst, (segment, leaving), socket, &mut out)
    })
}

/// As [`forward`] with sealing, for what several senders send at their own times: one receive, then one send after the
/// other, first come first served. What nobody wants is received and dropped.
///
/// # Errors
/// [`FloorError`].
pub fn forward_arrivals(departures: &[Departure], viewers: usize) -> Result<Passed, FloorError> {
    arrivals::check(departures)?;
    let (sockets, mut legs) = legs(viewers, true)?;
    let mut out = Vec::new();
    let offer = |entry: SocketAddr, ended: &dyn Fn() -> bool| arrivals::offer(departures, entry, ended);
    measure_offered(&sockets, offer, |burst, segment, socket| {
        if !arrivals::is_wanted(burst) {
            return Ok(());
        }
        pass(&mut legs, burst, (segment, segment + TAG_BYTES), socket, &mut out)
    })
}

/// Viewers with a socket each.
fn legs(viewers: usize, sealed: bool) -> Result<(Vec<Socket>, Vec<Leg>), FloorError> {
    if !(1..=MOST_VIEWERS).contains(&viewers) {
        return Err(FloorError::Load("1 to 900 viewers are possible"));
    }
    let sockets = (0..viewers)
        .map(|_| Socket::open())
        .collect::<Result<Vec<_>, _>>()?;
    let legs = sockets
        .iter()
        .zip(0_u32..)
        .map(|(socket, at)| {
            let mut key = [0x5a; 16];
            key[..4].copy_from_slice(&at.to_be_bytes());
            let cipher = sealed.then(|| Cipher::new(key)).transpose()?;
            let viewer = Viewer {
                cipher,
                ssrc: at,
                number: 0,
            };
            Ok((socket.address(), viewer))
        })
        .collect::<Result<Vec<_>, FloorError>>()?;
    Ok((sockets, legs))
}

/// Sends a burst to every viewer, one after the other. `segments` are bytes of a packet as it comes and as it leaves.
fn pass(
    legs: &mut [Leg],
    burst: &[u8],
    segments: (usize, usize),
    socket: &Socket,
    out: &mut Vec<u8>,
) -> Result<(), FloorError> {
    for (to, viewer) in legs {
        out.clear();
        for packet in burst.chunks(segments.0) {
            viewer.append(packet, out)?;
        }
        socket.send(*to, out, segments.1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::packet::{HEADER_BYTES, Header};
    use super::*;

    #[test]
    fn a_viewer_gets_its_own_stream_sealed_with_its_own_key() {
        let header = Header {
            number: 900,
            ssrc: 1,
            sent_ns: 77,
            measured: true,
        };
        let mut packet = Vec::new();
        header.write(&mut packet);
        packet.extend([4; 50]);
        let mut viewer = Viewer {
            cipher: Some(Cipher::new([3; 16]).unwrap()),
            ssrc: 5,
            number: 65_535,
        };
        let mut out = Vec::new();
        viewer.append(&packet, &mut out).unwrap();
        let first = out.len();
        viewer.append(&packet, &mut out).unwrap();
        assert_eq!(out.len(), 2 * (packet.len() + TAG_BYTES));
        assert_ne!(out[HEADER_BYTES..first], out[first + HEADER_BYTES..]);
        let mut second = out.split_off(first);
        Cipher::new([3; 16]).unwrap().open(&mut out, 0).unwrap();
        Cipher::new([3; 16]).unwrap().open(&mut second, 0).unwrap();
        assert_eq!(out[HEADER_BYTES..], [4; 50]);
        let numbers = [&out, &second].map(|packet| Header::read(packet).unwrap().number);
        assert_eq!(numbers, [65_535, 0]);
    }

    #[test]
    fn everything_reaches_every_viewer_and_sealing_costs() {
        let load = Load {
            burst: 5,
            payload_bytes: 700,
            packets_per_second: 500,
            duration: Duration::from_millis(300),
        };
        for sealed in [false, true] {
            let passed = forward(&load, 7, sealed).unwrap();
            assert!(
                passed.packets >= 35 && passed.packets.is_multiple_of(35),
                "{passed:?}"
            );
            assert!(passed.cpu_ns_per_packet() > 0.0);
            assert_eq!(passed.delay.unwrap().count, passed.packets);
        }
        assert!(matches!(forward(&load, 0, true), Err(FloorError::Load(_))));
    }

    #[test]
    fn of_several_senders_only_what_is_wanted_reaches_viewers_and_what_counts_is_counted() {
        let departures: Vec<Departure> = (0..60)
            .map(|at| Departure {
                at: Duration::from_millis(10 * (at / 3)) + Duration::from_millis(280),
                sender: at as usize % 3,
                packets: vec![600, 600, 50],
                wanted: at % 3 < 2,
                counts: at % 3 == 0,
            })
            .collect();
        let passed = forward_arrivals(&departures, 4).unwrap();
        // Of twenty times the first two are warm-up; one sender counts.
        assert_eq!(passed.packets, 18 * 3 * 4);
        assert_eq!(passed.delay.unwrap().count, passed.packets);
    }
}
