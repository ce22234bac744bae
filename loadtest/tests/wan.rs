//! The emulator with real sockets on loopback. Only lower bounds of time are asserted: this machine may be
//! slow, but a datagram must never be early.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use loadtest::wan::change::PropertyChange;
use loadtest::wan::{
    Between, CaptureTo, LinkProperties, Loss, Probability, Wan, WanConfig, WanError, WanStats,
};

/// Far beyond any delay used here; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn address(socket: &UdpSocket) -> SocketAddrV4 {
    match socket.local_addr().unwrap() {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("bound to IPv4"),
    }
}

fn delayed(milliseconds: u64) -> LinkProperties {
    LinkProperties {
        delay: Duration::from_millis(milliseconds),
        ..LinkProperties::default()
    }
}

/// Nodes `fra` and `sin`, of which `fra` dials.
fn config(sin: SocketAddrV4, there: LinkProperties, back: LinkProperties) -> WanConfig {
    let control = Some("127.0.0.1:0".parse().unwrap());
    WanConfig {
        seed: 1,
        control,
        ..WanConfig::dialled(("fra", "sin"), sin, there, back)
    }
}

/// Waits until the counters say so.
fn stats_when(wan: &Wan, wanted: impl Fn(&WanStats) -> bool) -> WanStats {
    let start = Instant::now();
    loop {
        let stats = wan.stats().unwrap();
        if wanted(&stats) {
            return stats;
        }
        assert!(start.elapsed() < PATIENCE, "still waiting: {}", stats.to_json());
        std::thread::yield_now();
    }
}

fn offered(stats: &WanStats) -> u64 {
    stats.link("fra", "sin").unwrap().offered.datagrams
}

fn scratch_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn nothing_is_early_and_datagrams_keep_their_boundaries_and_order() {
    let (fra, sin) = (socket(), socket());
    let wan = Wan::start(&config(address(&sin), delayed(30), delayed(0)), None).unwrap();
    let entry = wan.listen_addr("fra", "sin").unwrap();
    let sizes = [1_usize, 0, 1_200, 9_000, 65_507, 2];
    let start = Instant::now();
    for (index, size) in sizes.iter().enumerate() {
        fra.send_to(&vec![index as u8; *size], entry).unwrap();
    }
    let mut buffer = vec![0; 65_535];
    for (index, size) in sizes.iter().enumerate() {
        let received = sin.recv(&mut buffer).unwrap();
        assert!(
            start.elapsed() >= Duration::from_millis(30),
            "datagram {index} was early"
        );
        assert_eq!(received, *size);
        assert!(buffer[..received].iter().all(|byte| usize::from(*byte) == index));
    }
    let stats = wan.finish().unwrap();
    let link = stats.link("fra", "sin").unwrap();
    assert_eq!(
        (link.offered, link.in_flight, link.unsent),
        (link.delivered, 0, 0)
    );
}

#[test]
fn answers_take_the_opposite_link_and_reach_the_sender_they_are_for() {
    let (one, other, sin) = (socket(), socket(), socket());
    let wan = Wan::start(&config(address(&sin), delayed(5), delayed(40)), None).unwrap();
    let entry = wan.listen_addr("fra", "sin").unwrap();
    let start = Instant::now();
    one.send_to(b"one", entry).unwrap();
    other.send_to(b"other", entry).unwrap();
    let mut buffer = [0; 100];
    let mut senders = BTreeSet::new();
    for _ in 0..2 {
        let (bytes, from) = sin.recv_from(&mut buffer).unwrap();
        assert!(senders.insert(from), "each sender has a flow of its own");
        sin.send_to(&buffer[..bytes], from).unwrap();
    }
    for (socket, text) in [(&one, &b"one"[..]), (&other, b"other")] {
        let (bytes, from) = socket.recv_from(&mut buffer).unwrap();
        assert!(
            start.elapsed() >= Duration::from_millis(45),
            "the answer was early"
        );
        assert_eq!((&buffer[..bytes], from), (text, entry.into()));
    }
    let stats = wan.finish().unwrap();
    assert_eq!(stats.flows, 2);
    assert_eq!(stats.link("sin", "fra").unwrap().delivered.datagrams, 2);
}

#[test]
fn a_cut_loses_what_is_under_way_and_a_heal_carries_again() {
    let (fra, sin) = (socket(), socket());
    let wan = Wan::start(&config(address(&sin), delayed(2_000), delayed(0)), None).unwrap();
    let entry = wan.listen_addr("fra", "sin").unwrap();
    let both = Between::both("fra", "sin");
    fra.send_to(b"under way", entry).unwrap();
    stats_when(&wan, |stats| offered(stats) == 1);
    wan.cut(&both).unwrap();
    fra.send_to(b"too late", entry).unwrap();
    stats_when(&wan, |stats| offered(stats) == 2);
    wan.heal(&both).unwrap();
    fra.send_to(b"healed", entry).unwrap();

    let mut buffer = [0; 100];
    let bytes = sin.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..bytes], b"healed");
    let stats = wan.finish().unwrap();
    let link = stats.link("fra", "sin").unwrap();
    assert_eq!(
        (link.offered.datagrams, link.cut_off, link.delivered.datagrams),
        (3, 2, 1)
    );
}

