//! The container of traces: IVF, a 32-byte header and frames with 12 bytes of length and time before each.

use thiserror::Error;

use super::Trace;

/// Frames of one file at most.
const MOST_FRAMES: usize = 4_096;

/// Why a trace was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// Not IVF, or cut off.
    #[error("the trace is not a whole IVF file: {0}")]
    Container(&'static str),
    /// A frame that its codec cannot have.
    #[error("frame {frame} of the trace: {reason}")]
    Frame {
        /// Its number from 0.
        frame: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A file taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ivf<'b> {
    pub(super) fourcc: [u8; 4],
    pub(super) width: u16,
    pub(super) height: u16,
    /// Frames per second.
    pub(super) rate: u32,
    pub(super) frames: Vec<&'b [u8]>,
}

/// Takes a file apart without copying.
pub(super) fn parse(file: &[u8]) -> Result<Ivf<'_>, TraceError> {
    let (header, mut rest): (&[u8; 32], _) = file
        .split_first_chunk()
        .ok_or(TraceError::Container("shorter than its header"))?;
    if header[..4] != *b"DKIF" || header[6..8] != [32, 0] {
        return Err(TraceError::Container("no IVF header"));
    }
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let long = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (rate, scale) = (long(16), long(20));
    if rate == 0 || scale == 0 || rate / scale == 0 {
        return Err(TraceError::Container("no frame rate"));
    }
    let mut frames = Vec::new();
    while let Some((frame_header, behind)) = rest.split_first_chunk::<12>() {
        let len = u32::from_le_bytes([frame_header[0], frame_header[1], frame_header[2], frame_header[3]]);
        let (frame, behind) = behind
            .split_at_checked(len as usize)
            .ok_or(TraceError::Container("a frame is cut off"))?;
        if frames.len() >= MOST_FRAMES {
            return Err(TraceError::Container("too many frames"));
        }
        frames.push(frame);
        rest = behind;
    }
    if !rest.is_empty() || frames.is_empty() {
        return Err(TraceError::Container("no frames, or bytes behind the last"));
    }
    Ok(Ivf {
        fourcc: [header[8], header[9], header[10], header[11]],
        width: short(12),
        height: short(14),
        rate: rate / scale,
        frames,
    })
}

/// A file of `frames` with the codec, the size and the frame rate of `trace`.
#[must_use]
pub fn write_ivf(trace: &Trace, frames: &[Vec<u8>]) -> Vec<u8> {
    let (width, height) = trace.size();
    let rate = trace.codec().clock_rate_hz() / trace.first().duration_ticks;
    let mut file = Vec::new();
    file.extend_from_slice(b"DKIF\0\0 \0");
    file.extend_from_slice(&trace.codec().fourcc());
    file.extend_from_slice(&width.to_le_bytes());
    file.extend_from_slice(&height.to_le_bytes());
    for field in [rate, 1, frames.len() as u32, 0] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    for (number, frame) in frames.iter().enumerate() {
        file.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        file.extend_from_slice(&(number as u64).to_le_bytes());
        file.extend_from_slice(frame);
    }
    file
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let trace = Trace::of(super::super::TraceKind::Screen);
        let frames = [vec![1, 2, 3], Vec::new(), vec![4; 300]];
        let file = write_ivf(trace, &frames);
        let ivf = parse(&file).unwrap();
        assert_eq!((ivf.fourcc, ivf.rate), (*b"VP80", 5));
        assert_eq!((ivf.width, ivf.height), trace.size());
        assert_eq!(ivf.frames, frames);
    }

    proptest! {
        #[test]
        fn garbage_is_an_error(mut file in proptest::collection::vec(any::<u8>(), 0..300), whole: bool) {
            if whole && file.len() > 32 {
                file[..8].copy_from_slice(&[b'D', b'K', b'I', b'F', 0, 0, 32, 0]);
            }
            let _ = parse(&file);
        }
    }
}
