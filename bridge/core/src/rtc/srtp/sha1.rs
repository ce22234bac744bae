//! AES_CM_128_HMAC_SHA1_80 for RTP and RTCP (RFC 3711), in place.
//!
//! For clients that offer nothing better. The tag is checked before anything is decrypted or remembered, and the
//! caller gives the packet index, so forged packets leave no trace.

use super::Master;
use super::kdf::{Protocol, Purpose, apply_keystream, counter_mode_key, session_key};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::{constant_time, hmac};

/// Length of the authentication tag, in bytes.
pub(super) const TAG_BYTES: usize = 10;

/// Set in the SRTCP index word of an encrypted packet.
const ENCRYPTED_FLAG: u32 = 1 << 31;

/// Keys of one direction and one protocol.
#[derive(Debug)]
pub(super) struct Sha1Cipher {
    encryption: EncryptingKey,
    authentication: hmac::Key,
    salt: [u8; 14],
}

impl Sha1Cipher {
    pub(super) fn new(master: Master<'_>, protocol: Protocol) -> Self {
        let authentication = session_key::<20>(master, protocol, Purpose::Authentication);
        Self {
            encryption: counter_mode_key(&session_key::<16>(master, protocol, Purpose::Encryption)),
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &authentication),
            salt: session_key(master, protocol, Purpose::Salt),
        }
    }

    /// RFC 3711 section 4.1.1: salt, SSRC and index mixed, the last two bytes count blocks.
    fn counter_block(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut block = [0_u8; 16];
        block[..14].copy_from_slice(&self.salt);
        for (byte, ssrc) in block[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
            *byte ^= ssrc;
        }
        for (byte, index) in block[8..14].iter_mut().zip(&index.to_be_bytes()[2..8]) {
            *byte ^= index;
        }
        block
    }

    fn tag(&self, authenticated: &[u8], trailer: &[u8]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(authenticated);
        context.update(trailer);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG_BYTES]);
        tag
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
        apply_keystream(
            &self.encryption,
            &self.counter_block(ssrc, index),
            &mut packet[header_len..len],
        );
        let tag = self.tag(&packet[..len], &rollover_counter(index));
        packet[len..len + TAG_BYTES].copy_from_slice(&tag);
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
        let expected = self.tag(&packet[..plain_len], &rollover_counter(index));
        constant_time::verify_slices_are_equal(&expected, &packet[plain_len..]).ok()?;
        apply_keystream(
            &self.encryption,
            &self.counter_block(ssrc, index),
            &mut packet[header_len..plain_len],
        );
        Some(plain_len)
    }

    /// Seals a compound packet and appends index and tag.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) {
        apply_keystream(
            &self.encryption,
            &self.counter_block(ssrc, u64::from(index)),
            &mut packet[8..],
        );
        packet.extend_from_slice(&(index | ENCRYPTED_FLAG).to_be_bytes());
        let tag = self.tag(packet, &[]);
        packet.extend_from_slice(&tag);
    }

    /// Opens in place; the length of the compound packet, or none if the tag is wrong. The caller has checked that
    /// the packet has at least header, index and tag.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<usize> {
        let tag_at = packet.len() - TAG_BYTES;
        let expected = self.tag(&packet[..tag_at], &[]);
        constant_time::verify_slices_are_equal(&expected, &packet[tag_at..]).ok()?;
        let end = tag_at - 4;
        if word & ENCRYPTED_FLAG != 0 {
            let block = self.counter_block(ssrc, u64::from(word & !ENCRYPTED_FLAG));
            apply_keystream(&self.encryption, &block, &mut packet[8..end]);
        }
        Some(end)
    }
}

/// The rollover counter as it is authenticated behind a packet (RFC 3711 section 4.2).
fn rollover_counter(index: u64) -> [u8; 4] {
    let bytes = index.to_be_bytes();
    [bytes[2], bytes[3], bytes[4], bytes[5]]
}
