//! AEAD_AES_128_GCM and AEAD_AES_256_GCM for RTP and RTCP (RFC 7714), in place and without allocation.

use super::Master;
use super::kdf::{Protocol, Purpose, session_key};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Length of the authentication tag, in bytes.
pub(super) const TAG_BYTES: usize = 16;

/// Set in the SRTCP index word of an encrypted packet.
const ENCRYPTED_FLAG: u32 = 1 << 31;

/// Keys of one direction and one protocol.
#[derive(Debug)]
pub(super) struct GcmCipher {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl GcmCipher {
    pub(super) fn new(master: Master<'_>, protocol: Protocol) -> Self {
        let key = if master.key.len() == 32 {
            UnboundKey::new(
                &AES_256_GCM,
                &session_key::<32>(master, protocol, Purpose::Encryption),
            )
        } else {
            UnboundKey::new(
                &AES_128_GCM,
                &session_key::<16>(master, protocol, Purpose::Encryption),
            )
        };
        Self {
            key: LessSafeKey::new(key.expect("invariant: the derived key has the algorithm's length")),
            salt: session_key(master, protocol, Purpose::Salt),
        }
    }

    /// A cipher from session keys, as the vectors of RFC 7714 give them.
    #[cfg(test)]
    pub(super) fn from_session_keys(key: &[u8], salt: &[u8]) -> Self {
        let algorithm = if key.len() == 32 {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        Self {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap()),
            salt: salt.try_into().unwrap(),
        }
    }

    /// RFC 7714 section 8.1: zero, SSRC, rollover counter and sequence number, mixed with the salt.
    fn rtp_nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = [0_u8; 12];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[6..12].copy_from_slice(&index.to_be_bytes()[2..8]);
        self.mixed(nonce)
    }

    /// RFC 7714 section 9.1: zero, SSRC, zero, SRTCP index, mixed with the salt.
    fn rtcp_nonce(&self, ssrc: u32, index: u32) -> Nonce {
        let mut nonce = [0_u8; 12];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[8..12].copy_from_slice(&index.to_be_bytes());
        self.mixed(nonce)
    }

    fn mixed(&self, mut nonce: [u8; 12]) -> Nonce {
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals `packet[..len]` and writes the tag behind it; the new length. `packet` has room for the tag.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        ssrc: u32,
        index: u64,
    ) -> usize {
        let (plain, tag_room) = packet.split_at_mut(len);
        let (header, payload) = plain.split_at_mut(header_len);
        let tag = self
            .key
            .seal_in_place_separate_tag(self.rtp_nonce(ssrc, index), Aad::from(&*header), payload)
            .expect("invariant: a datagram is far below the length limit of GCM");
        tag_room[..TAG_BYTES].copy_from_slice(tag.as_ref());
        len + TAG_BYTES
    }

    /// Opens in place; the length of header and payload without the tag, or none if the tag is wrong.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        let plain_len = packet
            .len()
            .checked_sub(TAG_BYTES)
            .filter(|len| *len >= header_len)?;
        let (header, sealed) = packet.split_at_mut(header_len);
        self.key
            .open_in_place(self.rtp_nonce(ssrc, index), Aad::from(&*header), sealed)
            .ok()?;
        Some(plain_len)
    }

    /// Seals a compound packet and appends tag and index.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) {
        let word = (index | ENCRYPTED_FLAG).to_be_bytes();
        let aad = rtcp_aad(packet, word);
        let tag = self
            .key
            .seal_in_place_separate_tag(self.rtcp_nonce(ssrc, index), Aad::from(aad), &mut packet[8..])
            .expect("invariant: a datagram is far below the length limit of GCM");
        packet.extend_from_slice(tag.as_ref());
        packet.extend_from_slice(&word);
    }

    /// Opens in place; the length of the compound packet, or none if the tag is wrong. The caller has checked that
    /// the packet has at least header, tag and index.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<usize> {
        let end = packet.len() - 4;
        let nonce = self.rtcp_nonce(ssrc, word & !ENCRYPTED_FLAG);
        if word & ENCRYPTED_FLAG == 0 {
            // Authenticated only: everything but the tag is associated data (RFC 7714 section 9.3).
            let (head, tail) = packet.split_at_mut(end - TAG_BYTES);
            let mut aad = head.to_vec();
            aad.extend_from_slice(&word.to_be_bytes());
            self.key
                .open_in_place(nonce, Aad::from(aad), &mut tail[..TAG_BYTES])
                .ok()?;
        } else {
            let aad = rtcp_aad(packet, word.to_be_bytes());
            self.key
                .open_in_place(nonce, Aad::from(aad), &mut packet[8..end])
                .ok()?;
        }
        Some(end - TAG_BYTES)
    }
}

/// RFC 7714 section 9.2: the first eight bytes and the index word.
fn rtcp_aad(packet: &[u8], word: [u8; 4]) -> [u8; 12] {
    let mut aad = [0_u8; 12];
    aad[..8].copy_from_slice(&packet[..8]);
    aad[8..].copy_from_slice(&word);
    aad
}
