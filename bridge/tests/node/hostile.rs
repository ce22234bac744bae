//! A node that is shot at from outside while people meet on it.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use loadtest::trace::Codec;

use crate::light_clients::{Room, seen_by_all};
use crate::process::{Node, Ports, SECRET};

/// Half-open requests at once.
const DRIPPING: usize = 100;
/// Datagrams each millisecond.
const SHOTS: u64 = 10;

/// Shoots until told to stop.
fn shoot(ports: Ports, stop: &Arc<AtomicBool>, shots: &Arc<AtomicU64>) -> Vec<JoinHandle<()>> {
    let (told, counted) = (Arc::clone(stop), Arc::clone(shots));
    let datagrams = thread::spawn(move || {
        let sockets: Vec<UdpSocket> = (0..32).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        // First bytes of STUN, DTLS, RTP and RTCP, and of nothing.
        let firsts = [0_u8, 1, 22, 25, 60, 80, 128, 144, 191, 255];
        let mut shot = 0_u64;
        while !told.load(Ordering::Relaxed) {
            for _ in 0..SHOTS {
                shot += 1;
                let mut datagram = [shot as u8; 200];
                datagram[0] = firsts[shot as usize % firsts.len()];
                datagram[1..9].copy_from_slice(&shot.to_be_bytes());
                let len = 1 + (shot * 37) as usize % 199;
                let socket = &sockets[shot as usize % sockets.len()];
                if socket
                    .send_to(&datagram[..len], ("127.0.0.1", ports.media))
                    .is_ok()
                {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    let told = Arc::clone(stop);
    let requests = thread::spawn(move || {
        let dial = || TcpStream::connect(("127.0.0.1", ports.http)).unwrap();
        let mut open: Vec<TcpStream> = (0..DRIPPING).map(|_| dial()).collect();
        for stream in &mut open {
            stream.write_all(b"GET /rtc/v1?access_token=").unwrap();
        }
        while !told.load(Ordering::Relaxed) {
            for stream in &mut open {
                // One that was dropped is replaced: the flood goes on.
                if stream.write_all(b"x").is_err() {
                    *stream = dial();
                }
            }
            // Meanwhile whole requests that lead nowhere.
            let mut stream = dial();
            stream
                .write_all(b"GET /rtc/v1?access_token=a.b.c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
            thread::sleep(Duration::from_millis(10));
        }
    });
    vec![datagrams, requests]
}

#[test]
fn people_on_a_node_that_is_shot_at_lose_nothing() {
    let node = Node::start("fra", Ports::free(), SECRET, &[]);
    let (stop, shots) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let shooting = shoot(node.ports, &stop, &shots);
    // They come while it is shot at, and stay.
    let room = Room::open(&[&node], Codec::Vp8, 3, 1);
    seen_by_all(&room, 1);
    let before = shots.load(Ordering::Relaxed);
    while shots.load(Ordering::Relaxed) < before + 20_000 {
        assert!(shooting.iter().all(|thread| !thread.is_finished()));
        thread::sleep(Duration::from_millis(50));
    }
    let figures = room.figures();
    stop.store(true, Ordering::Relaxed);
    for thread in shooting {
        thread.join().unwrap();
    }
    for figures in figures.values() {
        assert!(figures.audio.received > 200, "{figures:?}");
        assert_eq!((figures.audio.lost, figures.audio.forged), (0, 0), "{figures:?}");
        assert_eq!((figures.video.lost, figures.video.forged), (0, 0), "{figures:?}");
    }
}
