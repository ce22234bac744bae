//! Statistics of incoming streams for receiver reports (RFC 3550 section 6.4.1 and appendix A).

use super::rtcp::ReportBlock;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often reports are sent.
const INTERVAL: Duration = Duration::from_secs(1);
/// A stream silent for this long is no longer reported.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Reception {
    clock_rate: u32,
    first: u64,
    /// Extended by rollovers.
    highest: u64,
    received: u64,
    /// At the last report.
    expected_before: u64,
    received_before: u64,
    /// Times 16, in RTP units.
    jitter_scaled: u32,
    transit: Option<u32>,
    last_arrival: Instant,
    sender_report: Option<(u32, Instant)>,
}

/// Reception of all media streams of one client; as many as the opener remembers at most.
#[derive(Debug)]
pub(crate) struct Receptions {
    start: Instant,
    streams: BTreeMap<u32, Reception>,
    max_streams: usize,
    due: Option<Instant>,
}

impl Receptions {
    pub(crate) fn new(start: Instant, max_streams: usize) -> Self {
        Self {
            start,
            streams: BTreeMap::new(),
            max_streams,
            due: None,
        }
    }

    /// Notes a media packet (not a retransmission) of a stream.
    pub(crate) fn record(&mut self, now: Instant, ssrc: u32, clock_rate: u32, seq: u16, time: u32) {
        self.due.get_or_insert(now + INTERVAL);
        let elapsed = now.saturating_duration_since(self.start);
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            stream.record(now, elapsed, seq, time);
        } else if self.streams.len() < self.max_streams {
            // One rollover in hand, so that reordering around the first packet does not go below zero.
            let first = 0x1_0000 | u64::from(seq);
            let mut stream = Reception {
                clock_rate,
                first,
                highest: first,
                received: 0,
                expected_before: 0,
                received_before: 0,
                jitter_scaled: 0,
                transit: None,
                last_arrival: now,
                sender_report: None,
            };
            stream.record(now, elapsed, seq, time);
            self.streams.insert(ssrc, stream);
        }
    }

    /// Notes a sender report.
    pub(crate) fn record_sender_report(&mut self, now: Instant, ssrc: u32, ntp: u64) {
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            stream.sender_report = Some(((ntp >> 16) as u32, now));
        }
    }

    /// Media packets expected and received of all streams that are still remembered.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.streams
            .values()
            .fold((0, 0), |(expected, received), stream| {
                let expected_here = stream.highest - stream.first + 1;
                (expected + expected_here, received + stream.received)
            })
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The blocks of a report, if one is due.
    pub(crate) fn poll_report(&mut self, now: Instant) -> Vec<ReportBlock> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.streams
            .retain(|_, stream| now.saturating_duration_since(stream.last_arrival) < FORGOTTEN_AFTER);
        self.due = (!self.streams.is_empty()).then_some(now + INTERVAL);
        self.streams
            .iter_mut()
            .map(|(ssrc, stream)| stream.report(now, *ssrc))
            .collect()
    }
}

impl Reception {
    fn record(&mut self, now: Instant, elapsed: Duration, seq: u16, time: u32) {
        self.received += 1;
        self.last_arrival = now;
        let ahead = seq.wrapping_sub(self.highest as u16);
        if ahead < 0x8000 {
            self.highest += u64::from(ahead);
        }
        let arrival = (elapsed.as_micros() * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(time);
        if let Some(before) = self.transit {
            let difference = (transit.wrapping_sub(before) as i32).unsigned_abs();
            self.jitter_scaled = self
                .jitter_scaled
                .saturating_add(difference)
                .saturating_sub(self.jitter_scaled.saturating_add(8) >> 4);
        }
        self.transit = Some(transit);
    }

    fn report(&mut self, now: Instant, ssrc: u32) -> ReportBlock {
        let expected = self.highest - self.first + 1;
        let expected_now = expected - self.expected_before;
        let received_now = self.received - self.received_before;
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction_lost = (lost_now << 8)
            .checked_div(expected_now)
            .map_or(0, |fraction| fraction.min(255) as u8);
        let (last_sender_report, delay_since) = self.sender_report.map_or((0, 0), |(middle, heard)| {
            let delay = now.saturating_duration_since(heard).as_micros() * 65_536 / 1_000_000;
            (middle, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: (expected as i64 - self.received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_seq: (self.highest - 0x1_0000) as u32,
            jitter: self.jitter_scaled >> 4,
            last_sender_report,
            delay_since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_over_a_rollover_is_reported_once_per_interval() {
        let start = crate::rtc::testing::instant();
        let mut receptions = Receptions::new(start, 4);
        for step in 0..100_u16 {
            if step % 10 != 3 {
                let now = start + Duration::from_millis(u64::from(step) * 10);
                receptions.record(
                    now,
                    7,
                    90_000,
                    65_500_u16.wrapping_add(step),
                    u32::from(step) * 900,
                );
            }
        }
        receptions.record_sender_report(start + Duration::from_millis(500), 7, 0x1234_5678_9abc_def0);
        assert!(
            receptions
                .poll_report(start + Duration::from_millis(900))
                .is_empty()
        );
        let blocks = receptions.poll_report(start + Duration::from_secs(1));
        assert_eq!(blocks.len(), 1);
        let block = blocks[0];
        assert_eq!((block.cumulative_lost, block.fraction_lost), (10, 25));
        assert_eq!(block.highest_seq, 65_599);
        assert_eq!(block.jitter, 0);
        assert_eq!(block.last_sender_report, 0x5678_9abc);
        assert_eq!(block.delay_since, 32_768);
        let quiet = receptions.poll_report(start + Duration::from_secs(2));
        assert_eq!((quiet[0].cumulative_lost, quiet[0].fraction_lost), (10, 0));
        assert!(receptions.poll_report(start + Duration::from_secs(40)).is_empty());
        assert_eq!(receptions.poll_timeout(), None);
    }

    #[test]
    fn streams_are_bounded() {
        let start = crate::rtc::testing::instant();
        let mut receptions = Receptions::new(start, 4);
        for ssrc in 0..100 {
            receptions.record(start, ssrc, 48_000, 1, 1);
        }
        assert_eq!(receptions.streams.len(), 4);
    }
}
