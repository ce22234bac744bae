//! Session keys from master keys (RFC 3711 section 4.3, with the salt of RFC 7714 section 11).

use super::Master;
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// What a session key is for; the value is RFC 3711's label for SRTP. SRTCP's labels are three higher.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Encryption = 0,
    Authentication = 1,
    Salt = 2,
}

/// Which of the two protocols a session key protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

/// Derives one session key of `N` bytes (key derivation rate 0).
///
/// The pseudo-random function is AES in counter mode over zeros, keyed with the master key, whose initial block is the
/// master salt, left-aligned in 14 bytes, with the label mixed into byte 7.
pub(super) fn session_key<const N: usize>(
    master: Master<'_>,
    protocol: Protocol,
    purpose: Purpose,
) -> [u8; N] {
    let label = purpose as u8
        + match protocol {
            Protocol::Rtp => 0,
            Protocol::Rtcp => 3,
        };
    let mut block = [0_u8; 16];
    block[..master.salt.len()].copy_from_slice(master.salt);
    block[7] ^= label;
    let mut key = [0_u8; N];
    apply_keystream(&counter_mode_key(master.key), &block, &mut key);
    key
}

/// A key for [`apply_keystream`]; 16 or 32 bytes.
pub(super) fn counter_mode_key(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .expect("invariant: profiles have keys of 16 or 32 bytes")
}

/// XORs the keystream that starts at counter block `iv` onto `data`, in place.
pub(super) fn apply_keystream(key: &EncryptingKey, iv: &[u8; 16], data: &mut [u8]) {
    key.less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(iv)))
        .expect("invariant: counter mode takes any length and a 16-byte block");
}
