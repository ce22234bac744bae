use super::*;
use crate::control::{GoodbyeCause, TrackDemand};
use crate::id::{Epoch, LayerSet, NodeId, RoomName, TrackAlias};
use crate::row::{DigestEntry, RowVersion};

fn demand(count: u32) -> ControlMessage {
    let tracks = (0..count).map(|at| TrackDemand {
        track: TrackAlias(at),
        layers: LayerSet(5),
    });
    ControlMessage::Demand {
        room: RoomName::from("weekly"),
        epoch: Epoch(300),
        tracks: tracks.collect(),
    }
}

fn stream(messages: &[ControlMessage]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|message| encode(message).unwrap())
        .collect()
}

#[test]
fn a_frame_is_a_length_a_version_and_the_message() {
    let frame = encode(&ControlMessage::Goodbye(GoodbyeCause::NameTaken)).unwrap();
    assert_eq!(frame, [0, 0, 0, 3, CODEC_VERSION, 5, 2]);
}

#[test]
fn a_reader_yields_each_message_once_its_last_byte_is_there() {
    let messages = [
        demand(3),
        ControlMessage::Goodbye(GoodbyeCause::Stopping),
        demand(400),
    ];
    let mut reader = FrameReader::default();
    let mut read = Vec::new();
    for byte in stream(&messages) {
        reader.push(&[byte]);
        while let Some(message) = reader.next_message().unwrap() {
            read.push(message);
        }
    }
    assert_eq!(read, messages);
}

#[test]
fn many_messages_in_one_push_come_out_in_order() {
    let messages = [demand(1), demand(2), demand(3)];
    let mut reader = FrameReader::default();
    reader.push(&stream(&messages));
    let read: Vec<_> = std::iter::from_fn(|| reader.next_message().unwrap()).collect();
    assert_eq!(read, messages);
}

#[test]
fn an_overlong_frame_is_refused_by_its_length_word_alone() {
    let mut reader = FrameReader::default();
    reader.push(&(MAX_FRAME_BYTES as u32 + 1).to_be_bytes());
    assert_eq!(
        reader.next_message(),
        Err(CodecError::TooLong(MAX_FRAME_BYTES + 1))
    );
    assert_eq!(
        decode(&vec![0; MAX_FRAME_BYTES + 1]),
        Err(CodecError::TooLong(MAX_FRAME_BYTES + 1))
    );
}

#[test]
fn a_frame_of_length_zero_is_refused() {
    let mut reader = FrameReader::default();
    reader.push(&[0; 4]);
    assert_eq!(reader.next_message(), Err(CodecError::Empty));
}

#[test]
fn another_codec_version_is_refused() {
    let mut frame = encode(&demand(1)).unwrap();
    frame[4] = CODEC_VERSION + 1;
    assert_eq!(decode(&frame[4..]), Err(CodecError::Version(CODEC_VERSION + 1)));
}

#[test]
fn bytes_after_the_message_are_refused() {
    let mut frame = encode(&demand(1)).unwrap();
    frame.extend_from_slice(&[0, 0]);
    assert_eq!(decode(&frame[4..]), Err(CodecError::Trailing(2)));
}

#[test]
fn every_truncation_is_refused() {
    let frame = encode(&demand(5)).unwrap();
    for end in 5..frame.len() {
        assert!(
            matches!(decode(&frame[4..end]), Err(CodecError::Malformed(_))),
            "cut at {end}"
        );
    }
}

#[test]
fn an_unknown_variant_is_refused() {
    assert!(matches!(
        decode(&[CODEC_VERSION, 200]),
        Err(CodecError::Malformed(_))
    ));
    assert!(matches!(
        decode(&[CODEC_VERSION, 5, 5]),
        Err(CodecError::Malformed(_))
    ));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let mut frame = encode(&demand(0)).unwrap();
    let at = frame.windows(6).position(|window| window == b"weekly").unwrap();
    frame[at] = 0xff;
    assert!(matches!(decode(&frame[4..]), Err(CodecError::Malformed(_))));
}

#[test]
fn a_message_over_a_limit_is_neither_sent_nor_accepted() {
    let message = demand(crate::limit::MAX_DEMANDS as u32 + 1);
    assert!(matches!(encode(&message), Err(CodecError::Limit(_))));
    let mut frame = vec![CODEC_VERSION];
    frame.extend(bincode::encode_to_vec(&message, configuration()).unwrap());
    assert!(matches!(decode(&frame), Err(CodecError::Limit(_))));
}

#[test]
fn the_largest_lists_the_limits_allow_decode_again() {
    let newest = RowVersion {
        incarnation: u64::MAX,
        counter: u64::MAX,
    };
    let digest = (0..crate::limit::MAX_DIGEST_ENTRIES as u32).map(|at| DigestEntry {
        owner: NodeId(at),
        newest,
    });
    for message in [
        ControlMessage::RowDigest(digest.collect()),
        demand(crate::limit::MAX_DEMANDS as u32),
    ] {
        let frame = encode(&message).unwrap();
        assert_eq!(decode(&frame[4..]).unwrap(), message);
    }
}
