//! What has been sent to a client and not yet reported on.

use super::feedback::{Feedback, reference_us};
use crate::bandwidth::{Arrivals, PacketReport, SentBytes};
use std::collections::VecDeque;
use std::time::Instant;

/// Packets remembered: at 3,000 packets a second two thirds of a second, more than a round trip and a feedback interval.
const MAX_SENT: usize = 2_048;

/// A client that winds its clock on with every feedback gets this far (2,000 years) before it starts anew: sums of
/// microseconds stay far from overflowing.
const MAX_REFERENCE: i64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// µs since the first packet; wraps.
    at_us: u32,
    beside: u32,
    bytes: u16,
}

/// Numbers outgoing packets and matches feedback with them. Memory: 12 bytes a packet in flight, at most 24 KiB.
#[derive(Debug, Default)]
pub(crate) struct SendHistory {
    /// Number of the next packet, unwrapped.
    next: u64,
    /// When the first packet left, and when the newest.
    epoch: Option<Instant>,
    newest: Option<Instant>,
    /// The same in µs after the first.
    newest_us: u64,
    /// Packets up to `next`, oldest first.
    sent: VecDeque<Sent>,
    /// Reference time of the newest feedback, unwrapped.
    reference: Option<i64>,
    sent_bytes: SentBytes,
}

impl SendHistory {
    /// The number of a packet of `bytes` that leaves now. Hot path: no allocation in steady state.
    pub(crate) fn number(&mut self, now: Instant, bytes: usize) -> u16 {
        if self.sent.len() >= MAX_SENT {
            self.sent.pop_front();
        }
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        if self.newest != Some(now) {
            // Once for a batch.
            let epoch = *self.epoch.get_or_insert(now);
            self.newest = Some(now);
            self.newest_us = now.saturating_duration_since(epoch).as_micros() as u64;
        }
        self.sent.push_back(Sent {
            at_us: self.newest_us as u32,
            bytes,
            beside: self.sent_bytes.beside as u32,
        });
        self.sent_bytes.numbered += u64::from(bytes);
        let number = self.next as u16;
        self.next += 1;
        number
    }

    /// A packet of `bytes` leaves now without a number.
    pub(crate) const fn pass(&mut self, bytes: usize) {
        self.sent_bytes.beside += bytes as u64;
    }

    /// Bytes sent so far.
    pub(crate) const fn sent_bytes(&self) -> SentBytes {
        self.sent_bytes
    }

    /// Reads a feedback body: a report for each packet it speaks of that is still remembered; none where the body is
    /// malformed. Each packet is reported once: what a feedback calls missing counts as lost.
    pub(crate) fn acknowledge(&mut self, body: &[u8]) -> Option<Arrivals> {
        let feedback = Feedback::parse(body)?;
        let (epoch, newest) = self.epoch.zip(self.next.checked_sub(1))?;
        let reference = match self.reference {
            Some(last) if last.abs() < MAX_REFERENCE => feedback.unwrap_reference(last),
            _ => i64::from(feedback.reference),
        };
        let behind = (newest as u16).wrapping_sub(feedback.base);
        let Some(base) = newest.checked_sub(u64::from(behind)) else {
            // Numbers never sent.
            let packets = Vec::new();
            return Some(Arrivals { epoch, packets });
        };
        self.reference = Some(reference);
        let oldest = self.next - self.sent.len() as u64;
        let reported_before = oldest.saturating_sub(base) as usize;
        let arrivals = feedback.arrivals.get(reported_before..).unwrap_or_default();
        if !arrivals.is_empty() {
            // Skipped by feedback that was lost itself: nothing is known of them.
            self.sent.drain(..base.saturating_sub(oldest) as usize);
        }
        let count = arrivals.len().min(self.sent.len());
        let (newest_us, reference_us) = (self.newest_us, reference_us(reference));
        let reports = self.sent.drain(..count).zip(arrivals).map(|(sent, arrival)| {
            let before_us = u64::from((newest_us as u32).wrapping_sub(sent.at_us));
            PacketReport {
                sent_us: newest_us.saturating_sub(before_us) as i64,
                arrived_us: arrival.map(|after| reference_us + after),
                bytes: u32::from(sent.bytes),
                beside: sent.beside,
            }
        });
        let packets = reports.collect();
        Some(Arrivals { epoch, packets })
    }
}

#[cfg(test)]
mod tests {
    use super::super::TwccRecorder;
    use super::*;
    use std::time::Duration;

    /// Packets of 1,000 bytes every 10 ms to a receiver 30 ms away that does not get number 3.
    #[test]
    fn packets_are_matched_with_their_arrivals_once() {
        let start = crate::rtc::testing::instant();
        let mut history = SendHistory::default();
        let mut recorder = TwccRecorder::new(start);
        for packet in 0..8_u64 {
            let sent = start + Duration::from_millis(10 * packet);
            let number = history.number(sent, 1_000);
            if packet != 3 {
                recorder.record(sent + Duration::from_millis(30), number);
            }
        }
        let bodies = recorder.poll_feedback(start + Duration::from_secs(1));
        let mut reports = Vec::new();
        for body in bodies.iter().chain(&bodies) {
            let arrivals = history.acknowledge(body).unwrap();
            assert_eq!(arrivals.epoch, start);
            reports.extend(arrivals.packets);
        }
        assert_eq!(reports.len(), 8);
        for (packet, report) in (0..).zip(&reports) {
            assert_eq!(report.sent_us, 10_000 * packet);
            let arrived = (packet != 3).then_some(10_000 * packet + 30_000);
            assert_eq!(report.arrived_us, arrived);
        }
    }

    #[test]
    fn numbers_wrap_and_what_is_never_reported_is_forgotten() {
        let start = crate::rtc::testing::instant();
        let mut history = SendHistory::default();
        let mut recorder = TwccRecorder::new(start);
        for packet in 0..70_000_u64 {
            let number = history.number(start, 100);
            if packet >= 69_990 {
                recorder.record(start, number);
            }
        }
        assert_eq!(history.sent.len(), MAX_SENT);
        let mut reports = Vec::new();
        for body in recorder.poll_feedback(start + Duration::from_secs(1)) {
            reports.extend(history.acknowledge(&body).unwrap().packets);
        }
        assert_eq!(reports.len(), 10);
        assert!(reports.iter().all(|report| report.arrived_us.is_some()));
    }

    #[test]
    fn a_clock_that_is_wound_on_for_ever_overflows_nothing() {
        let mut history = SendHistory {
            reference: Some(MAX_REFERENCE - 1),
            ..SendHistory::default()
        };
        let mut reports = Vec::new();
        for reference in [0x7f_u8, 0xff, 0x7e, 0xfe] {
            let number = history.number(crate::rtc::testing::instant(), 100) as u8;
            let body = [0, number, 0, 1, reference, 0, 0, 0, 0x20, 1, 4];
            reports.extend(history.acknowledge(&body).unwrap().packets);
        }
        assert_eq!(reports.len(), 4);
        assert!(
            history
                .reference
                .is_some_and(|reference| reference.abs() < MAX_REFERENCE + (1 << 24))
        );
    }

    #[test]
    fn feedback_about_packets_never_sent_reports_nothing() {
        let mut history = SendHistory::default();
        let body = [0, 5, 0, 1, 0, 0, 1, 0, 0x20, 1, 4];
        assert_eq!(history.acknowledge(&body), None, "nothing was sent at all");
        history.number(crate::rtc::testing::instant(), 100);
        assert!(history.acknowledge(&body).unwrap().packets.is_empty());
    }
}
