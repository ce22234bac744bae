//! What a client's receiver reports say of the streams it gets (RFC 3550 section 6.4.1): packets expected and lost
//! since its last report.

use super::rtcp::ReportBlock;

/// Most streams followed; reports on more say nothing new of the path.
const MAX_STREAMS: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    highest_seq: u32,
    cumulative_lost: i32,
}

/// The last report on each stream. Memory: at most 32 entries, made on first use.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    streams: Vec<Stream>,
}

impl Losses {
    /// Forgets streams that are not among `ssrcs` any more.
    pub(crate) fn keep(&mut self, mut is_sent: impl FnMut(u32) -> bool) {
        self.streams.retain(|stream| is_sent(stream.ssrc));
    }

    /// Takes a block; packets (expected, lost) since the one before. Nothing for the first, or where numbers go back.
    pub(crate) fn take(&mut self, block: &ReportBlock) -> (u32, u32) {
        let now = Stream {
            ssrc: block.ssrc,
            highest_seq: block.highest_seq,
            cumulative_lost: block.cumulative_lost,
        };
        let Some(before) = self.streams.iter_mut().find(|stream| stream.ssrc == block.ssrc) else {
            if self.streams.len() < MAX_STREAMS {
                self.streams.push(now);
            }
            return (0, 0);
        };
        let before = std::mem::replace(before, now);
        let expected = now.highest_seq.wrapping_sub(before.highest_seq);
        if expected > u32::from(u16::MAX) {
            return (0, 0);
        }
        let lost = now.cumulative_lost.saturating_sub(before.cumulative_lost).max(0);
        (expected, lost.unsigned_abs().min(expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(highest_seq: u32, cumulative_lost: i32) -> ReportBlock {
        ReportBlock {
            ssrc: 7,
            highest_seq,
            cumulative_lost,
            ..ReportBlock::default()
        }
    }

    #[test]
    fn a_report_tells_what_has_changed_since_the_last() {
        let mut losses = Losses::default();
        assert_eq!(losses.take(&block(65_530, 3)), (0, 0));
        assert_eq!(losses.take(&block(65_580, 5)), (50, 2));
        assert_eq!(losses.take(&block(65_600, 4)), (20, 0), "repaired since");
        assert_eq!(losses.take(&block(65_550, 4)), (0, 0), "numbers went back");
        assert_eq!(losses.take(&block(65_560, 1_000)), (10, 10));
        losses.keep(|_| false);
        assert_eq!(losses.take(&block(65_570, 1_000)), (0, 0));
    }

    #[test]
    fn streams_are_bounded() {
        let mut losses = Losses::default();
        for ssrc in 0..1_000 {
            losses.take(&ReportBlock {
                ssrc,
                ..ReportBlock::default()
            });
        }
        assert_eq!(losses.streams.len(), MAX_STREAMS);
    }
}
