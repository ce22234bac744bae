//! What a hostile frame can make the decoder allocate. Alone in its file: the counter is the process's allocator.

use peak_alloc::PeakAlloc;
use relay_proto::codec::{CODEC_VERSION, FrameReader, MAX_DECODED_BYTES, decode};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes allocated at the peak of `work`, beyond what was allocated before it.
fn peak_of(work: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    work();
    ALLOCATOR.peak_usage() - before
}

/// A message of variant `variant` whose first list or text claims `len` elements and holds none.
fn claim(variant: u8, len: u64) -> Vec<u8> {
    let mut frame = vec![CODEC_VERSION, variant, 253];
    frame.extend_from_slice(&len.to_be_bytes());
    frame
}

#[test]
fn a_tiny_frame_cannot_claim_much_memory() {
    for len in [1 << 20, 1 << 24, 1 << 32, 1 << 48, u64::MAX] {
        for variant in [0, 1, 2, 3, 4, 6, 7] {
            let frame = claim(variant, len);
            let peak = peak_of(|| assert!(decode(&frame).is_err()));
            assert!(
                peak <= MAX_DECODED_BYTES + (64 << 10),
                "variant {variant} claiming {len} took {peak} bytes"
            );
        }
    }
    // Digest entries take 24 bytes in memory: this claim is above the bound and must not be allocated at all.
    let beyond = claim(1, (MAX_DECODED_BYTES / 24 + 1) as u64);
    let peak = peak_of(|| assert!(decode(&beyond).is_err()));
    assert!(peak <= 4 << 10, "a claim beyond the bound took {peak} bytes");

    let mut reader = FrameReader::default();
    let peak = peak_of(|| {
        reader.push(&u32::MAX.to_be_bytes());
        assert!(reader.next_message().is_err());
    });
    assert!(peak <= 4 << 10, "an over-long length word took {peak} bytes");
}
