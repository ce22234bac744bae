use super::*;
use crate::rtc::random::SeededRandom;
use crate::rtc::testing;
use rtc_datachannel::message::message_channel_open::ChannelType;
use rtc_sctp::{ClientConfig, Endpoint};
use std::time::Duration;

/// A client's SCTP against ours, without DTLS between them.
struct Bench {
    ours: DataChannels,
    counters: RtcCounters,
    endpoint: Endpoint,
    theirs: Association,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = testing::instant();
        let mut endpoint = Endpoint::new(
            PLACEHOLDER,
            TransportProtocol::UDP,
            Arc::new(EndpointConfig::new()),
            None,
        );
        let (_, theirs) = endpoint
            .connect(now, ClientConfig::default(), PLACEHOLDER)
            .unwrap();
        let ours = DataChannels::new(&RtcLimits::default());
        Self {
            ours,
            counters: RtcCounters::default(),
            endpoint,
            theirs,
            now,
        }
    }

    /// Their packets that are ready.
    fn outgoing(&mut self) -> Vec<Bytes> {
        let mut packets = Vec::new();
        while let Some(transmit) = self.theirs.poll_transmit(self.now) {
            if let Payload::RawEncode(contents) = transmit.message {
                packets.extend(contents);
            }
        }
        packets
    }

    fn exchange(&mut self) {
        for _ in 0..20 {
            self.now += Duration::from_millis(100);
            self.theirs.handle_timeout(self.now);
            for packet in self.outgoing() {
                self.ours
                    .handle_packet(self.now, packet.to_vec(), &mut self.counters);
            }
            self.ours.handle_timeout(self.now, &mut self.counters);
            for packet in self.ours.poll_transmit(self.now) {
                if let Some((_, DatagramEvent::AssociationEvent(event))) =
                    self.endpoint.handle(self.now, PLACEHOLDER, None, packet)
                {
                    self.theirs.handle_event(event);
                }
            }
        }
    }

    fn open(&mut self, id: u16, label: &str) {
        let mut stream = self
            .theirs
            .open_stream(id, PayloadProtocolIdentifier::Binary)
            .unwrap();
        let open = Message::DataChannelOpen(DataChannelOpen {
            channel_type: ChannelType::Reliable,
            priority: 0,
            reliability_parameter: 0,
            label: label.as_bytes().to_vec(),
            protocol: Vec::new(),
        });
        stream
            .write_sctp(
                self.now,
                &open.marshal().unwrap().freeze(),
                PayloadProtocolIdentifier::Dcep,
            )
            .unwrap();
    }

    fn write(&mut self, id: u16, payload: &[u8], kind: PayloadProtocolIdentifier) {
        self.theirs
            .stream(id)
            .unwrap()
            .write_with_ppi(self.now, payload, kind)
            .unwrap();
    }
}

#[test]
fn only_the_two_known_channels_carry_messages() {
    let mut bench = Bench::new();
    bench.exchange();
    bench.open(0, "_reliable");
    bench.open(2, "_data_track");
    bench.write(0, b"binary", PayloadProtocolIdentifier::Binary);
    bench.write(0, &[0], PayloadProtocolIdentifier::BinaryEmpty);
    bench.write(2, b"nobody listens", PayloadProtocolIdentifier::Binary);
    bench.write(0, &vec![1; 70_000], PayloadProtocolIdentifier::Binary);
    bench.exchange();
    assert_eq!(
        bench.ours.poll_received(),
        Some(DataIn {
            reliable: true,
            payload: b"binary".to_vec()
        })
    );
    assert_eq!(
        bench.ours.poll_received(),
        Some(DataIn {
            reliable: true,
            payload: Vec::new()
        })
    );
    assert_eq!(bench.ours.poll_received(), None);
    assert_eq!(bench.counters.data_dropped, 2);
}

#[test]
fn messages_wait_for_their_channel_and_keep_their_order() {
    let mut bench = Bench::new();
    for number in 0..3 {
        bench
            .ours
            .send(bench.now, true, Bytes::from(vec![number]), &mut bench.counters)
            .unwrap();
    }
    bench
        .ours
        .send(bench.now, true, Bytes::new(), &mut bench.counters)
        .unwrap();
    bench.exchange();
    assert_eq!(bench.ours.waiting_bytes, 3);
    bench.open(0, "_reliable");
    bench.exchange();
    let mut received = Vec::new();
    while let Ok(Some(chunks)) = bench.theirs.stream(0).unwrap().read_sctp() {
        received.push((chunks.ppi, chunks.to_payload(10).unwrap().to_vec()));
    }
    let numbers: Vec<u8> = received[1..].iter().map(|(_, payload)| payload[0]).collect();
    assert_eq!(numbers, [0, 1, 2, 0]);
    assert_eq!(received[4].0, PayloadProtocolIdentifier::BinaryEmpty);
    assert_eq!(bench.ours.waiting_bytes, 0);
}

