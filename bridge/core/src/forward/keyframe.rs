//! Where keyframes begin, and how often one is asked for.

use super::vp9::Vp9Descriptor;
use relay_proto::room::Codec;
use std::time::{Duration, Instant};

/// Whether an RTP payload is the first packet of a keyframe (of an audio packet: always, audio needs no key).
///
/// VP8: start of partition 0 with the inverse key flag clear (RFC 7741, section 4.3). H.264: carries a sequence
/// parameter set, alone or aggregated, because an IDR picture without one does not start a new viewer (RFC 6184). VP9
/// and AV1: see [`Vp9Descriptor::starts_keyframe`] and [`super::av1::starts_keyframe`].
/// Hot path: looks at a few bytes. Works on the unencrypted first bytes of client-encrypted frames too.
#[must_use]
pub fn is_keyframe_start(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => is_vp8_keyframe_start(payload),
        Codec::H264 => is_h264_keyframe_start(payload),
        Codec::Vp9 => Vp9Descriptor::parse(payload).is_some_and(|descriptor| descriptor.starts_keyframe()),
        Codec::Av1 => super::av1::starts_keyframe(payload),
    }
}

fn is_vp8_keyframe_start(payload: &[u8]) -> bool {
    let Some(descriptor) = super::rewrite::Vp8Descriptor::parse(payload) else {
        return false;
    };
    descriptor.starts_frame && payload.get(descriptor.len).is_some_and(|first| first & 0x01 == 0)
}

fn is_h264_keyframe_start(payload: &[u8]) -> bool {
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    match payload.first().map(|first| first & 0x1f) {
        Some(SPS) => true,
        Some(STAP_A) => {
            let mut rest = &payload[1..];
            while let [high, low, unit @ ..] = rest {
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                if unit.first().is_some_and(|first| first & 0x1f == SPS) {
                    return true;
                }
                rest = unit.get(len..).unwrap_or_default();
            }
            false
        }
        _ => false,
    }
}

/// Merges everybody's wish for a keyframe of one layer and spaces the requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyframeRequester {
    wanted: bool,
    last_request: Option<Instant>,
}

/// At most one request per layer in this time; also the repeat interval until the keyframe is there.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(500);

impl KeyframeRequester {
    /// Somebody needs a keyframe.
    pub const fn want(&mut self) {
        self.wanted = true;
    }

    /// A keyframe has come.
    pub const fn satisfied(&mut self) {
        self.wanted = false;
    }

    /// Nobody waits for one any more.
    pub const fn give_up(&mut self) {
        self.wanted = false;
    }

    /// Whether to send a request now; call at every wish and every tick.
    pub fn poll(&mut self, now: Instant) -> bool {
        let spaced = self
            .last_request
            .is_none_or(|last| now.duration_since(last) >= REQUEST_INTERVAL);
        if self.wanted && spaced {
            self.last_request = Some(now);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_keyframes_are_seen_behind_any_descriptor() {
        let plain_key = [0x10, 0x00, 0x9d, 0x01, 0x2a];
        let plain_delta = [0x10, 0x01, 0x00];
        let extended_key = [0x90, 0xe0, 0x81, 0x02, 0x05, 0x20, 0x00, 0x9d];
        let continuation = [0x80, 0x80, 0x81, 0x02, 0x00];
        assert!(is_keyframe_start(Codec::Vp8, &plain_key));
        assert!(!is_keyframe_start(Codec::Vp8, &plain_delta));
        assert!(is_keyframe_start(Codec::Vp8, &extended_key));
        assert!(!is_keyframe_start(Codec::Vp8, &continuation));
        assert!(!is_keyframe_start(Codec::Vp8, &[]));
    }

    #[test]
    fn h264_keyframes_start_with_a_parameter_set() {
        assert!(is_keyframe_start(Codec::H264, &[0x67, 0x42]));
        assert!(is_keyframe_start(
            Codec::H264,
            &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]
        ));
        assert!(!is_keyframe_start(Codec::H264, &[0x78, 0, 1, 0x68, 0, 1, 0x65]));
        assert!(!is_keyframe_start(Codec::H264, &[0x7c, 0x85, 0x00]));
        assert!(!is_keyframe_start(Codec::H264, &[0x78, 0xff, 0xff]));
    }

    #[test]
    fn many_wishes_are_one_request_repeated_until_the_keyframe_is_there() {
        let start = crate::rtc::testing::instant();
        let mut requester = KeyframeRequester::default();
        assert!(!requester.poll(start));
        requester.want();
        assert!(requester.poll(start));
        requester.want();
        assert!(!requester.poll(start + REQUEST_INTERVAL / 2));
        assert!(requester.poll(start + REQUEST_INTERVAL));
        requester.satisfied();
        assert!(!requester.poll(start + REQUEST_INTERVAL * 3));
    }
}
