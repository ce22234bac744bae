//! SRTP and SRTCP (RFC 3711, RFC 7714) over aws-lc-rs, in place.
//!
//! Three profiles share one shape: a [`cipher::Cipher`] knows keys and nonces and nothing else, an opener adds
//! rollover counting and replay windows per SSRC, a sealer adds the SRTCP index. An opener keeps nothing of an SSRC
//! before its first packet has been authenticated, and never more SSRCs than it is told to.
//!
//! What may not live here: RTP semantics beyond header length, sequence number and SSRC.

mod cipher;
mod gcm;
mod kdf;
mod opener;
mod replay;
mod sealer;
mod sha1;
#[cfg(test)]
mod tests;

pub(crate) use opener::{OpenError, SrtpOpener};
pub(crate) use sealer::SrtcpSealer;
pub(crate) use sealer::SrtpSealer;

/// A protection profile of DTLS-SRTP (RFC 5764, RFC 7714).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`: 56 bytes of keying material.
    Aes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`: 88 bytes of keying material.
    Aes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`: 60 bytes of keying material. Three times the cost of GCM per packet.
    Aes128CmSha1_80,
}

impl SrtpProfile {
    /// Length of a master key, in bytes.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::Aes256Gcm => 32,
        }
    }

    /// Length of a master salt, in bytes.
    #[must_use]
    pub const fn salt_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// Length of what DTLS exports for both directions, in bytes.
    #[must_use]
    pub const fn keying_material_bytes(self) -> usize {
        2 * (self.key_bytes() + self.salt_bytes())
    }
}

/// Master key and salt of one direction.
#[derive(Clone, Copy)]
pub(crate) struct Master<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) salt: &'a [u8],
}

/// Splits exported keying material into the client's and the server's direction (RFC 5764 section 4.2: client key,
/// server key, client salt, server salt). None if its length is not the profile's.
pub(crate) fn split_keying_material(
    profile: SrtpProfile,
    material: &[u8],
) -> Option<(Master<'_>, Master<'_>)> {
    if material.len() != profile.keying_material_bytes() {
        return None;
    }
    let (keys, salts) = material.split_at(2 * profile.key_bytes());
    let (client_key, server_key) = keys.split_at(profile.key_bytes());
    let (client_salt, server_salt) = salts.split_at(profile.salt_bytes());
    Some((
        Master {
            key: client_key,
            salt: client_salt,
        },
        Master {
            key: server_key,
            salt: server_salt,
        },
    ))
}
