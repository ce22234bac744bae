//! All randomness of a session, drawn from its seed: the crate has no ambient one.

use aws_lc_rs::hmac;

/// A generator of unpredictable bytes: HMAC-SHA-256 in counter mode, keyed with the session's seed.
///
/// As secret as the seed: credentials and SSRCs of a session come from here, DTLS keys do not.
pub(crate) struct SeededRandom {
    /// The key itself would take 1.2 KiB, and little is drawn.
    seed: [u8; 32],
    drawn: u64,
}

impl std::fmt::Debug for SeededRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeededRandom").finish_non_exhaustive()
    }
}

impl SeededRandom {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self {
            seed: *seed,
            drawn: 0,
        }
    }

    /// 32 fresh bytes. Cost: one HMAC.
    fn block(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.seed);
        let tag = hmac::sign(&key, &self.drawn.to_be_bytes());
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
