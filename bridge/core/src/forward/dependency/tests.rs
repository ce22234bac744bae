use super::testing::{L3T2_KEY, Writer, descriptor};
use super::*;
use proptest::prelude::*;

const WHOLE: (bool, bool) = (true, true);

#[test]
fn a_keyframe_brings_the_structure_and_other_frames_name_their_template() {
    let mut reader = DependencyReader::default();
    let key = descriptor(&L3T2_KEY, (true, false), 0, 500, true);
    assert!(key.len() > 16, "{} bytes", key.len());
    let read = reader.read(&key).unwrap();
    assert!(read.starts_keyframe && read.position.starts_picture() && !read.position.ends_frame);
    assert_eq!(read.frame, 500);
    for (template, (spatial, temporal, ..)) in L3T2_KEY.iter().enumerate() {
        let read = reader
            .read(&descriptor(&L3T2_KEY, WHOLE, template, 501, false))
            .unwrap();
        assert_eq!(
            (read.position.spatial, read.position.temporal),
            (*spatial, *temporal)
        );
        assert!(!read.starts_keyframe);
        assert_eq!(read.position.up_to, 1 - *temporal, "template {template}");
    }
}

#[test]
fn without_a_structure_nothing_is_known_and_an_old_one_does_not_come_back() {
    let mut reader = DependencyReader::default();
    let delta = descriptor(&L3T2_KEY, WHOLE, 8, 9, false);
    assert_eq!(reader.read(&delta), None);
    reader.read(&descriptor(&L3T2_KEY, WHOLE, 0, 7, true)).unwrap();
    assert_eq!(reader.read(&delta).unwrap().position.spatial, 2);
    // A repair of a keyframe before that one, of a stream with one layer.
    let old = descriptor(&L3T2_KEY[..1], WHOLE, 0, 65_000, true);
    assert!(reader.read(&old).unwrap().starts_keyframe);
    assert_eq!(reader.read(&delta).unwrap().position.spatial, 2);
    reader
        .read(&descriptor(&L3T2_KEY[..1], WHOLE, 0, 10, true))
        .unwrap();
    assert_eq!(reader.read(&delta), None, "there is no such template any more");
}

#[test]
fn active_decode_targets_and_custom_indications_are_passed_over_and_taken() {
    let mut reader = DependencyReader::default();
    reader.read(&descriptor(&L3T2_KEY, WHOLE, 0, 7, true)).unwrap();
    let mut bits = Writer::default();
    // A frame of the kind before the last (S2T0), which this time does not switch the larger target.
    bits.put(0b11, 2).put((60 + 7) % 64, 6).put(8, 16).put(0b01100, 5);
    bits.put(0b11_1111, 6).put(0b00_00_00_00_10_11, 12);
    let read = reader.read(&bits.bytes()).unwrap();
    assert_eq!(
        (read.position.spatial, read.position.temporal, read.position.up_to),
        (2, 0, 0)
    );
}

#[test]
fn truncated_structures_are_refused() {
    let key = descriptor(&L3T2_KEY, WHOLE, 0, 7, true);
    for len in 0..key.len() {
        assert_eq!(DependencyReader::default().read(&key[..len]), None, "{len} bytes");
    }
}

proptest! {
    #[test]
    fn nothing_that_arrives_breaks_it(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20),
        damage in (0..60_usize, any::<u8>()),
    ) {
        let mut reader = DependencyReader::default();
        let mut key = descriptor(&L3T2_KEY, WHOLE, 0, 7, true);
        let at = damage.0 % key.len();
        key[at] ^= damage.1;
        for packet in std::iter::once(&key).chain(&packets) {
            if let Some(read) = reader.read(packet) {
                prop_assert!(read.position.spatial < 3 && read.position.temporal < 8);
            }
        }
    }
}
