//! All randomness of a session, drawn from its seed: the crate has no ambient one.

use aws_lc_rs::hmac;

/// A generator of unpredictable bytes: HMAC-SHA-256 in counter mode, keyed with the session's seed.
///
/// As secret as the seed: credentials and SSRCs of a session come from here, DTLS keys do not.
#[derive(Debug)]
pub(crate) struct SeededRandom {
    key: hmac::Key,
    drawn: u64,
}

impl SeededRandom {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            drawn: 0,
        }
    }

    /// 32 fresh bytes. Cost: one HMAC.
    fn block(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let tag = hmac::sign(&self.key, &self.drawn.to_be_bytes());
        let mut block = [0; 32];
        block.copy_from_slice(tag.as_ref());
        block
    }

    pub(crate) fn number(&mut self) -> u32 {
        let block = self.block();
        u32::from_be_bytes([block[0], block[1], block[2], block[3]])
    }

    /// `length` (at most 32) characters that ICE allows, 6 bits each (RFC 8839 section 5.4).
    pub(crate) fn ice_text(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        self.block()
            .iter()
            .take(length)
            .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
            .collect()
    }
}
