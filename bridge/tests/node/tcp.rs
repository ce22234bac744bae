//! Clients that reach a node by TCP alone, beside connections that are up to nothing good.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use loadtest::signalling::{Endpoint, Trust};
use loadtest::trace::Codec;

use crate::light_clients::{Room, seen_by_all};
use crate::process::{Node, Ports, SECRET, certificate_in, flags};
use crate::tcp_detour::Detour;

const PATIENCE: Duration = Duration::from_secs(30);
/// Where clients are told to send, and nobody is but the detour.
const TOLD: &str = "127.0.0.3";
const GREETING: &str = "--limits.tcp_greeting_timeout=1s";

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Flags of a node whose UDP port no client is told, and the detour to its TCP port.
fn by_tcp_only(ports: Ports, tcp: u16) -> (Vec<String>, Detour) {
    let mut flags = flags("fra", ports, SECRET, &[]);
    flags.push(format!("--media.advertise={TOLD}"));
    let told = SocketAddr::new(TOLD.parse::<IpAddr>().unwrap(), ports.media);
    (flags, Detour::start(told, loopback(tcp)))
}

fn arguments(flags: &[String]) -> Vec<&str> {
    std::iter::once("node")
        .chain(flags.iter().map(String::as_str))
        .collect()
}

/// A figure of `/metrics`.
fn figure(node: &Node, name: &str) -> u64 {
    let metrics = node.get("/metrics").unwrap();
    let line = metrics.lines().find(|line| {
        line.starts_with(&format!("causeway_{name} ")) || line.starts_with(&format!("causeway_{name}_total "))
    });
    let value = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    value.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

/// A framed binding request (RFC 8489) without integrity for a local user fragment.
fn check(ufrag: &str) -> Vec<u8> {
    let name = format!("{ufrag}:peer!!!");
    assert_eq!(name.len() % 4, 0);
    let attribute = [&[0, 6, 0, name.len() as u8][..], name.as_bytes()].concat();
    let length = attribute.len() as u8;
    let head = [&[0, 1, 0, length, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    [&[0, 20 + length][..], &head, &attribute].concat()
}

/// Sends `bytes`, at once or one by one, and waits until the node closes the connection.
fn until_closed(node: u16, bytes: &[u8], drips: bool) {
    let mut stream = TcpStream::connect(loopback(node)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let start = Instant::now();
    let mut pieces = bytes.chunks(if drips { 1 } else { bytes.len().max(1) });
    loop {
        assert!(start.elapsed() < PATIENCE, "still open: {bytes:?}");
        if let Some(piece) = pieces.next()
            && stream.write_all(piece).is_err()
        {
            return;
        }
        match stream.read(&mut [0; 64]) {
            Ok(0) => return,
            Ok(_) => panic!("the node answers {bytes:?}"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

#[test]
fn people_meet_by_tcp_alone_beside_connections_that_are_up_to_nothing_good() {
    let ports = Ports::free();
    let (mut flags, detour) = by_tcp_only(ports, ports.media);
    flags.push(GREETING.to_owned());
    let node = Node::run(&arguments(&flags), ports);
    let room = Room::open(&[&node], Codec::Vp8, 3, 2);
    let slow = vec![0; 10_000];
    let unknown = [check("00nobody"), vec![0, 9, 1, 2, 3]].concat();
    let malformed: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n",
        &[22, 3, 1, 2, 0, 1],
        &[0, 4, 128, 0, 0, 0],
        &check("ffnobody"),
    ];
    std::thread::scope(|scope| {
        for _ in 0..5 {
            for bytes in malformed {
                scope.spawn(move || until_closed(ports.media, bytes, false));
            }
            scope.spawn(|| until_closed(ports.media, &slow, true));
            for bytes in [&[][..], &unknown, &[0]] {
                scope.spawn(move || until_closed(ports.media, bytes, false));
            }
        }
    });
    for figures in seen_by_all(&room, 2).values() {
        assert_eq!((figures.audio.lost, figures.audio.forged), (0, 0), "{figures:?}");
        assert_eq!((figures.video.lost, figures.video.forged), (0, 0), "{figures:?}");
    }
    assert_eq!(detour.opened(), 3);
    assert_eq!(
        (figure(&node, "tcp_connections"), figure(&node, "tcp_accepted")),
        (3, 43)
    );
    assert_eq!(
        (figure(&node, "tcp_malformed"), figure(&node, "tcp_unanswered")),
        (20, 20)
    );
    assert_eq!(
        (
            figure(&node, "tcp_pictures_dropped"),
            figure(&node, "tcp_others_dropped")
        ),
        (0, 0)
    );
    assert!(figure(&node, "tcp_packets_in") > 1_000);
}

#[test]
fn a_call_goes_on_over_new_connections_when_all_break() {
    let ports = Ports::free();
    let (flags, detour) = by_tcp_only(ports, ports.media);
    let mut node = Node::run(&arguments(&flags), ports);
    let room = Room::open(&[&node], Codec::Vp8, 2, 1);
    seen_by_all(&room, 1);
    let before = room.figures();
    detour.cut();
    let until = Instant::now() + PATIENCE;
    loop {
        let after = room.figures();
        let goes_on = before.iter().all(|(id, figures)| {
            let now = &after[id];
            now.audio.received > figures.audio.received + 500
        });
        if goes_on {
            break;
        }
        assert!(Instant::now() < until, "{after:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(detour.opened(), 4);
    node.wait_until("rid of the first connections", |node| {
        figure(node, "tcp_connections") == 2
    });
}

#[test]
fn more_connections_than_the_limits_are_closed_and_those_there_stay() {
    let ports = Ports::free();
    let (mut flags, detour) = by_tcp_only(ports, ports.media);
    flags.push("--limits.tcp_connections_per_address=5".to_owned());
    flags.push("--limits.tcp_greetings=3".to_owned());
    let mut node = Node::run(&arguments(&flags), ports);
    let room = Room::open(&[&node], Codec::Vp8, 2, 1);
    seen_by_all(&room, 1);
    let silent: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(loopback(ports.media)).unwrap())
        .collect();
    node.wait_until("aware of them", |node| figure(node, "tcp_connections") == 5);
    until_closed(ports.media, &[], false);
    until_closed(ports.media, &[], false);
    assert_eq!(figure(&node, "tcp_refused"), 2);
    assert_eq!(node.log().matches("media connections over the limit").count(), 1);
    drop(silent);
    node.wait_until("rid of them", |node| figure(node, "tcp_connections") == 2);
    for figures in room.figures().values() {
        assert_eq!((figures.audio.lost, figures.video.lost), (0, 0), "{figures:?}");
    }
    assert_eq!(detour.opened(), 2);
}

#[test]
fn media_shares_the_port_of_https_and_pages_are_served_beside_it() {
    let ports = Ports::free();
    let folder = tempfile::tempdir().unwrap();
    let (mut flags, detour) = by_tcp_only(ports, ports.http);
    let (certificate, of_tls) = certificate_in(folder.path());
    flags.extend(of_tls);
    flags.push("--media.tcp=true".to_owned());
    flags.push(format!("--media.tcp_listen=127.0.0.1:{}", ports.http));
    let _node = Node::run_https(&arguments(&flags), ports, &certificate);
    let trust = Trust::of([certificate.clone()]).unwrap();
    let url = format!("https://localhost:{}", ports.http);
    let way = (loopback(0).ip(), Endpoint::resolve(&url, Some(&trust)).unwrap());
    let room = Room::open_by(&[way], Codec::Vp8, 2, 1);
    for figures in seen_by_all(&room, 1).values() {
        assert_eq!((figures.audio.lost, figures.audio.forged), (0, 0), "{figures:?}");
    }
    assert_eq!(detour.opened(), 2);
    let page = crate::process::get_https(ports.http, "/m/standup", &certificate).unwrap();
    assert!(page.contains(" 200 "), "{page}");
    assert!(
        TcpStream::connect(loopback(ports.media)).is_err(),
        "no port of its own"
    );
}