#[test]
fn repeated_first_packets_make_a_bounded_number_of_associations() {
    let mut bench = Bench::new();
    let init = bench.outgoing().remove(0);
    for _ in 0..1000 {
        bench
            .ours
            .handle_packet(bench.now, init.to_vec(), &mut bench.counters);
        assert!(bench.ours.handshakes.len() <= MAX_HANDSHAKES);
    }
    bench.exchange();
    assert!(bench.ours.established.is_some() && bench.ours.handshakes.is_empty());
    bench
        .ours
        .handle_packet(bench.now, init.to_vec(), &mut bench.counters);
    assert!(bench.ours.handshakes.is_empty());
}

#[test]
fn a_client_that_opens_too_many_streams_loses_its_channels() {
    let mut bench = Bench::new();
    bench.exchange();
    for id in 0..=MAX_STREAMS as u16 {
        bench.open(id, "x");
    }
    bench.exchange();
    assert!(bench.ours.streams.is_empty());
    assert!(bench.counters.bad_sctp > 0);
    bench.exchange();
    assert_eq!(bench.ours.poll_received(), None);
}

#[test]
fn random_packets_neither_panic_nor_open_anything() {
    let mut bench = Bench::new();
    bench.exchange();
    let mut dice = SeededRandom::new(&[3; 32]);
    let mut established = Bench::new();
    established.exchange();
    for round in 0..20_000_u32 {
        let words = dice.number() % 40;
        let mut packet: Vec<u8> = (0..words).flat_map(|_| dice.number().to_be_bytes()).collect();
        if round % 2 == 0 && packet.len() > 16 {
            packet[12] = (round / 2 % 16) as u8;
        }
        bench.ours.handle_packet(bench.now, packet, &mut bench.counters);
    }
    assert!(bench.ours.streams.is_empty() && bench.ours.handshakes.is_empty());
    bench.open(0, "_reliable");
    bench.write(0, b"still works", PayloadProtocolIdentifier::Binary);
    bench.exchange();
    assert_eq!(
        bench.ours.poll_received().map(|message| message.payload),
        Some(b"still works".to_vec())
    );
}

/// CRC-32C over a packet whose checksum field counts as zero (RFC 9260 appendix A).
fn write_checksum(packet: &mut [u8]) {
    packet[8..12].fill(0);
    let mut crc = u32::MAX;
    for byte in packet.iter() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
}

#[test]
fn mutilated_packets_of_a_real_client_never_panic() {
    let mut dice = SeededRandom::new(&[4; 32]);
    for round in 0..400_u32 {
        let mut bench = Bench::new();
        // Some during the handshake, some after it.
        if round % 4 != 0 {
            bench.exchange();
            bench.open(0, "_reliable");
            bench.write(0, &[7; 3000], PayloadProtocolIdentifier::Binary);
        }
        for _ in 0..4 {
            for packet in bench.outgoing() {
                for _ in 0..8 {
                    let mut bad = packet.to_vec();
                    for _ in 0..=dice.number() % 3 {
                        let at = 12 + dice.number() as usize % (bad.len() - 12);
                        bad[at] = [0, 1, 0xff, dice.number() as u8][dice.number() as usize % 4];
                    }
                    if dice.number().is_multiple_of(4) {
                        bad.truncate(13 + dice.number() as usize % (bad.len() - 12));
                    }
                    write_checksum(&mut bad);
                    bench.ours.handle_packet(bench.now, bad, &mut bench.counters);
                    bench.ours.poll_transmit(bench.now);
                }
                bench
                    .ours
                    .handle_packet(bench.now, packet.to_vec(), &mut bench.counters);
            }
            bench.now += Duration::from_secs(1);
            bench.theirs.handle_timeout(bench.now);
            bench.ours.handle_timeout(bench.now, &mut bench.counters);
        }
    }
}

#[test]
fn channels_we_open_carry_messages_at_once_and_in_order() {
    let mut bench = Bench::new();
    bench.ours.open_channels();
    for payload in [b"first".as_slice(), b"second"] {
        bench
            .ours
            .send(bench.now, true, Bytes::from(payload), &mut bench.counters)
            .unwrap();
    }
    bench.exchange();
    let mut read = Vec::new();
    for (id, label) in [(1, "_reliable"), (3, "_lossy")] {
        let mut stream = bench.theirs.stream(id).unwrap();
        let open = stream.read_sctp().unwrap().unwrap();
        let mut message = open.to_payload(1_000).unwrap().freeze();
        let Ok(Message::DataChannelOpen(open)) = Message::unmarshal(&mut message) else {
            panic!("a channel begins with its opening")
        };
        let unreliable = open.channel_type == ChannelType::PartialReliableRexmitUnordered;
        assert_eq!((open.label.as_slice(), unreliable), (label.as_bytes(), id == 3));
        while let Ok(Some(chunks)) = stream.read_sctp() {
            read.push((id, chunks.to_payload(1_000).unwrap().to_vec()));
        }
    }
    assert_eq!(read, [(1, b"first".to_vec()), (1, b"second".to_vec())]);
    bench.write(1, b"back", PayloadProtocolIdentifier::Binary);
    bench.exchange();
    assert_eq!(
        bench.ours.poll_received().map(|message| message.payload),
        Some(b"back".to_vec())
    );
}
