//! What travels: an RTP header that carries its time of sending in clear, as a header extension would, and a payload that
//! may be sealed. Pure.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::FloorError;

/// RTP header (RFC 3550 section 5.1) and eight bytes of time.
pub(super) const HEADER_BYTES: usize = 20;
/// What sealing adds (RFC 7714).
pub(super) const TAG_BYTES: usize = 16;

const VERSION: u8 = 0x80;
const PAYLOAD_TYPE: u8 = 96;
/// Set on packets whose delay counts.
const MARKER: u8 = 0x80;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u16,
    pub(super) ssrc: u32,
    /// When it was sent, in nanoseconds since 1970.
    pub(super) sent_ns: u64,
    /// Whether its delay counts.
    pub(super) measured: bool,
}

impl Header {
    /// Appends it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let marker = if self.measured { MARKER } else { 0 };
        out.extend([VERSION, PAYLOAD_TYPE | marker]);
        out.extend(self.number.to_be_bytes());
        out.extend((self.sent_ns as u32).to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend(self.sent_ns.to_be_bytes());
    }

    /// Reads it; `None` for what is too short.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<HEADER_BYTES>()?;
        let [_, kind, n0, n1, _, _, _, _, s0, s1, s2, s3, time @ ..] = *header;
        Some(Self {
            number: u16::from_be_bytes([n0, n1]),
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            sent_ns: u64::from_be_bytes(time),
            measured: kind & MARKER != 0,
        })
    }
}

/// Gives a packet the number and the stream a viewer sees.
pub(super) fn rewrite(packet: &mut [u8], number: u16, ssrc: u32) {
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

/// AES-128-GCM with a key of its own.
pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    pub(super) fn new(key: [u8; 16]) -> Result<Self, FloorError> {
        let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| FloorError::Cipher)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals the packet that begins at `start` and ends with `out`: 16 bytes longer.
    pub(super) fn seal(&self, out: &mut Vec<u8>, start: usize) -> Result<(), FloorError> {
        let (header, payload) = out[start..].split_at_mut(HEADER_BYTES);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(header), Aad::from(&*header), payload)
            .map_err(|_| FloorError::Cipher)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens the packet that begins at `start` and ends with `out`: 16 bytes shorter.
    pub(super) fn open(&self, out: &mut Vec<u8>, start: usize) -> Result<(), FloorError> {
        if out.len() < start + HEADER_BYTES + TAG_BYTES {
            return Err(FloorError::Cipher);
        }
        let (header, payload) = out[start..].split_at_mut(HEADER_BYTES);
        self.0
            .open_in_place(nonce(header), Aad::from(&*header), payload)
            .map_err(|_| FloorError::Cipher)?;
        out.truncate(out.len() - TAG_BYTES);
        Ok(())
    }
}

/// Number and time of sending: a burst shares the time, and its packets differ in number.
fn nonce(header: &[u8]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..4].copy_from_slice(&header[2..4]);
    nonce[4..12].copy_from_slice(&header[12..20]);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_and_opened_is_what_was_sent(
            number: u16, ssrc: u32, sent_ns: u64, measured: bool, start in 0_usize..40,
            payload in proptest::collection::vec(any::<u8>(), 0..1_300),
        ) {
            let header = Header { number, ssrc, sent_ns, measured };
            let mut out = vec![9; start];
            header.write(&mut out);
            out.extend(&payload);
            let plain = out.clone();
            let cipher = Cipher::new([1; 16]).unwrap();
            cipher.seal(&mut out, start).unwrap();
            prop_assert_eq!(out.len(), plain.len() + TAG_BYTES);
            prop_assert_eq!(Header::read(&out[start..]), Some(header));
            let mut forged = out.clone();
            forged[start + 9] ^= 1;
            prop_assert!(cipher.open(&mut forged, start).is_err());
            cipher.open(&mut out, start).unwrap();
            prop_assert_eq!(out, plain);
        }
    }

    #[test]
    fn a_rewritten_packet_keeps_its_time() {
        let mut packet = Vec::new();
        let header = Header {
            number: 1,
            ssrc: 2,
            sent_ns: 3,
            measured: true,
        };
        header.write(&mut packet);
        rewrite(&mut packet, 40_000, 9);
        let wanted = Header {
            number: 40_000,
            ssrc: 9,
            ..header
        };
        assert_eq!(Header::read(&packet), Some(wanted));
        assert_eq!(Header::read(&packet[1..]), None);
    }
}