#[test]
fn one_direction_can_be_cut_alone() {
    let (fra, sin) = (socket(), socket());
    let wan = Wan::start(&config(address(&sin), delayed(0), delayed(0)), None).unwrap();
    wan.cut(&Between::one_way("sin", "fra")).unwrap();
    fra.send_to(b"there", wan.listen_addr("fra", "sin").unwrap())
        .unwrap();
    let (_, from) = sin.recv_from(&mut [0; 100]).unwrap();
    sin.send_to(b"back", from).unwrap();
    let stats = stats_when(&wan, |stats| stats.link("sin", "fra").unwrap().cut_off == 1);
    assert!(stats.link("sin", "fra").unwrap().cut && !stats.link("fra", "sin").unwrap().cut);
    let error = wan.cut(&Between::both("fra", "syd")).unwrap_err();
    assert!(matches!(error, WanError::UnknownLink { .. }), "{error}");
}

/// Which of 2,000 datagrams arrive at 20 % loss.
fn survivors() -> Vec<u16> {
    const COUNT: u16 = 2_000;
    let (fra, sin) = (socket(), socket());
    let loss = Loss::Uniform(Probability::new(0.2).unwrap());
    let lossy = LinkProperties { loss, ..delayed(1) };
    let wan = Wan::start(&config(address(&sin), lossy, delayed(0)), None).unwrap();
    let entry = wan.listen_addr("fra", "sin").unwrap();
    let mut survivors = Vec::new();
    let mut buffer = [0; 100];
    for number in 0..COUNT {
        fra.send_to(&number.to_be_bytes(), entry).unwrap();
        if number % 100 == 99 {
            let settled = |stats: &WanStats| {
                offered(stats) == u64::from(number) + 1 && stats.link("fra", "sin").unwrap().in_flight == 0
            };
            let arrived = stats_when(&wan, settled)
                .link("fra", "sin")
                .unwrap()
                .delivered
                .datagrams;
            while (survivors.len() as u64) < arrived {
                assert_eq!(sin.recv(&mut buffer).unwrap(), 2);
                survivors.push(u16::from_be_bytes([buffer[0], buffer[1]]));
            }
        }
    }
    let stats = wan.finish().unwrap();
    let link = stats.link("fra", "sin").unwrap();
    assert_eq!(link.lost + link.delivered.datagrams, link.offered.datagrams);
    assert_eq!(
        (link.offered.datagrams, link.refused, link.unsent),
        (u64::from(COUNT), 0, 0)
    );
    survivors
}

#[test]
fn loss_is_counted_keeps_order_and_repeats_with_its_seed() {
    let first = survivors();
    assert!(
        (1_500..1_700).contains(&first.len()),
        "{} of 2,000 at 20 % loss",
        first.len()
    );
    assert!(first.is_sorted());
    assert_eq!(first, survivors());
}

#[test]
fn a_node_that_comes_back_on_its_port_is_reached_through_the_old_flow() {
    let (fra, sin) = (socket(), socket());
    let sin_address = address(&sin);
    let wan = Wan::start(&config(sin_address, delayed(0), delayed(0)), None).unwrap();
    let entry = wan.listen_addr("fra", "sin").unwrap();
    fra.send_to(b"first", entry).unwrap();
    sin.recv(&mut [0; 100]).unwrap();
    drop(sin);
    for number in 1..=10 {
        fra.send_to(b"nobody is there", entry).unwrap();
        stats_when(&wan, |stats| {
            offered(stats) == 1 + number && stats.links[0].in_flight == 0
        });
    }
    let sin = UdpSocket::bind(sin_address).unwrap();
    sin.set_read_timeout(Some(PATIENCE)).unwrap();
    fra.send_to(b"back again", entry).unwrap();
    let mut buffer = [0; 100];
    let bytes = sin.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..bytes], b"back again");
}

#[test]
fn a_changed_property_holds_for_the_next_datagram() {
    let (fra, sin) = (socket(), socket());
    let wan = Wan::start(&config(address(&sin), delayed(0), delayed(0)), None).unwrap();
    let change = PropertyChange::parse([("delay", "60ms")]).unwrap();
    wan.set(&Between::one_way("fra", "sin"), change).unwrap();
    let start = Instant::now();
    fra.send_to(b"later", wan.listen_addr("fra", "sin").unwrap())
        .unwrap();
    sin.recv(&mut [0; 100]).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn copies_arrive_and_datagrams_held_back_are_overtaken() {
    let (fra, sin) = (socket(), socket());
    let wan = Wan::start(&config(address(&sin), delayed(0), delayed(0)), None).unwrap();
    let entry = wan.listen_addr("fra", "sin").unwrap();
    let there = Between::one_way("fra", "sin");
    let set = |keys: [(&str, &str); 3]| wan.set(&there, PropertyChange::parse(keys).unwrap()).unwrap();

    set([
        ("duplicate", "100%"),
        ("reorder", "100%"),
        ("reorder_by", "300ms"),
    ]);
    fra.send_to(b"held back", entry).unwrap();
    stats_when(&wan, |stats| offered(stats) == 1);
    set([("duplicate", "0%"), ("reorder", "0%"), ("delay", "0ms")]);
    fra.send_to(b"overtakes", entry).unwrap();

    let mut buffer = [0; 100];
    for expected in [&b"overtakes"[..], b"held back", b"held back"] {
        let bytes = sin.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..bytes], expected);
    }
    let stats = wan.finish().unwrap();
    let link = stats.link("fra", "sin").unwrap();
    assert_eq!(
        (
            link.offered.datagrams,
            link.delivered.datagrams,
            link.duplicated,
            link.held_back
        ),
        (2, 2, 1, 1)
    );
}

