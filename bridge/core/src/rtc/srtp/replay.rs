//! Rollover counting and the replay window of one stream (RFC 3711 sections 3.3.1 and 3.3.2).

/// How far behind the newest packet another may arrive, in packets. Measured: browsers use 1,024 too.
const WINDOW: u64 = 1024;

/// A sliding window over packet indices. 144 bytes.
#[derive(Debug)]
pub(super) struct ReplayWindow {
    newest: u64,
    seen: [u64; (WINDOW / 64) as usize],
}

impl ReplayWindow {
    /// The window after its first packet.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Self {
            newest: index,
            seen: [0; (WINDOW / 64) as usize],
        };
        window.mark(index);
        window
    }

    /// The most likely 48-bit index of a packet with this sequence number (RFC 3711 appendix A).
    pub(super) fn estimate(&self, seq: u16) -> u64 {
        let newest_seq = (self.newest & 0xffff) as u16;
        let rollovers = self.newest >> 16;
        let ahead = seq.wrapping_sub(newest_seq);
        let guess = if ahead < 0x8000 {
            // Ahead of the newest: over the edge if the number is smaller.
            if seq >= newest_seq {
                rollovers
            } else {
                rollovers + 1
            }
        } else if seq > newest_seq {
            // Behind the newest, from before its last rollover; there is nothing before the first.
            rollovers.saturating_sub(1)
        } else {
            rollovers
        };
        (guess << 16) | u64::from(seq)
    }

    /// Whether a packet with this index is neither too old nor known.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        if index > self.newest {
            return true;
        }
        self.newest - index < WINDOW && self.seen[Self::word(index)] & Self::bit(index) == 0
    }

    /// Remembers an authenticated packet.
    pub(super) fn record(&mut self, index: u64) {
        if index > self.newest {
            let cleared_from = (self.newest + 1).max((index + 1).saturating_sub(WINDOW));
            for skipped in cleared_from..=index {
                self.seen[Self::word(skipped)] &= !Self::bit(skipped);
            }
            self.newest = index;
        }
        self.mark(index);
    }

    fn mark(&mut self, index: u64) {
        self.seen[Self::word(index)] |= Self::bit(index);
    }

    fn word(index: u64) -> usize {
        ((index % WINDOW) / 64) as usize
    }

    fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }
}
