//! One direction's keys of one protocol, whatever the profile.

use super::gcm::{self, GcmCipher};
use super::kdf::Protocol;
use super::sha1::{self, Sha1Cipher};
use super::{Master, SrtpProfile};

/// Keys and nothing else: no counters, no replay window.
#[derive(Debug)]
pub(super) enum Cipher {
    Gcm(GcmCipher),
    Sha1(Box<Sha1Cipher>),
}

impl Cipher {
    pub(super) fn new(profile: SrtpProfile, master: Master<'_>, protocol: Protocol) -> Self {
        match profile {
            SrtpProfile::Aes128Gcm | SrtpProfile::Aes256Gcm => Self::Gcm(GcmCipher::new(master, protocol)),
            SrtpProfile::Aes128CmSha1_80 => Self::Sha1(Box::new(Sha1Cipher::new(master, protocol))),
        }
    }

    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        match self {
            Self::Gcm(cipher) => cipher.open_rtp(packet, header_len, ssrc, index),
            Self::Sha1(cipher) => cipher.open_rtp(packet, header_len, ssrc, index),
        }
    }

    pub(super) const fn tag_bytes(&self) -> usize {
        match self {
            Self::Gcm(_) => gcm::TAG_BYTES,
            Self::Sha1(_) => sha1::TAG_BYTES,
        }
    }

    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        ssrc: u32,
        index: u64,
    ) -> usize {
        match self {
            Self::Gcm(cipher) => cipher.seal_rtp(packet, header_len, len, ssrc, index),
            Self::Sha1(cipher) => cipher.seal_rtp(packet, header_len, len, ssrc, index),
        }
    }

    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) {
        match self {
            Self::Gcm(cipher) => cipher.seal_rtcp(packet, ssrc, index),
            Self::Sha1(cipher) => cipher.seal_rtcp(packet, ssrc, index),
        }
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<usize> {
        match self {
            Self::Gcm(cipher) => cipher.open_rtcp(packet, ssrc, word),
            Self::Sha1(cipher) => cipher.open_rtcp(packet, ssrc, word),
        }
    }

    /// The SRTCP index word: last for GCM, before the tag for SHA1_80. None if the packet is too short.
    pub(super) fn rtcp_index_word(&self, packet: &[u8]) -> Option<u32> {
        let (behind, least) = match self {
            Self::Gcm(_) => (0, 8 + gcm::TAG_BYTES + 4),
            Self::Sha1(_) => (sha1::TAG_BYTES, 8 + 4 + sha1::TAG_BYTES),
        };
        if packet.len() < least {
            return None;
        }
        let end = packet.len() - behind;
        let word = packet[end - 4..end].try_into().expect("invariant: four bytes");
        Some(u32::from_be_bytes(word))
    }
}
