//! Payloads put together again: a frame as a decoder gets it, stamp and all.

use super::Codec;
use super::packets::{FU_BYTES, NAL_FU_A, NAL_STAP_A, NAL_TYPE, vp8_descriptor_bytes};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The frame that `payloads` carry, which must be all of its packets in order: a VP8 frame, an H.264 access unit in
/// Annex B form, or an Opus packet. `None` where a payload is cut off.
///
/// Light clients never need this: they read the stamp from the last payload. It is for showing that decoders take what
/// we send.
#[must_use]
pub fn depacketise<'p>(codec: Codec, payloads: impl IntoIterator<Item = &'p [u8]>) -> Option<Vec<u8>> {
    let mut frame = Vec::new();
    for payload in payloads {
        match codec {
            Codec::Vp8 => frame.extend_from_slice(payload.get(vp8_descriptor_bytes(payload)?..)?),
            Codec::H264 => append_h264(&mut frame, payload)?,
            Codec::Opus => frame.extend_from_slice(payload),
        }
    }
    Some(frame)
}

fn append_h264(unit: &mut Vec<u8>, payload: &[u8]) -> Option<()> {
    let (indicator, mut rest) = payload.split_first()?;
    match indicator & NAL_TYPE {
        NAL_STAP_A => {
            while !rest.is_empty() {
                let (len, behind) = rest.split_first_chunk()?;
                let (nal, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
                unit.extend_from_slice(&START_CODE);
                unit.extend_from_slice(nal);
                rest = behind;
            }
        }
        NAL_FU_A => {
            let header = rest.first()?;
            if header & 0x80 != 0 {
                unit.extend_from_slice(&START_CODE);
                unit.push(indicator & !NAL_TYPE | header & NAL_TYPE);
            }
            unit.extend_from_slice(payload.get(FU_BYTES..)?);
        }
        _ => {
            unit.extend_from_slice(&START_CODE);
            unit.extend_from_slice(payload);
        }
    }
    Some(())
}