/// The UDP payloads of a capture, after checking lengths and header checksums.
fn payloads(pcap: &[u8]) -> Vec<(u16, Vec<u8>)> {
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    assert_eq!(pcap[20..24], 101_u32.to_le_bytes());
    let mut rest = &pcap[24..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], rest[12..16]);
        let packet = &rest[16..16 + length];
        let words = packet[..20]
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "IPv4 header checksum");
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), length);
        assert_eq!(
            usize::from(u16::from_be_bytes([packet[24], packet[25]])),
            length - 20
        );
        found.push((
            u16::from_be_bytes([packet[22], packet[23]]),
            packet[28..].to_vec(),
        ));
        rest = &rest[16 + length..];
    }
    found
}

#[test]
fn the_capture_holds_both_directions_and_respects_its_limit() {
    let (fra, sin) = (socket(), socket());
    let path = scratch_file("both-directions.pcap");
    let records_bytes = 2 * (16 + 28 + 100);
    let capture = CaptureTo {
        path: path.clone(),
        limit_bytes: 24 + records_bytes + 50,
    };
    let wan = Wan::start(&config(address(&sin), delayed(1), delayed(1)), Some(&capture)).unwrap();
    let entry = wan.listen_addr("fra", "sin").unwrap();
    let mut buffer = [0; 100];
    fra.send_to(&[b'Q'; 100], entry).unwrap();
    let (_, from) = sin.recv_from(&mut buffer).unwrap();
    sin.send_to(&[b'A'; 100], from).unwrap();
    fra.recv(&mut buffer).unwrap();
    fra.send_to(&[b'X'; 100], entry).unwrap();
    sin.recv(&mut buffer).unwrap();

    let stats = wan.finish().unwrap();
    assert_eq!((stats.captured, stats.capture_skipped), (2, 1));
    let expected = [
        (address(&sin).port(), vec![b'Q'; 100]),
        (address(&fra).port(), vec![b'A'; 100]),
    ];
    assert_eq!(payloads(&std::fs::read(path).unwrap()), expected);
}

#[test]
fn the_control_socket_obeys_answers_and_survives_nonsense() {
    let sin = socket();
    let wan = Wan::start(&config(address(&sin), delayed(0), delayed(0)), None).unwrap();
    let connect = || {
        let stream = TcpStream::connect(wan.control_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut stream = connect();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ask = |line: &[u8]| {
        stream.write_all(line).unwrap();
        answers.next().unwrap().unwrap()
    };
    assert_eq!(ask(b"cut fra sin\n"), "ok");
    assert!(wan.stats().unwrap().links.iter().all(|link| link.cut));
    assert_eq!(ask(b"heal fra>sin\r\n"), "ok");
    let stats = ask(b"stats\n");
    assert!(
        stats.starts_with(r#"{"links":[{"from":"fra","to":"sin","cut":false,"offered":{"datagrams":0"#),
        "{stats}"
    );
    assert_eq!(ask(b"cut fra syd\n"), "error: there is no link fra > syd");
    assert!(ask(b"\xff\xfe\n").starts_with("error: "));
    assert!(ask(b"set fra sin delay=1\n").contains("is not a duration"));
    assert!(ask(&[b'x'; 5_000]).contains("too long"));

    let mut stream = connect();
    stream.write_all(b"heal fra sin\n").unwrap();
    assert_eq!(BufReader::new(stream).lines().next().unwrap().unwrap(), "ok");
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let (taken, sin) = (socket(), socket());
    let mut config = config(address(&sin), delayed(0), delayed(0));
    config.links[0].listen = address(&taken);
    let error = Wan::start(&config, None).err().unwrap().to_string();
    assert!(
        error.contains(&format!("cannot listen on {}", address(&taken))),
        "{error}"
    );
    assert!(error.contains("fra > sin"), "{error}");
}

#[test]
fn the_example_joins_three_regions_with_their_delays() {
    let config = WanConfig::from_toml(include_str!("../examples/three-regions.toml")).unwrap();
    let delay_ms = |from: &str, to: &str| {
        let link = config
            .links
            .iter()
            .find(|link| link.from == from && link.to == to)
            .unwrap();
        link.properties.delay.as_millis()
    };
    assert_eq!(config.links.len(), 6);
    for (one, other, delay) in [("fra", "sin", 80), ("sin", "syd", 46), ("fra", "syd", 125)] {
        assert_eq!((delay_ms(one, other), delay_ms(other, one)), (delay, delay));
    }
}
