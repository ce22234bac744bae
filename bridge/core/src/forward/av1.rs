//! The AV1 aggregation header and the open bitstream units behind it (AOM, "RTP Payload Format For AV1" 1.0, section 4).

/// The unit every coded video sequence begins with (AV1 specification, section 6.2.2).
const SEQUENCE_HEADER: u8 = 1;

/// Whether a payload is the first packet of a coded video sequence: its N bit is set, it continues no unit, and it
/// carries a sequence header, without which a new viewer's decoder cannot begin. Hot path: looks at a few bytes of most
/// packets.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    let Some((&header, mut rest)) = payload.split_first() else {
        return false;
    };
    let (continues, elements, new_sequence) = (header & 0x80 != 0, header >> 4 & 0x03, header & 0x08 != 0);
    if continues || !new_sequence {
        return false;
    }
    let mut element = 1;
    while !rest.is_empty() {
        // Of a stated number of elements the last has no length.
        let unit = if element == elements {
            std::mem::take(&mut rest)
        } else {
            let Some((unit, after)) = split_sized(rest) else {
                return false;
            };
            rest = after;
            unit
        };
        if unit
            .first()
            .is_some_and(|first| first >> 3 & 0x0f == SEQUENCE_HEADER)
        {
            return true;
        }
        element = element.saturating_add(1);
    }
    false
}

/// An element behind its length (leb128), and what follows; a fragment may be longer than its packet.
fn split_sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0_usize;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let body = &bytes[at + 1..];
            return Some(body.split_at_checked(len).unwrap_or((body, &[])));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand after section 4.4 of the payload format: N, two elements: a sequence header of 11 bytes, and the beginning
    /// of a frame.
    const KEY: [u8; 16] = [
        0x28, 0x0b, 0x08, 0x00, 0x00, 0x00, 0x24, 0xce, 0x3f, 0xd9, 0xbf, 0xf2, 0x00, 0x30, 0x10, 0x00,
    ];

    #[test]
    fn a_keyframe_begins_with_a_sequence_header_and_the_n_bit() {
        assert!(starts_keyframe(&KEY));
        // The same with every element sized (W = 0).
        assert!(starts_keyframe(&[0x08, 0x02, 0x08, 0x00, 0x01, 0x30]));
        assert!(starts_keyframe(&[0x18, 0x08, 0x00]), "one element without length");
        let without_n: Vec<u8> = std::iter::once(0x20).chain(KEY[1..].iter().copied()).collect();
        assert!(!starts_keyframe(&without_n));
        let continued: Vec<u8> = std::iter::once(0xa8).chain(KEY[1..].iter().copied()).collect();
        assert!(!starts_keyframe(&continued));
    }

    #[test]
    fn frames_and_broken_lengths_are_no_keyframes() {
        assert!(!starts_keyframe(&[0x18, 0x30, 0x10]));
        assert!(!starts_keyframe(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff]));
        assert!(!starts_keyframe(&[0x08]));
        assert!(!starts_keyframe(&[]));
        for len in 0..KEY.len() {
            assert_eq!(
                starts_keyframe(&KEY[..len]),
                len > 2,
                "its first unit is seen from its first byte on"
            );
        }
    }
}
