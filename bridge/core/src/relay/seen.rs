//! Which packets of a stream have gone on already: the rule that nothing goes round, whatever nodes believe of each other.

use relay_proto::unit::MediaSeq;

const WORDS: usize = 16;
/// How far back a packet is known: older ones count as seen.
const WINDOW: u32 = WORDS as u32 * 64;

/// A window over the newest numbers of one stream. 136 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    newest: Option<u32>,
    bits: [u64; WORDS],
}

impl Seen {
    /// Notes a packet; false where it was noted before, or is too old to tell. Hot path.
    pub fn note(&mut self, seq: MediaSeq) -> bool {
        let seq = seq.0;
        match self.newest {
            Some(newest) if seq <= newest => {
                if newest - seq >= WINDOW {
                    return false;
                }
            }
            Some(newest) if seq - newest < WINDOW => {
                for between in newest + 1..seq {
                    *self.word(between) &= !bit(between);
                }
                *self.word(seq) &= !bit(seq);
                self.newest = Some(seq);
            }
            _ => {
                self.bits = [0; WORDS];
                self.newest = Some(seq);
            }
        }
        let is_new = *self.word(seq) & bit(seq) == 0;
        *self.word(seq) |= bit(seq);
        is_new
    }

    fn word(&mut self, seq: u32) -> &mut u64 {
        &mut self.bits[(seq / 64) as usize % WORDS]
    }
}

const fn bit(seq: u32) -> u64 {
    1 << (seq % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_number_passes_once_in_any_order_and_old_ones_never() {
        let mut seen = Seen::default();
        let mut passed = BTreeSet::new();
        let mut random = 1_u32;
        let mut base = 5_000_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            base += (random >> 30) & 1;
            let seq = base - (random >> 16) % 900;
            assert_eq!(seen.note(MediaSeq(seq)), passed.insert(seq), "{seq}");
        }
        assert!(
            !seen.note(MediaSeq(base - 2_000)),
            "nobody knows whether that one has passed"
        );
    }

    #[test]
    fn a_jump_ahead_forgets_what_was_before() {
        let mut seen = Seen::default();
        assert!(seen.note(MediaSeq(1)));
        assert!(seen.note(MediaSeq(u32::MAX)));
        assert!(!seen.note(MediaSeq(u32::MAX)));
        assert!(!seen.note(MediaSeq(1)));
        assert!(seen.note(MediaSeq(u32::MAX - 1)));
    }
}
