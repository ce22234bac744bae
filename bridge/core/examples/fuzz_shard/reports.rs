//! RTCP of a viewer and of a publisher with keys: compounds of everything there is, true and false.

use crate::fuzzing::{Random, Tally, throwing};
use crate::world::{World, publisher_and_viewer};

const INPUTS: u64 = 2_000;

/// Types of RTCP with the formats that mean something: SR, RR, SDES, BYE, APP, NACK, TWCC and others of 205, PLI, FIR,
/// REMB and others of 206, XR.
const KINDS: [(u8, u8); 14] = [
    (200, 0),
    (200, 31),
    (201, 1),
    (202, 1),
    (203, 1),
    (204, 0),
    (205, 1),
    (205, 15),
    (205, 3),
    (206, 1),
    (206, 4),
    (206, 15),
    (207, 0),
    (255, 31),
];

/// One round.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut world = World::new(random.next());
    let (mut publisher, mut viewer) = publisher_and_viewer(&mut world);
    let mut ssrcs = world.answered_ssrcs();
    ssrcs.extend([1_070, 1_080, 1_081, 0, u32::MAX]);
    let mut accepted = 0;
    for number in 0..INPUTS {
        for (cid, stream) in [("mic", 0), ("cam", 0), ("cam", 2)] {
            if let Some(packet) = publisher.packet(cid, stream, number % 30 == 0, &[7; 200]) {
                world.datagram(publisher.address, packet);
            }
        }
        let mut compound = compound(random, &ssrcs);
        if random.once_in(3) {
            random.damage(&mut compound);
            // What is sealed has a header and a sender.
            compound.resize(compound.len().max(8), 0);
        }
        throwing(&compound);
        let before = world.shard.counters();
        let (from, sealed) = if random.once_in(4) {
            (publisher.address, publisher.rtcp(compound))
        } else {
            (viewer.address, viewer.rtcp(compound))
        };
        world.datagram(from, sealed);
        let after = world.shard.counters();
        accepted += u64::from(
            (after.repairs_out, after.repairs_refused, after.keyframe_requests)
                != (
                    before.repairs_out,
                    before.repairs_refused,
                    before.keyframe_requests,
                ),
        );
        world.sent.clear();
        if random.once_in(10) {
            world.pass(random.below(20));
        }
    }
    Tally {
        inputs: INPUTS,
        accepted,
    }
}

fn compound(random: &mut Random, ssrcs: &[u32]) -> Vec<u8> {
    let mut compound = Vec::new();
    let packets = if random.once_in(20) {
        150
    } else {
        1 + random.below(5)
    };
    for _ in 0..packets {
        let (kind, format) = random.of(&KINDS);
        let body = body(random, kind, format, ssrcs);
        let words = if random.once_in(15) {
            random.next() as u16
        } else {
            (body.len() / 4) as u16
        };
        let format = if random.once_in(15) {
            random.byte() & 0x1f
        } else {
            format
        };
        compound.extend_from_slice(&[0x80 | format, kind]);
        compound.extend_from_slice(&words.to_be_bytes());
        compound.extend_from_slice(&body);
    }
    compound.truncate(1_450);
    compound
}

fn body(random: &mut Random, kind: u8, format: u8, ssrcs: &[u32]) -> Vec<u8> {
    let mut body = 1_u32.to_be_bytes().to_vec();
    let mut word = |value: u32| body.extend_from_slice(&value.to_be_bytes());
    match (kind, format) {
        (200, _) => {
            body.clear();
            body.extend_from_slice(&random.of(ssrcs).to_be_bytes());
            body.extend((0..20).map(|_| random.byte()));
        }
        (205, 1) => {
            word(random.of(ssrcs));
            for _ in 0..random.below(300) {
                let first = if random.once_in(2) {
                    random.below(400) as u16
                } else {
                    random.next() as u16
                };
                word(u32::from(first) << 16 | (random.next() as u32 & 0xffff));
            }
        }
        (205, 15) => {
            word(random.of(ssrcs));
            feedback(random, &mut body);
        }
        (206, 4) => {
            word(0);
            for _ in 0..random.below(100) {
                word(random.of(ssrcs));
                word(random.next() as u32);
            }
        }
        _ => {
            word(random.of(ssrcs));
            body.extend(random.noise(80));
        }
    }
    body.resize(body.len().next_multiple_of(4), 0);
    body
}

/// Transport-wide feedback: base, count, reference time, number, chunks of both kinds, deltas.
fn feedback(random: &mut Random, body: &mut Vec<u8>) {
    let base = random.below(3_000) as u16;
    body.extend_from_slice(&base.to_be_bytes());
    let count = if random.once_in(10) {
        random.next() as u16
    } else {
        random.below(60) as u16
    };
    body.extend_from_slice(&count.to_be_bytes());
    body.extend((0..4).map(|_| random.byte()));
    for _ in 0..=random.below(6) {
        let chunk = match random.below(3) {
            0 => 0x2000 | count & 0x1fff,
            _ => random.next() as u16,
        };
        body.extend_from_slice(&chunk.to_be_bytes());
    }
    body.extend((0..count.min(400)).map(|_| random.byte()));
}
