//! Writes the built-in traces into a directory as receivers get them: packetised, stamped, put together again.
//!
//! `loadtest/traces/generate.sh --verify` gives these files to decoders. Each file has a whole loop, then a part of a
//! second (of pictures: before a keyframe is asked for; of sound: in silence), then a whole loop again.

use std::path::Path;
use std::time::Instant;
use std::{env, fs, io};

use loadtest::trace::{Codec, Played, Replay, Stamp, Trace, TraceKind, depacketise, write_ivf};

/// Frames between the two loops.
const PART_FRAMES: usize = 30;

fn main() -> io::Result<()> {
    let directory = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("name a directory to write to: stamped_traces DIRECTORY"))?;
    let directory = Path::new(&directory);
    for layer in 0..3 {
        for (codec, name) in [(Codec::Vp8, "vp8"), (Codec::H264, "h264")] {
            let file = directory.join(format!("camera-{name}-{layer}.ivf"));
            fs::write(file, stamped(TraceKind::Camera { codec, layer })?)?;
        }
    }
    fs::write(directory.join("screen-vp8.ivf"), stamped(TraceKind::Screen)?)?;
    fs::write(directory.join("speech-opus.ivf"), stamped(TraceKind::Speech)?)
}

fn stamped(kind: TraceKind) -> io::Result<Vec<u8>> {
    let trace = Trace::of(kind);
    let mut replay = Replay::new(kind);
    let loop_frames = trace.frames().len();
    let mut frames = Vec::new();
    for number in 0..2 * loop_frames + PART_FRAMES {
        if number == loop_frames + PART_FRAMES {
            replay.restart_at_keyframe(Instant::now());
        }
        let played = replay.advance();
        let silent = (loop_frames..loop_frames + PART_FRAMES).contains(&number);
        let played = if silent { played.silenced() } else { played };
        frames.push(received(trace.codec(), played, number as u32)?);
    }
    Ok(write_ivf(trace, &frames))
}

/// The frame as it reaches a decoder. The number in the stamp varies so that its bytes do.
fn received(codec: Codec, played: Played, number: u32) -> io::Result<Vec<u8>> {
    let stamp = Stamp {
        sender: number.wrapping_mul(0x9e37_79b9),
        source: 1,
        layer: 2,
        sequence: number,
        sent_at_ns: 1_790_000_000_000_000_000 + u64::from(number) * 20_000_000,
    };
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for (index, template) in played.frame.packets.iter().enumerate() {
        let mut payload = template.to_vec();
        played.patch(index, &mut payload, &stamp);
        payloads.push(payload);
    }
    let frame = depacketise(codec, payloads.iter().map(Vec::as_slice))
        .ok_or_else(|| io::Error::other("a payload of ours is cut off: fix trace/packets.rs"))?;
    if Stamp::read(&frame) != Some(stamp) {
        return Err(io::Error::other("a frame without its stamp: fix trace/stamp.rs"));
    }
    Ok(frame)
}
