//! Seals what we send.

use super::cipher::Cipher;
use super::kdf::Protocol;
use super::{Master, SrtpProfile};

/// Seals outgoing SRTP in place. It counts nothing: the caller owns sequence numbers and rollovers, so a stream can
/// move between threads by its numbers alone.
#[derive(Debug)]
pub(crate) struct SrtpSealer {
    cipher: Cipher,
}

impl SrtpSealer {
    pub(crate) fn new(profile: SrtpProfile, master: Master<'_>) -> Self {
        Self {
            cipher: Cipher::new(profile, master, Protocol::Rtp),
        }
    }

    /// Bytes a seal adds to a packet: 16 for GCM, 10 for SHA1_80.
    pub(crate) const fn tag_bytes(&self) -> usize {
        self.cipher.tag_bytes()
    }

    /// Seals `packet[..len]`, whose header with extensions is `header_len` bytes long, in place; the sealed length.
    ///
    /// `packet` has room for the tag behind `len`. `index` is the rollover counter shifted left by 16 plus the
    /// sequence number; with one key a pair of `ssrc` and `index` must never be sealed twice with different content.
    /// Cost (measured, 1,100 B): 146 ns for AES-128-GCM, 163 ns for AES-256-GCM, about 1,000 ns for SHA1_80.
    ///
    /// # Panics
    /// If `packet` is shorter than `len` and the tag, or `len` than `header_len`: the caller's buffer is too small.
    pub(crate) fn seal_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        ssrc: u32,
        index: u64,
    ) -> usize {
        self.cipher.seal_rtp(packet, header_len, len, ssrc, index)
    }
}

/// Seals outgoing SRTCP and counts its index.
#[derive(Debug)]
pub(crate) struct SrtcpSealer {
    cipher: Cipher,
    index: u32,
}

impl SrtcpSealer {
    pub(crate) fn new(profile: SrtpProfile, master: Master<'_>) -> Self {
        Self {
            cipher: Cipher::new(profile, master, Protocol::Rtcp),
            index: 0,
        }
    }

    /// Seals a compound packet of at least eight bytes. One index serves all our SSRCs: it only has to be unique for
    /// each.
    pub(crate) fn seal(&mut self, packet: &mut Vec<u8>) {
        self.index = (self.index + 1) & 0x7fff_ffff;
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        self.cipher.seal_rtcp(packet, ssrc, self.index);
    }
}
