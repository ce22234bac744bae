//! The stamp: who sent a frame, which one it is, and when it left.

/// What a sender writes into each frame, at the end of its last packet, where decoders do not look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The sender's number in the plan.
    pub sender: u32,
    /// Which of its sources, see [`crate::client::Source`]; below 128.
    pub source: u8,
    /// Simulcast layer, 0 the smallest; below 128.
    pub layer: u8,
    /// Frame number, shared by all layers of a source.
    pub sequence: u32,
    /// When the frame was sent: nanoseconds since 1970, by the system clock of the machine.
    pub sent_at_ns: u64,
}

/// First bytes of a stamp. Newer Opus decoders look for extensions in padding: the first byte is one of a number that
/// means nothing to them (101) and reaches to the end, so keep it.
const MAGIC: [u8; 4] = [0xca, 0xc5, 0xe3, 0xa7];

impl Stamp {
    /// Bytes of a stamp: magic, then 7 bits a byte with the high bit set, so that no start code of H.264 can arise:
    /// sender (5), source (1), layer (1), sequence (5), time (10).
    pub const LEN: usize = 26;

    /// Writes the stamp over the last [`Self::LEN`] bytes of `payload`; a shorter one is left alone.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(place) = payload.len().checked_sub(Self::LEN) else {
            return;
        };
        let out = &mut payload[place..];
        out[..4].copy_from_slice(&MAGIC);
        write_groups(&mut out[4..9], u64::from(self.sender));
        write_groups(&mut out[9..10], u64::from(self.source));
        write_groups(&mut out[10..11], u64::from(self.layer));
        write_groups(&mut out[11..16], u64::from(self.sequence));
        write_groups(&mut out[16..26], self.sent_at_ns);
    }

    /// Reads the stamp at the end of a payload or of a whole frame; `None` if there is none.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = payload.last_chunk()?;
        if bytes[..4] != MAGIC || bytes.iter().any(|byte| *byte < 0x80) {
            return None;
        }
        Some(Self {
            sender: u32::try_from(read_groups(&bytes[4..9])).ok()?,
            source: read_groups(&bytes[9..10]) as u8,
            layer: read_groups(&bytes[10..11]) as u8,
            sequence: u32::try_from(read_groups(&bytes[11..16])).ok()?,
            sent_at_ns: read_groups(&bytes[16..26]),
        })
    }
}

fn write_groups(out: &mut [u8], mut value: u64) {
    for byte in out.iter_mut().rev() {
        *byte = 0x80 | (value & 0x7f) as u8;
        value >>= 7;
    }
}

fn read_groups(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stamp_is_read_back_and_holds_no_start_code(
            sender: u32, source in 0_u8..128, layer in 0_u8..128, sequence: u32, sent_at_ns: u64,
            before in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let stamp = Stamp { sender, source, layer, sequence, sent_at_ns };
            let mut payload = before.clone();
            payload.resize(before.len() + Stamp::LEN, 0);
            stamp.write(&mut payload);
            prop_assert_eq!(&payload[..before.len()], &before[..]);
            prop_assert!(payload[before.len()..].iter().all(|byte| *byte >= 0x80));
            prop_assert_eq!(Stamp::read(&payload), Some(stamp));
        }

        #[test]
        fn garbage_is_no_stamp(payload in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assume!(!payload.windows(4).any(|window| window == MAGIC));
            prop_assert_eq!(Stamp::read(&payload), None);
        }
    }
}
