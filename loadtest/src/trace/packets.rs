//! Frames cut into payload templates: what is sent, but for the picture number and the stamp.
//!
//! All payloads of a frame are equally long but the last, which may be shorter, because only equal segments leave in one
//! send. (H.264's parameter sets before a keyframe are the exception: they are a short packet of their own.)

use super::{Codec, MAX_PAYLOAD_BYTES, Stamp, TraceError};

/// Descriptor of a VP8 payload with a 15-bit picture id (RFC 7741 section 4.2).
const VP8_DESCRIPTOR_BYTES: usize = 4;
/// FU indicator and header (RFC 6184 section 5.8).
pub(super) const FU_BYTES: usize = 2;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_SLICE: u8 = 1;
const NAL_DELIMITER: u8 = 9;
const NAL_FILLER: u8 = 12;
pub(super) const NAL_STAP_A: u8 = 24;
pub(super) const NAL_FU_A: u8 = 28;
pub(super) const NAL_TYPE: u8 = 0x1f;
/// Packets of one frame at most: far above any picture here, and few enough that the remainder of an equal division
/// always has room for a stamp.
const MOST_PACKETS: usize = 256;

/// Payload templates, and whether they are a keyframe.
pub(super) type Cut = (Vec<Box<[u8]>>, bool);

/// Cuts a frame.
pub(super) fn cut(codec: Codec, frame: &[u8]) -> Result<Cut, &'static str> {
    match codec {
        Codec::Vp8 => vp8(frame),
        Codec::H264 => h264(frame),
        Codec::Opus => opus(frame).map(|payload| (vec![payload], true)),
    }
}

/// Length of the pieces of `total` bytes, equal but for the last, none longer than `most`.
fn piece_bytes(total: usize, most: usize) -> Result<usize, &'static str> {
    let count = total.div_ceil(most).max(1);
    if count > MOST_PACKETS {
        return Err("a frame of more packets than any picture needs");
    }
    Ok(total.div_ceil(count))
}

/// RFC 7741: one partition, the stamp as bytes behind the last data partition, which the decoder never reaches.
fn vp8(frame: &[u8]) -> Result<Cut, &'static str> {
    let first = *frame.first().ok_or("an empty VP8 frame")?;
    let mut stamped = frame.to_vec();
    stamped.resize(frame.len() + Stamp::LEN, 0);
    let size = piece_bytes(stamped.len(), MAX_PAYLOAD_BYTES - VP8_DESCRIPTOR_BYTES)?;
    let payloads = stamped.chunks(size).enumerate().map(|(index, piece)| {
        let start = if index == 0 { 0x10 } else { 0 };
        let mut payload = vec![0x80 | start, 0x80, 0x80, 0];
        payload.extend_from_slice(piece);
        payload.into_boxed_slice()
    });
    Ok((payloads.collect(), first & 1 == 0))
}

/// RFC 6184, packetization mode 1: parameter sets as STAP-A, the slice whole or as FU-A, the stamp in a NAL unit of
/// filler data at the end of the access unit.
fn h264(unit: &[u8]) -> Result<Cut, &'static str> {
    let nals: Vec<&[u8]> = nal_units(unit).filter(|nal| !nal.is_empty()).collect();
    let of_type = |kinds: &[u8]| -> Vec<&[u8]> {
        let wanted = |nal: &&&[u8]| kinds.contains(&(nal[0] & NAL_TYPE));
        nals.iter().filter(wanted).copied().collect()
    };
    let parameters = of_type(&[NAL_SPS, NAL_PPS]);
    let slices = of_type(&[NAL_IDR, NAL_SLICE]);
    let [slice] = slices[..] else {
        return Err("an H.264 frame needs exactly one slice");
    };
    let keyframe = slice[0] & NAL_TYPE == NAL_IDR;
    let mut payloads = Vec::new();
    if !parameters.is_empty() {
        let bytes: usize = parameters.iter().map(|nal| 2 + nal.len()).sum();
        if 1 + bytes > MAX_PAYLOAD_BYTES {
            return Err("parameter sets too long for one payload");
        }
        payloads.push(stap_a(&parameters));
    }
    let filler = [&[NAL_FILLER][..], &[0x80; Stamp::LEN]].concat();
    if 1 + 2 + slice.len() + 2 + filler.len() <= MAX_PAYLOAD_BYTES {
        payloads.push(stap_a(&[slice, &filler]));
        return Ok((payloads, keyframe));
    }
    let mut body = slice[1..].to_vec();
    let size = piece_bytes(body.len(), MAX_PAYLOAD_BYTES - FU_BYTES)?;
    let count = body.len().div_ceil(size);
    // The filler is already the one shorter packet a segmented send may end with, so the slice is made up to whole
    // pieces: a byte stream may have zeros between NAL units (H.264 annex B, trailing_zero_8bits).
    body.resize(count * size, 0);
    for (index, piece) in body.chunks(size).enumerate() {
        let start = if index == 0 { 0x80 } else { 0 };
        let end = if index + 1 == count { 0x40 } else { 0 };
        let header = [slice[0] & !NAL_TYPE | NAL_FU_A, start | end | slice[0] & NAL_TYPE];
        payloads.push([&header, piece].concat().into_boxed_slice());
    }
    payloads.push(filler.into_boxed_slice());
    Ok((payloads, keyframe))
}

