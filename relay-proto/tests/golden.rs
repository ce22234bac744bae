//! The bytes of the wire, pinned: every control message and every kind of datagram against `golden/*.hex`.
//!
//! `BLESS=1 cargo test -p relay-proto --test golden` rewrites the files. A change of an existing file is a change of
//! the protocol: it needs a new protocol version and a line in `WIRE.md`.

mod samples;

use relay_proto::codec::{decode, encode};
use relay_proto::datagram::{HEADER_BYTES, Header, Kind, MediaBody, Piece, decode_nack};
use relay_proto::seal::Seal;
use relay_proto::unit::{AudioLevel, MediaSeq};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        text.extend(line.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    text
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |at: u8| (at as char).to_digit(16).expect("a hexadecimal digit") as u8;
    digits
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// The golden bytes called `name`; with `BLESS=1` they become `now`.
fn golden(name: &str, now: &[u8]) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, to_hex(now)).expect("the golden folder is writable");
    }
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run once with BLESS=1", path.display()));
    from_hex(&text)
}

#[test]
fn every_control_message_has_its_golden_bytes_both_ways() {
    for message in samples::messages() {
        let name = samples::name_of(&message);
        let frame = encode(&message).unwrap();
        let golden = golden(name, &frame);
        assert_eq!(to_hex(&frame), to_hex(&golden), "{name}: encoding has changed");
        assert_eq!(
            decode(&golden[4..]).unwrap(),
            message,
            "{name}: decoding has changed"
        );
    }
}

#[test]
fn every_variant_has_an_example_and_no_golden_file_is_stale() {
    let covered: BTreeSet<_> = samples::messages().iter().map(samples::name_of).collect();
    assert_eq!(covered, BTreeSet::from(samples::NAMES));

    let datagrams = samples::datagram::datagrams().into_iter().map(|(name, _)| name);
    let expected: BTreeSet<_> = covered.into_iter().chain(datagrams).map(str::to_owned).collect();
    let present: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(present, expected);
}

#[test]
fn every_datagram_has_its_golden_bytes_both_ways() {
    for (name, datagram) in samples::datagram::datagrams() {
        let golden = golden(name, &datagram);
        assert_eq!(to_hex(&datagram), to_hex(&golden), "{name}: encoding has changed");
        let (header, body) = Header::decode(&golden).unwrap();
        assert_eq!(
            [&header.encode(), body].concat(),
            golden,
            "{name}: decoding has changed"
        );
    }
}

#[test]
fn the_golden_media_datagram_opens_to_its_level_and_payload() {
    let golden = golden("datagram-media-audio", &samples::datagram::datagrams()[0].1);
    let (head, sealed) = golden.split_first_chunk::<HEADER_BYTES>().unwrap();
    let mut body = sealed.to_vec();
    let len = Seal::new(&samples::datagram::key())
        .open(head, &mut body)
        .unwrap();
    assert_eq!(body[..len], samples::datagram::audio_body());
    assert_eq!(
        Header::decode(&golden).unwrap().0,
        samples::datagram::audio_header()
    );
    let media = MediaBody::decode(&body[..len], true).unwrap();
    assert_eq!(
        (media.level, media.payload),
        (Some((AudioLevel(30), true)), b"opus frame".as_slice())
    );
}

#[test]
fn two_golden_pieces_join_to_the_golden_whole() {
    let datagrams = samples::datagram::datagrams();
    let bytes = |wanted: &str| {
        golden(
            wanted,
            &datagrams.iter().find(|(name, _)| *name == wanted).unwrap().1,
        )
    };
    let (first, second) = (
        bytes("datagram-media-first-piece"),
        bytes("datagram-media-second-piece"),
    );
    let (mut header, head_body) = Header::decode(&first).unwrap();
    let (_, tail_body) = Header::decode(&second).unwrap();
    assert_eq!(header.piece, Piece::First);
    header.piece = Piece::Whole;
    assert_eq!(
        [&header.encode(), head_body, tail_body].concat(),
        bytes("datagram-media-video")
    );
}

#[test]
fn the_golden_nack_names_its_packets() {
    let nack = golden("datagram-nack", &samples::datagram::datagrams()[6].1);
    let (header, body) = Header::decode(&nack).unwrap();
    assert_eq!(header.kind, Kind::Nack);
    let seqs: Vec<_> = decode_nack(body).unwrap().collect();
    assert_eq!(seqs, [MediaSeq(7), MediaSeq(9), MediaSeq(u32::MAX)]);
}
