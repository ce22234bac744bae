//! Feeds both decoders with damaged and random bytes for a bounded time, on stable Rust.
//!
//! `cargo run -p relay-proto --example fuzz_decoders -- [--seconds N] [--seed N]`
//!
//! It starts from the examples whose bytes are pinned under `tests/golden`, damages them, and fails on a panic, on
//! a value that does not survive its own encoding, and on memory beyond the codec's bound. The same seed gives the
//! same inputs. The coverage-guided targets under `fuzz/` need a nightly compiler; this runner does not.

#![allow(
    clippy::disallowed_methods,
    reason = "a tool and no part of the pure crate: it runs for a time and draws a seed"
)]
#![allow(
    clippy::print_stdout,
    reason = "a command-line tool reports on standard output"
)]

#[allow(dead_code, reason = "runners of rounds use the rest")]
mod fuzzing;

#[allow(dead_code, reason = "only the golden test uses all of it")]
#[path = "../tests/samples/mod.rs"]
mod samples;

use fuzzing::{Arguments, Random};
use relay_proto::codec::{FrameReader, MAX_DECODED_BYTES, decode, encode};
use relay_proto::datagram::{Header, MediaBody, decode_allowance, decode_nack, decode_parity};
use relay_proto::seal::Seal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Most memory one input may take: the codec's bound, and again what re-encoding a decoded value takes.
const MEMORY_BOUND_BYTES: usize = 2 * MAX_DECODED_BYTES;
/// Inputs between two looks at the clock.
const BATCH: u64 = 1_000;

/// A damaged copy of one of `examples`, or noise.
fn input(random: &mut Random, examples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = examples[random.below(examples.len())].clone();
    match random.below(8) {
        0 => return (0..random.below(200)).map(|_| random.byte()).collect(),
        1 => bytes.truncate(random.below(bytes.len())),
        2 => {
            let other = &examples[random.below(examples.len())];
            bytes.truncate(random.below(bytes.len()));
            bytes.extend_from_slice(&other[random.below(other.len())..]);
        }
        3 => {
            let at = random.below(bytes.len());
            let claim = [
                253,
                random.byte(),
                random.byte(),
                0,
                0,
                0,
                random.byte(),
                random.byte(),
                random.byte(),
            ];
            bytes.splice(at..at, claim);
        }
        _ => {}
    }
    for _ in 0..random.below(4) {
        if !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
    }
    bytes
}

/// Whether the control decoder accepts `bytes`; panics where what it yields does not survive its own encoding.
fn control(bytes: &[u8]) -> bool {
    let mut reader = FrameReader::default();
    reader.push(&(bytes.len() as u32).to_be_bytes());
    reader.push(bytes);
    let Ok(message) = decode(bytes) else {
        assert!(
            reader.next_message().is_err(),
            "the reader accepts what the decoder refuses"
        );
        return false;
    };
    assert_eq!(reader.next_message().as_ref(), Ok(&Some(message.clone())));
    let again = encode(&message).expect("what decodes is within the limits, so it encodes");
    assert_eq!(decode(&again[4..]).as_ref(), Ok(&message));
    true
}

/// Whether the datagram decoder accepts `bytes`; panics where the header does not encode to the same bytes.
fn datagram(bytes: &[u8], seal: &Seal) -> bool {
    let Ok((header, body)) = Header::decode(bytes) else {
        return false;
    };
    assert_eq!([header.encode().as_slice(), body].concat(), bytes);
    let _ = MediaBody::decode(body, header.audio);
    let _ = decode_allowance(body);
    if let Ok((members, sum)) = decode_parity(body) {
        assert!(
            members
                .map(|member| usize::from(member.len))
                .all(|len| len <= sum.len())
        );
    }
    if let Ok(seqs) = decode_nack(body) {
        assert_eq!(seqs.count() * 4, body.len());
    }
    let mut sealed = body.to_vec();
    let _ = seal.open(&header.encode(), &mut sealed);
    true
}

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            println!("fuzz_decoders: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("fuzz_decoders: {} s, seed {}", arguments.seconds, arguments.seed);
    let frames: Vec<_> = samples::messages()
        .iter()
        .map(|message| encode(message).expect("an example encodes")[4..].to_vec())
        .collect();
    let datagrams: Vec<_> = samples::datagram::datagrams()
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    let seal = Seal::new(&samples::datagram::key());

    let mut random = Random(arguments.seed);
    let (mut inputs, mut accepted, mut peak) = ([0_u64; 2], [0_u64; 2], 0);
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    while Instant::now() < end {
        for _ in 0..BATCH {
            let which = random.below(2);
            let bytes = input(&mut random, if which == 0 { &frames } else { &datagrams });
            fuzzing::reset_peak();
            let before = fuzzing::held_bytes();
            let good = if which == 0 {
                control(&bytes)
            } else {
                datagram(&bytes, &seal)
            };
            peak = peak.max(fuzzing::peak_bytes() - before);
            inputs[which] += 1;
            accepted[which] += u64::from(good);
        }
        if peak > MEMORY_BOUND_BYTES {
            println!("fuzz_decoders: one input took {peak} bytes, the bound is {MEMORY_BOUND_BYTES}");
            return ExitCode::FAILURE;
        }
    }
    println!(
        "fuzz_decoders: control {} inputs, {} accepted",
        inputs[0], accepted[0]
    );
    println!(
        "fuzz_decoders: datagram {} inputs, {} accepted",
        inputs[1], accepted[1]
    );
    println!("fuzz_decoders: no panic; most memory for one input {peak} bytes of {MEMORY_BOUND_BYTES}");
    ExitCode::SUCCESS
}
