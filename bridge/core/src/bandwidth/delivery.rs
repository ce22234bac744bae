//! What arrives, by the receiver's clock: the send side alone would count what waits in a queue.

use super::PacketReport;
use relay_proto::unit::Bitrate;
use std::collections::VecDeque;
use std::time::Instant;

/// Arrivals are kept this long.
const WINDOW_US: i64 = 1_000_000;
/// Width of one bin.
const BIN_US: i64 = 20_000;
/// Bins a peak is looked for in.
const PEAK_BINS: i64 = 3;
/// About the largest packet.
const PACKET_BYTES: u64 = 1_200;

/// Bytes that arrived in the last second, in bins of 20 ms. Memory: 51 bins.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Number of the bin (arrival / width) and its bytes; ascending.
    bins: VecDeque<(i64, u64)>,
    /// Time and `beside` of the packet before.
    before: Option<(i64, u32)>,
}

impl Delivery {
    /// Takes the packets of one feedback.
    pub(super) fn on_reports(&mut self, reports: &[PacketReport]) {
        for report in reports {
            if let Some(arrived_us) = report.arrived_us {
                self.count(arrived_us, report);
            }
        }
    }

    /// The same by departures: what was sent, lost or not, of what the receiver reports on.
    pub(super) fn on_departures(&mut self, epoch: Instant, reports: &[PacketReport]) {
        for report in reports {
            let sent_us = report.sent.saturating_duration_since(epoch).as_micros() as i64;
            self.count(sent_us, report);
        }
    }

    /// A packet, and what went without a number since the one before: both stand in one queue, so it came in between.
    fn count(&mut self, at_us: i64, report: &PacketReport) {
        if let Some((before_us, beside)) = self.before {
            let span = at_us.saturating_sub(before_us).clamp(0, 10 * WINDOW_US);
            let bytes = super::beside_between(beside, report.beside);
            let bins = (span / BIN_US).max(1);
            let last = at_us.div_euclid(BIN_US);
            if bytes > 0 {
                for bin in (last - bins + 1).max(last - WINDOW_US / BIN_US)..=last {
                    self.add(bin, bytes / bins as u64);
                }
            }
        }
        // One that was overtaken, not one by a clock that has jumped back.
        let overtaken = self
            .before
            .filter(|(before_us, _)| (0..=WINDOW_US).contains(&before_us.saturating_sub(at_us)));
        let newest_us = overtaken.map_or(at_us, |(before_us, _)| before_us);
        self.before = Some((newest_us, report.beside));
        self.add(at_us.div_euclid(BIN_US), u64::from(report.bytes));
    }

    fn add(&mut self, bin: i64, bytes: u64) {
        // Nearly every packet falls into the newest bin.
        if let Some((_, sum)) = self.bins.back_mut().filter(|(newest, _)| *newest == bin) {
            *sum += bytes;
            return;
        }
        let newest = self.bins.back().map_or(bin, |(newest, _)| *newest);
        if (newest - bin).abs() > 10 * WINDOW_US / BIN_US {
            // The receiver's clock has jumped: what was before says nothing any more.
            self.bins.clear();
        }
        match self.bins.binary_search_by_key(&bin, |(number, _)| *number) {
            Ok(at) => self.bins[at].1 += bytes,
            Err(at) => self.bins.insert(at, (bin, bytes)),
        }
        let newest = self.bins.back().map_or(bin, |(newest, _)| *newest);
        while self
            .bins
            .front()
            .is_some_and(|(oldest, _)| newest - oldest > WINDOW_US / BIN_US)
        {
            self.bins.pop_front();
        }
    }

    /// The largest rate of 60 ms among the last `window_us`, one packet left out: packets that come out of the queue of
    /// a narrow link do not come faster than it carries them. Much more than [`Self::rate`] means that something else
    /// held them back: a receiver without a processor, a radio that waits its turn.
    pub(super) fn peak(&self, window_us: i64) -> Bitrate {
        let newest = self.bins.back().map_or(0, |(newest, _)| *newest);
        let oldest = newest - window_us / BIN_US;
        let recent = || self.bins.iter().filter(move |(bin, _)| *bin >= oldest);
        let from = |first: i64| -> u64 {
            let inside = |bin: i64| (first..first + PEAK_BINS).contains(&bin);
            recent()
                .filter(|(bin, _)| inside(*bin))
                .map(|(_, bytes)| bytes)
                .sum()
        };
        let bytes = recent().map(|(bin, _)| from(*bin)).max().unwrap_or(0);
        Bitrate(bytes.saturating_sub(PACKET_BYTES) * 8_000_000 / (PEAK_BINS * BIN_US) as u64)
    }

    /// Rate of the last `window_us` (at most a second) before the newest arrival, its own bin left out because it is
    /// not full yet; none before there is as much.
    pub(super) fn rate(&self, window_us: i64) -> Option<Bitrate> {
        let (newest, _) = *self.bins.back()?;
        let (oldest, _) = *self.bins.front()?;
        let bins = window_us.min(WINDOW_US) / BIN_US;
        if newest - oldest < bins {
            return None;
        }
        let bytes: u64 = self
            .bins
            .iter()
            .filter(|(bin, _)| *bin < newest && newest - bin <= bins)
            .map(|(_, bytes)| bytes)
            .sum();
        Some(Bitrate(bytes * 8_000_000 / (bins * BIN_US) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_goes_without_a_number_counts_once_also_where_packets_overtake_each_other() {
        let start = crate::rtc::testing::instant();
        let mut delivery = Delivery::default();
        let reports: Vec<PacketReport> = (0..200_u32)
            .map(|n| PacketReport {
                sent: start,
                // Every second one comes after the one behind it.
                arrived_us: Some(i64::from(n) * 10_000 + if n % 2 == 0 { 15_000 } else { 0 }),
                bytes: 500,
                beside: n * 500,
            })
            .collect();
        delivery.on_reports(&reports);
        let rate = delivery.rate(500_000).unwrap().0;
        assert!((760_000..=840_000).contains(&rate), "{rate} of 800,000");
    }

    #[test]
    fn the_rate_is_that_of_arrivals() {
        let start = crate::rtc::testing::instant();
        let mut delivery = Delivery::default();
        // 1,000 bytes every 8 ms are 1 Mbit/s, however they were sent.
        let reports: Vec<PacketReport> = (0..200)
            .map(|n| PacketReport {
                sent: start + Duration::from_millis(n / 50),
                arrived_us: Some(8_000 * n as i64),
                bytes: 1_000,
                beside: 0,
            })
            .collect();
        delivery.on_reports(&reports[..20]);
        assert_eq!(delivery.rate(300_000), None);
        delivery.on_reports(&reports[20..]);
        for window_us in [300_000, 1_000_000] {
            let Bitrate(rate) = delivery.rate(window_us).unwrap();
            assert!((950_000..=1_050_000).contains(&rate), "{rate} in {window_us} µs");
        }
        assert!(delivery.bins.len() <= 52);
    }
}
