//! Dependency descriptors of a publisher, damaged and made up.

use crate::fuzzing::{Random, Tally, throwing};
use bridge_core::forward::dependency::DependencyReader;

const INPUTS: u64 = 2_000;

/// That of a keyframe's first packet with the structure of three spatial and two temporal layers.
pub(crate) const STRUCTURE: [u8; 55] = [
    0xbc, 0x01, 0xf4, 0x87, 0x85, 0x18, 0x61, 0xea, 0xaa, 0x80, 0x04, 0x00, 0x2a, 0x82, 0x80, 0x04, 0x00,
    0x28, 0x02, 0x80, 0x05, 0x54, 0x90, 0x55, 0x24, 0x15, 0x49, 0x0a, 0xf3, 0x33, 0x33, 0x33, 0x33, 0x33,
    0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x80, 0x9f, 0x80, 0x59, 0x81, 0x3f, 0x80, 0xb3, 0x82,
    0x7f, 0x81, 0x67, 0x80,
];

/// One round of packets of a stream.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut reader = DependencyReader::default();
    let mut accepted = 0;
    for _ in 0..INPUTS {
        let descriptor = descriptor(random);
        throwing(&descriptor);
        if let Some(read) = reader.read(&descriptor) {
            assert!(read.position.spatial < 3 && read.position.temporal < 8);
            accepted += 1;
        }
    }
    Tally {
        inputs: INPUTS,
        accepted,
    }
}

/// One that makes sense, or does not.
pub(crate) fn descriptor(random: &mut Random) -> Vec<u8> {
    let mut descriptor = match random.below(4) {
        0 => STRUCTURE.to_vec(),
        1 => random.noise(60),
        _ => vec![
            0xc0 | ((60 + random.below(9) as u8) % 64),
            random.byte(),
            random.byte(),
        ],
    };
    if random.once_in(3) && !descriptor.is_empty() {
        random.damage(&mut descriptor);
    }
    descriptor
}
