//! What arrives, by the receiver's clock: the send side alone would count what waits in a queue.

use super::PacketReport;
use relay_proto::unit::Bitrate;

/// Arrivals are kept this long.
const WINDOW_US: i64 = 1_000_000;
/// Width of one bin.
const BIN_US: i64 = 20_000;
/// Bins a peak is looked for in.
const PEAK_BINS: i64 = 3;
/// About the largest packet.
const PACKET_BYTES: u64 = 1_200;

/// Bins kept: a second, and the one that fills.
const BINS: i64 = WINDOW_US / BIN_US + 1;

/// Bytes that arrived in the last second, in bins of 20 ms. Memory: 240 bytes.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Bytes of each bin, at its number (arrival / width) modulo their count.
    bins: [u32; BINS as usize],
    /// Numbers of the oldest bin since the clock last jumped, and of the newest.
    span: Option<(i64, i64)>,
    /// Time and `beside` of the packet before.
    before: Option<(i64, u32)>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            bins: [0; BINS as usize],
            span: None,
            before: None,
        }
    }
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
    pub(super) fn on_departures(&mut self, reports: &[PacketReport]) {
        for report in reports {
            self.count(report.sent_us, report);
        }
    }

    /// A packet, and what went without a number since the one before: both stand in one queue, so it came in between.
    fn count(&mut self, at_us: i64, report: &PacketReport) {
        let last = at_us.div_euclid(BIN_US);
        if let (Some((before_us, beside)), Some((_, newest))) = (&mut self.before, self.span)
            && *beside == report.beside
            && newest == last
        {
            // Most: of a burst, and no sound in between.
            *before_us = at_us.max(*before_us);
            let sum = &mut self.bins[at(last)];
            *sum = sum.saturating_add(report.bytes);
            return;
        }
        if let Some((before_us, beside)) = self.before {
            let span = at_us.saturating_sub(before_us).clamp(0, 10 * WINDOW_US);
            let bytes = super::beside_between(beside, report.beside);
            let bins = (span / BIN_US).max(1);
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
        self.add(last, u64::from(report.bytes));
    }

    fn add(&mut self, bin: i64, bytes: u64) {
        let (oldest, newest) = match self.span {
            // Otherwise the receiver's clock has jumped: what was before says nothing any more.
            Some((oldest, newest)) if (newest - bin).abs() <= 10 * WINDOW_US / BIN_US => (oldest, newest),
            _ => {
                self.bins.fill(0);
                (bin, bin)
            }
        };
        for begun in (newest + 1).max(bin - BINS + 1)..=bin {
            self.bins[at(begun)] = 0;
        }
        let newest = newest.max(bin);
        self.span = Some((oldest.min(bin).max(newest - BINS + 1), newest));
        if newest - bin < BINS {
            let sum = &mut self.bins[at(bin)];
            *sum = sum.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// Bytes of the bins of this range that are still known.
    fn sum(&self, from: i64, to: i64) -> u64 {
        let Some((oldest, newest)) = self.span else {
            return 0;
        };
        (from.max(oldest)..=to.min(newest))
            .map(|bin| u64::from(self.bins[at(bin)]))
            .sum()
    }

    /// The largest rate of 60 ms among the last `window_us`, one packet left out: packets that come out of the queue of
    /// a narrow link do not come faster than it carries them. Much more than [`Self::rate`] means that something else
    /// held them back: a receiver without a processor, a radio that waits its turn.
    pub(super) fn peak(&self, window_us: i64) -> Bitrate {
        let (_, newest) = self.span.unwrap_or_default();
        let first = newest - window_us.min(WINDOW_US) / BIN_US;
        let bytes = (first..=newest).map(|bin| self.sum(bin, newest.min(bin + PEAK_BINS - 1)));
        let bytes = bytes.max().unwrap_or(0);
        Bitrate(bytes.saturating_sub(PACKET_BYTES) * 8_000_000 / (PEAK_BINS * BIN_US) as u64)
    }

    /// Rate of the last `window_us` (at most a second) before the newest arrival, its own bin left out because it is
    /// not full yet; none before there is as much.
    pub(super) fn rate(&self, window_us: i64) -> Option<Bitrate> {
        let (oldest, newest) = self.span?;
        let bins = window_us.min(WINDOW_US) / BIN_US;
        if newest - oldest < bins {
            return None;
        }
        let bytes = self.sum(newest - bins, newest - 1);
        Some(Bitrate(bytes * 8_000_000 / (bins * BIN_US) as u64))
    }
}

const fn at(bin: i64) -> usize {
    bin.rem_euclid(BINS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_goes_without_a_number_counts_once_also_where_packets_overtake_each_other() {
        let mut delivery = Delivery::default();
        let reports: Vec<PacketReport> = (0..200_u32)
            .map(|n| PacketReport {
                sent_us: 0,
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
        let mut delivery = Delivery::default();
        // 1,000 bytes every 8 ms are 1 Mbit/s, however they were sent.
        let reports: Vec<PacketReport> = (0..200)
            .map(|n| PacketReport {
                sent_us: n / 50 * 1_000,
                arrived_us: Some(8_000 * n),
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
    }

    proptest! {
        /// Beside a plain sum over all packets, however they fall into bins.
        #[test]
        fn every_packet_counts_in_the_bin_it_came_in(
            packets in proptest::collection::vec((0_i64..30_000, 0_i64..60_000, 0_u32..1_500), 1..300),
        ) {
            let mut delivery = Delivery::default();
            let (mut clock_us, mut newest_us) = (0, 0);
            let mut all = Vec::new();
            for (pause_us, late_us, bytes) in packets {
                clock_us += pause_us;
                // Some are overtaken.
                let arrived_us = clock_us + late_us;
                newest_us = arrived_us.max(newest_us);
                all.push((arrived_us / BIN_US, u64::from(bytes)));
                let report = PacketReport { sent_us: 0, arrived_us: Some(arrived_us), bytes, beside: 0 };
                delivery.on_reports(&[report]);
                let newest = newest_us / BIN_US;
                let within = all.iter().filter(|(bin, _)| (newest - 15..newest).contains(bin));
                let bytes: u64 = within.map(|(_, bytes)| bytes).sum();
                let oldest = all.iter().map(|(bin, _)| *bin).min().unwrap_or_default();
                let expected = (newest - oldest >= 15).then_some(Bitrate(bytes * 8_000_000 / 300_000));
                prop_assert_eq!(delivery.rate(300_000), expected);
            }
        }
    }
}
