//! Seeded randomness for everything a client draws, so that a run repeats.

use crate::wan::model::random::SplitMix64;

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A stream of draws; equal seeds draw the same. Not for secrets: the media of a load test is none.
#[derive(Debug, Clone)]
pub(super) struct Random(SplitMix64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        self.0.next_unit()
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    /// `count` characters of 6 bits each, as ICE allows them (RFC 8839 section 5.4).
    pub(super) fn letters(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(LETTERS[(self.next() >> 58) as usize]))
            .collect()
    }
}