fn stap_a(nals: &[&[u8]]) -> Box<[u8]> {
    let importance = nals.iter().map(|nal| nal[0] & 0x60).max().unwrap_or(0);
    let mut payload = vec![importance | NAL_STAP_A];
    for nal in nals {
        payload.extend_from_slice(&(nal.len() as u16).to_be_bytes());
        payload.extend_from_slice(nal);
    }
    payload.into_boxed_slice()
}

/// The NAL units of an access unit in Annex B form.
fn nal_units(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<usize> = unit
        .windows(3)
        .enumerate()
        .filter(|(_, window)| *window == [0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([unit.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| {
        let nal = &unit[start + 3..end];
        // A fourth zero of the next start code is not ours.
        let zeros = nal.iter().rev().take_while(|byte| **byte == 0).count();
        &nal[..nal.len() - zeros]
    })
}

/// RFC 6716 section 3.2.5: one frame as a code 3 packet whose padding is the stamp.
fn opus(packet: &[u8]) -> Result<Box<[u8]>, &'static str> {
    let (toc, frame) = packet.split_first().ok_or("an empty Opus packet")?;
    if toc & 3 != 0 {
        return Err("an Opus packet of more than one frame");
    }
    let mut payload = vec![toc | 3, 0x41, Stamp::LEN as u8];
    payload.extend_from_slice(frame);
    payload.resize(payload.len() + Stamp::LEN, 0);
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err("an Opus packet too long for one payload");
    }
    Ok(payload.into_boxed_slice())
}

/// An Opus packet of the same kind as `payload` without sound: a frame of no bytes (RFC 6716 section 3.2.1: DTX).
pub(super) fn silence(payload: &[u8]) -> Box<[u8]> {
    let mut silent = vec![
        payload.first().map_or(0x03, |toc| toc | 3),
        0x41,
        Stamp::LEN as u8,
    ];
    silent.resize(3 + Stamp::LEN, 0);
    silent.into_boxed_slice()
}

/// What a payload says about the frame it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameStart {
    /// It begins a frame. Of H.264 several packets of one frame may: parameter sets, then the first slice.
    pub frame_start: bool,
    /// It belongs to the beginning of a keyframe.
    pub keyframe: bool,
}

/// Reads a payload's own headers; whatever does not fit is no start. Knows every descriptor an SFU may write.
#[must_use]
pub fn inspect(codec: Codec, payload: &[u8]) -> FrameStart {
    match codec {
        Codec::Opus => FrameStart {
            frame_start: true,
            keyframe: true,
        },
        Codec::Vp8 => inspect_vp8(payload).unwrap_or_default(),
        Codec::H264 => inspect_h264(payload).unwrap_or_default(),
    }
}

fn inspect_vp8(payload: &[u8]) -> Option<FrameStart> {
    // S and partition 0; the bit between them is reserved and says nothing.
    let frame_start = payload.first()? & 0x17 == 0x10;
    let keyframe = frame_start && payload.get(vp8_descriptor_bytes(payload)?)? & 1 == 0;
    Some(FrameStart {
        frame_start,
        keyframe,
    })
}

/// Length of a VP8 payload descriptor in any of its forms (RFC 7741 section 4.2); `None` where it is cut off.
pub(super) fn vp8_descriptor_bytes(payload: &[u8]) -> Option<usize> {
    if payload.first()? & 0x80 == 0 {
        return Some(1);
    }
    let extension = *payload.get(1)?;
    let mut bytes = 2;
    if extension & 0x80 != 0 {
        bytes += if payload.get(bytes)? & 0x80 != 0 { 2 } else { 1 };
    }
    bytes += usize::from(extension & 0x40 != 0);
    bytes += usize::from(extension & 0x30 != 0);
    Some(bytes)
}

fn inspect_h264(payload: &[u8]) -> Option<FrameStart> {
    let (first, behind) = payload.split_first()?;
    match first & NAL_TYPE {
        NAL_FU_A => {
            let (header, behind) = behind.split_first()?;
            (header & 0x80 != 0).then(|| inspect_nal(header & NAL_TYPE, behind))
        }
        NAL_STAP_A => Some(inspect_stap_a(behind)),
        kind => Some(inspect_nal(kind, behind)),
    }
}

/// Any of the NAL units of a STAP-A may say it: parameter sets can stand behind a delimiter.
fn inspect_stap_a(mut rest: &[u8]) -> FrameStart {
    let mut found = FrameStart::default();
    while let Some((len, behind)) = rest.split_first_chunk() {
        let Some((nal, behind)) = behind.split_at_checked(usize::from(u16::from_be_bytes(*len))) else {
            break;
        };
        if let Some((header, body)) = nal.split_first() {
            let nal = inspect_nal(header & NAL_TYPE, body);
            found.frame_start |= nal.frame_start;
            found.keyframe |= nal.keyframe;
        }
        rest = behind;
    }
    found
}

/// A slice begins a picture if its first number, the address of its first macroblock, is 0: a one in Exp-Golomb code.
fn inspect_nal(kind: u8, body: &[u8]) -> FrameStart {
    let frame_start = match kind {
        NAL_SLICE | NAL_IDR => body.first().is_some_and(|byte| byte & 0x80 != 0),
        NAL_SPS | NAL_DELIMITER => true,
        _ => false,
    };
    FrameStart {
        frame_start,
        keyframe: frame_start && matches!(kind, NAL_IDR | NAL_SPS),
    }
}

/// Frame `number` cut, with the place of what is wrong.
pub(super) fn cut_numbered(codec: Codec, number: usize, frame: &[u8]) -> Result<Cut, TraceError> {
    cut(codec, frame).map_err(|reason| TraceError::Frame {
        frame: number,
        reason,
    })
}
