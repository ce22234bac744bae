//! Reading the body of a feedback packet: which numbers came, and when by the receiver's clock.

use super::{DELTA_UNIT_US, REFERENCE_UNIT_US};

/// Base number, status count, reference time and feedback number.
const HEAD_BYTES: usize = 8;
/// Most packets one feedback may speak of; browsers report a few hundred.
const MAX_STATUSES: usize = 4_096;

/// A feedback body. Arrivals are relative to its own reference time, which wraps after 12 days.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Feedback {
    /// Number of the first packet it speaks of.
    pub(super) base: u16,
    /// 24-bit reference time, in units of 64 ms.
    pub(super) reference: u32,
    /// Arrival of each packet from `base` on, in µs after the reference time; none where it has not come.
    pub(super) arrivals: Vec<Option<i64>>,
}

impl Feedback {
    /// Reads a body (RTCP without header and both SSRCs); none where it is cut short or claims too much.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(HEAD_BYTES)?;
        let count = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if count > MAX_STATUSES {
            return None;
        }
        let (statuses, mut deltas) = read_statuses(rest, count)?;
        let mut clock = 0;
        let mut arrivals = Vec::with_capacity(count);
        for status in statuses {
            let delta = match status {
                1 => {
                    let (byte, rest) = deltas.split_first()?;
                    deltas = rest;
                    i64::from(*byte)
                }
                2 => {
                    let (bytes, rest) = deltas.split_first_chunk::<2>()?;
                    deltas = rest;
                    i64::from(i16::from_be_bytes(*bytes))
                }
                // 0 is "not received"; 3 is reserved and has no delta.
                _ => {
                    arrivals.push(None);
                    continue;
                }
            };
            clock += delta * DELTA_UNIT_US;
            arrivals.push(Some(clock));
        }
        Some(Self {
            base: u16::from_be_bytes([head[0], head[1]]),
            reference: u32::from_be_bytes([0, head[4], head[5], head[6]]),
            arrivals,
        })
    }

    /// The reference time nearest to `last` (both in units of 64 ms, `last` unwrapped), unwrapped.
    pub(super) const fn unwrap_reference(&self, last: i64) -> i64 {
        let ahead = (self.reference.wrapping_sub(last as u32) << 8) as i32 >> 8;
        last + ahead as i64
    }
}

/// Microseconds of a reference time.
pub(super) const fn reference_us(reference: i64) -> i64 {
    reference * REFERENCE_UNIT_US
}

/// Symbols of the chunks, and what follows them.
fn read_statuses(mut rest: &[u8], count: usize) -> Option<(Vec<u8>, &[u8])> {
    let mut statuses = Vec::with_capacity(count);
    while statuses.len() < count {
        let (chunk, after) = rest.split_first_chunk::<2>()?;
        rest = after;
        let chunk = u16::from_be_bytes(*chunk);
        let left = count - statuses.len();
        match chunk >> 14 {
            // A run of one symbol.
            0 | 1 => {
                let run = usize::from(chunk & 0x1fff).min(left);
                statuses.extend(std::iter::repeat_n((chunk >> 13 & 3) as u8, run));
                if run == 0 {
                    return None;
                }
            }
            // Fourteen one-bit symbols.
            2 => statuses.extend((0..14).take(left).map(|at| (chunk >> (13 - at) & 1) as u8)),
            // Seven two-bit symbols.
            _ => statuses.extend((0..7).take(left).map(|at| (chunk >> (12 - 2 * at) & 3) as u8)),
        }
    }
    Some((statuses, rest))
}

#[cfg(test)]
mod tests {
    use super::super::TwccRecorder;
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn what_the_recorder_writes_is_read_as_it_was() {
        let start = crate::rtc::testing::instant();
        let mut recorder = TwccRecorder::new(start);
        let came = [(10, 1_000), (11, 1_250), (13, 90_000), (14, 90_250), (30, 95_000)];
        for (seq, at_us) in came {
            recorder.record(start + Duration::from_micros(at_us), seq);
        }
        let bodies = recorder.poll_feedback(start + Duration::from_secs(1));
        let [body] = bodies.as_slice() else {
            panic!("{} bodies", bodies.len());
        };
        let feedback = Feedback::parse(body).unwrap();
        assert_eq!((feedback.base, feedback.arrivals.len()), (10, 21));
        for (seq, at_us) in came {
            let arrival = feedback.arrivals[usize::from(seq - 10)].unwrap();
            assert_eq!(reference_us(feedback.unwrap_reference(0)) + arrival, at_us as i64);
        }
        assert_eq!(feedback.arrivals.iter().flatten().count(), came.len());
    }

    #[test]
    fn a_one_bit_vector_and_a_negative_delta_are_read() {
        let body = [
            0, 5, 0, 3, 0, 0, 1, 0, // three packets from 5 on
            0xa8, 0, // came, missing, came
            8, 16,
        ];
        assert_eq!(
            Feedback::parse(&body).unwrap().arrivals,
            [Some(2_000), None, Some(6_000)]
        );
        let body = [0, 5, 0, 1, 0, 0, 1, 0, 0x40, 1, 0xff, 0xff];
        assert_eq!(Feedback::parse(&body).unwrap().arrivals, [Some(-250)]);
    }

    #[test]
    fn reference_times_are_unwrapped_around_the_last_one() {
        let at = |reference| Feedback {
            base: 0,
            reference,
            arrivals: Vec::new(),
        };
        assert_eq!(at(2).unwrap_reference(0x00ff_fffe), 0x0100_0002);
        assert_eq!(at(0x00ff_fffe).unwrap_reference(0x0100_0002), 0x00ff_fffe);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(feedback) = Feedback::parse(&body) {
                prop_assert!(feedback.arrivals.len() <= MAX_STATUSES);
            }
        }
    }
}
