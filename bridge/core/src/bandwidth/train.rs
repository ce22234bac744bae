//! A path that has become much narrower, seen from a few packets.
//!
//! Packets that left close together and come evenly spaced, each later than the one before, show how fast the narrowest
//! link hands them out. Where that is much less than the path was thought to carry, waiting for a queue to *stand* would
//! cost sound: a queue of 150 ms is full after 20 ms of what filled the path before, and then drops it.

use super::{PacketReport, beside_between};
use relay_proto::unit::Bitrate;
use std::collections::VecDeque;

/// Packets remembered.
const MAX_PACKETS: usize = 16;
/// Fewer say nothing.
const MIN_PACKETS: usize = 4;
/// How much later the last one comes than the first, beyond what it left later: more than the jitter of a radio link.
const GROWN_US: i64 = 45_000;

/// A packet; its times wrap after an hour, and trains last for less than a second.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sent_us: u32,
    arrived_us: u32,
    beside: u32,
    bytes: u32,
}

/// The newest packets of a path. Memory: 16 of 16 bytes.
#[derive(Debug, Default)]
pub(super) struct Train {
    packets: VecDeque<Seen>,
}

impl Train {
    /// Takes the packets of one feedback; the rate at which the narrowest link hands them out, where those up to the newest
    /// show one. (A path that collapses lets few come between two feedbacks: earlier ends would show nothing more.)
    pub(super) fn on_reports(&mut self, reports: &[PacketReport]) -> Option<Bitrate> {
        for report in &reports[reports.len().saturating_sub(MAX_PACKETS)..] {
            let Some(arrived_us) = report.arrived_us else {
                continue;
            };
            if self.packets.len() >= MAX_PACKETS {
                self.packets.pop_front();
            }
            self.packets.push_back(Seen {
                sent_us: report.sent_us as u32,
                arrived_us: arrived_us as u32,
                beside: report.beside,
                bytes: report.bytes,
            });
        }
        self.read()
    }

    /// Forgets what was seen: it is not to be judged again.
    pub(super) fn look_anew(&mut self) {
        self.packets.clear();
    }

    /// The shortest train that ends with the newest packet and shows something.
    fn read(&self) -> Option<Bitrate> {
        let newest = self.packets.back()?;
        let (mut bytes, mut longest_pause_us, mut count) = (0, 0, 1);
        for (first, next) in self.packets.iter().zip(self.packets.iter().skip(1)).rev() {
            let pause_us = between(first.arrived_us, next.arrived_us);
            if pause_us < 0 || between(first.sent_us, next.sent_us) > pause_us {
                // Overtaken, or not in a queue that grows.
                return None;
            }
            count += 1;
            longest_pause_us = pause_us.max(longest_pause_us);
            bytes += u64::from(next.bytes) + beside_between(first.beside, next.beside);
            let span_us = between(first.arrived_us, newest.arrived_us);
            let sent_us = between(first.sent_us, newest.sent_us);
            // A receiver that slept reads all at once: one long pause is no train.
            let is_even = longest_pause_us * 2 <= span_us;
            if count >= MIN_PACKETS && is_even && span_us - sent_us >= GROWN_US {
                return Some(Bitrate(bytes * 8_000_000 / span_us as u64));
            }
        }
        None
    }
}

/// From an earlier time to a later one, both wrapping.
fn between(earlier_us: u32, later_us: u32) -> i64 {
    i64::from(later_us.wrapping_sub(earlier_us) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1,000 bytes that leave 2 ms apart and come at these times.
    fn shown(arrivals_ms: &[i64]) -> Option<Bitrate> {
        let reports: Vec<PacketReport> = (0..)
            .zip(arrivals_ms)
            .map(|(n, at_ms)| PacketReport {
                sent_us: 2_000 * n,
                arrived_us: Some(at_ms * 1_000),
                bytes: 1_000,
                beside: 0,
            })
            .collect();
        Train::default().on_reports(&reports)
    }

    #[test]
    fn packets_handed_out_evenly_and_slowly_show_the_rate() {
        assert_eq!(shown(&[0, 20, 40, 60]), Some(Bitrate(400_000)));
        assert_eq!(shown(&[0, 2, 4, 6, 26, 46, 66]), Some(Bitrate(400_000)));
    }

    #[test]
    fn a_receiver_that_slept_and_one_that_keeps_up_show_nothing() {
        assert_eq!(shown(&[0, 80, 81, 82, 83]), None);
        assert_eq!(shown(&[0, 2, 4, 6, 8, 10, 12]), None);
        assert_eq!(shown(&[0, 60, 40, 20]), None, "overtaken");
    }
}
