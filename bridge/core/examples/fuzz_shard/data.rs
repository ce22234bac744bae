//! What comes under DTLS: SCTP chunks, channel openings and messages, with sound checksums and little else that is.

use crate::client::Client;
use crate::fuzzing::{Random, Tally, throwing};
use crate::world::World;

/// Steps of 10 ms until there are channels; more is no handshake over a line without loss.
const STEPS: usize = 100;
const INPUTS: u64 = 600;

/// Chunk types: DATA, INIT, acknowledgements, heartbeats, endings, cookies, RE-CONFIG, FORWARD-TSN, unknown ones.
const CHUNKS: [u8; 18] = [0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 10, 11, 130, 192, 14, 255];

/// One round.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut world = World::new(random.next());
    let mut client = Client::new(&mut world, random.once_in(2));
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut tally = Tally::default();
    // Half of the rounds begin to be hostile before there are channels.
    let patient = random.once_in(2);
    for _ in 0..STEPS {
        world.pass(1);
        client.step(&mut world);
        for packet in std::mem::take(&mut client.packets) {
            seen.push(packet.to_vec());
            client.protect(&world, &packet);
        }
        client.send(&mut world);
        if client.has_channels() || (!patient && !seen.is_empty()) {
            break;
        }
    }
    for _ in 0..INPUTS {
        if seen.is_empty() || world.ended > 0 {
            break;
        }
        if client.has_channels() && random.once_in(8) {
            let payload = random.noise(3_000);
            client.write(&world, random.of(&[0, 2]), &payload);
        }
        for packet in std::mem::take(&mut client.packets) {
            seen.push(packet.to_vec());
            if !random.once_in(4) {
                client.protect(&world, &packet);
            }
        }
        if seen.len() > 40 {
            seen.drain(1..20);
        }
        let packet = hostile(random, &seen);
        throwing(&packet);
        client.protect(&world, &packet);
        client.send(&mut world);
        tally.inputs += 1;
        if random.once_in(6) {
            world.pass(1 + random.below(30));
        }
        // Answered, be it by an acknowledgement.
        tally.accepted += u64::from(!world.sent.is_empty());
        client.step(&mut world);
    }
    tally
}

fn hostile(random: &mut Random, seen: &[Vec<u8>]) -> Vec<u8> {
    let template = random.of(seen);
    let mut packet = template.clone();
    match random.below(4) {
        0 => {
            let sound = packet.split_off(packet.len().min(12));
            let mut chunks = sound;
            random.damage(&mut chunks);
            packet.extend(chunks);
        }
        _ => {
            // The common header of the association, then chunks.
            packet.truncate(12);
            let tsn = word(&template, 16);
            for _ in 0..=random.below(4) {
                chunk(random, tsn, &mut packet);
            }
        }
    }
    packet.truncate(1_200);
    if packet.len() >= 12 {
        packet[8..12].fill(0);
        let sum = crc32c(&packet);
        packet[8..12].copy_from_slice(&sum.to_le_bytes());
    }
    packet
}

fn word(packet: &[u8], at: usize) -> u32 {
    packet
        .get(at..at + 4)
        .map_or(0, |word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

fn chunk(random: &mut Random, tsn: u32, packet: &mut Vec<u8>) {
    let mut kind = random.of(&CHUNKS);
    if matches!(kind, 6 | 7 | 8 | 14) && !random.once_in(60) {
        // An ending leaves nothing to be hostile to.
        kind = 0;
    }
    let mut body = Vec::new();
    let near = tsn.wrapping_add(random.below(40) as u32);
    let number = if random.once_in(5) {
        random.next() as u32
    } else {
        near
    };
    match kind {
        0 => {
            body.extend_from_slice(&number.to_be_bytes());
            body.extend_from_slice(&(random.below(70) as u16).to_be_bytes());
            body.extend_from_slice(&(random.below(5) as u16).to_be_bytes());
            let protocol = random.of(&[50_u32, 50, 51, 53, 56, 57, 0, u32::MAX]);
            body.extend_from_slice(&protocol.to_be_bytes());
            body.extend(if protocol == 50 {
                opening(random)
            } else {
                random.noise(400)
            });
        }
        3 | 192 => {
            body.extend_from_slice(&number.to_be_bytes());
            body.extend(random.noise(60));
        }
        130 => {
            // RE-CONFIG with requests and responses of made-up length.
            body.extend_from_slice(&[0, random.of(&[13, 14, 15, 16, 17, 18])]);
            let parameter = random.noise(40);
            body.extend_from_slice(&(parameter.len() as u16 + 4).to_be_bytes());
            body.extend(parameter);
        }
        _ => body.extend(random.noise(80)),
    }
    let length = if random.once_in(12) {
        random.next() as u16
    } else {
        body.len() as u16 + 4
    };
    packet.extend_from_slice(&[
        kind,
        if kind == 0 {
            (3 & random.byte()) | (2 * u8::from(random.once_in(2)))
        } else {
            random.byte() & 3
        },
    ]);
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&body);
    packet.resize(packet.len().next_multiple_of(4), 0);
}

/// A DATA_CHANNEL_OPEN (RFC 8832 section 5.1), true or nearly.
fn opening(random: &mut Random) -> Vec<u8> {
    let label: &[u8] = random.of(&[b"_reliable" as &[u8], b"_lossy", b"", b"other", &[0xff; 30]]);
    let mut open = vec![
        random.of(&[3, 3, 3, 2, 0]),
        random.of(&[0, 1, 2, 0x80, 0x81, 0x82, 0x55]),
        1,
        0,
    ];
    open.extend_from_slice(&[random.byte(), 0, 0, random.byte()]);
    let claimed = if random.once_in(4) {
        random.next() as u16
    } else {
        label.len() as u16
    };
    open.extend_from_slice(&claimed.to_be_bytes());
    open.extend_from_slice(&[0, 0]);
    open.extend_from_slice(label);
    if random.once_in(4) {
        random.damage(&mut open);
    }
    open
}

/// CRC-32C (RFC 9260 appendix A), bit by bit: packets are few.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
