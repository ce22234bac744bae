//! Extending 16-bit RTP sequence numbers to 32 bits.

use relay_proto::unit::MediaSeq;

/// Extends sequence numbers of one RTP stream. The first number is lifted by one cycle, so that packets from just
/// before it have numbers too.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceExtender {
    newest: Option<u32>,
}

impl SequenceExtender {
    /// The extended number of `seq`: the one nearest to the newest seen. Source: RFC 3711, section 3.3.1.
    pub fn extend(&mut self, seq: u16) -> MediaSeq {
        let Some(newest) = self.newest else {
            let first = 0x1_0000 | u32::from(seq);
            self.newest = Some(first);
            return MediaSeq(first);
        };
        let delta = i32::from(seq.wrapping_sub(newest as u16) as i16);
        let extended = newest.wrapping_add_signed(delta);
        if delta > 0 {
            self.newest = Some(extended);
        }
        MediaSeq(extended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_order_across_the_wrap() {
        let mut extender = SequenceExtender::default();
        let seqs: Vec<u32> = [65_534, 65_535, 0, 1, 65_533, 2]
            .into_iter()
            .map(|seq| extender.extend(seq).0)
            .collect();
        assert_eq!(seqs, [0x1_fffe, 0x1_ffff, 0x2_0000, 0x2_0001, 0x1_fffd, 0x2_0002]);
    }
}
