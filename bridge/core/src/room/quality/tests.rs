use super::*;
use crate::bandwidth::PacketReport;

/// A connection, looked at once a second.
struct Watched {
    meter: QualityMeter,
    now: Instant,
    seen: Seen,
}

impl Watched {
    fn new() -> Self {
        Self {
            meter: QualityMeter::default(),
            now: crate::rtc::testing::instant(),
            seen: Seen {
                uplink: (0, 0),
                estimate: Bitrate(2_000_000),
                wanted: Bitrate(1_500_000),
                paused: false,
                silent: Some(Duration::ZERO),
            },
        }
    }

    /// Lets seconds pass in which `lost` of 100 packets up and `late` of round trip are seen; what is shown, and when.
    fn pass(&mut self, seconds: u32, lost: u64, rtt: Duration) -> Vec<(u32, ConnectionQuality)> {
        let mut shown = Vec::new();
        for second in 1..=seconds {
            self.now += INTERVAL;
            let (expected, received) = self.seen.uplink;
            self.seen.uplink = (expected + 100, received + 100 - lost);
            let arrivals = Arrivals {
                epoch: self.now - rtt,
                packets: vec![PacketReport {
                    sent_us: 0,
                    arrived_us: Some(1),
                    bytes: 100,
                    beside: 0,
                }],
            };
            self.meter.count_arrivals(self.now, &arrivals);
            assert!(self.meter.is_due(self.now));
            shown.extend(
                self.meter
                    .look(self.now, self.seen)
                    .map(|quality| (second, quality)),
            );
        }
        shown
    }
}

const QUICK: Duration = Duration::from_millis(40);

#[test]
fn loss_shows_after_seconds_and_its_end_later() {
    let mut watched = Watched::new();
    assert_eq!(watched.pass(20, 0, QUICK), [(1, Excellent)]);
    let shown = watched.pass(20, 20, QUICK);
    // On the way down it may be good for a moment; it ends poor, and soon.
    assert_eq!(shown.last().map(|(_, quality)| *quality), Some(Poor), "{shown:?}");
    assert!(shown.last().is_some_and(|(at, _)| *at <= 8), "{shown:?}");
    let shown = watched.pass(60, 0, QUICK);
    assert_eq!(
        shown.last().map(|(_, quality)| *quality),
        Some(Excellent),
        "{shown:?}"
    );
    assert!(shown.first().is_some_and(|(at, _)| *at >= 8), "{shown:?}");
}

#[test]
fn what_comes_and_goes_does_not_flap() {
    let mut watched = Watched::new();
    watched.pass(5, 0, QUICK);
    let mut shown = Vec::new();
    for _ in 0..60 {
        shown.extend(watched.pass(2, 0, Duration::from_millis(900)));
        shown.extend(watched.pass(1, 0, QUICK));
    }
    assert_eq!(shown, [], "two bad seconds of three are not three in a row");
}

#[test]
fn a_slow_path_is_good_and_a_very_slow_one_poor() {
    let mut watched = Watched::new();
    watched.pass(5, 0, QUICK);
    assert_eq!(watched.pass(20, 0, Duration::from_millis(500)), [(4, Good)]);
    assert_eq!(watched.pass(20, 0, Duration::from_millis(1_200)), [(4, Poor)]);
}

#[test]
fn too_little_room_shows_as_good_and_a_paused_picture_as_poor() {
    let mut watched = Watched::new();
    watched.pass(5, 0, QUICK);
    watched.seen.wanted = Bitrate(5_000_000);
    assert_eq!(watched.pass(20, 0, QUICK), [(4, Good)]);
    watched.seen.paused = true;
    assert_eq!(watched.pass(20, 0, QUICK), [(4, Poor)]);
}

#[test]
fn only_real_silence_is_lost_and_whoever_is_back_is_so_at_once() {
    let mut watched = Watched::new();
    watched.pass(5, 0, QUICK);
    watched.seen.silent = Some(Duration::from_secs(9));
    assert_eq!(watched.pass(1, 0, QUICK), []);
    watched.seen.silent = Some(Duration::from_secs(10));
    assert_eq!(watched.pass(1, 0, QUICK), [(1, Lost)]);
    watched.seen.silent = Some(Duration::ZERO);
    assert_eq!(watched.pass(1, 0, QUICK), [(1, Poor)]);
    assert_eq!(
        watched.pass(20, 0, QUICK).last().map(|(_, quality)| *quality),
        Some(Excellent)
    );
}

#[test]
fn silence_while_this_node_stood_still_is_not_lost() {
    let mut watched = Watched::new();
    watched.pass(5, 0, QUICK);
    watched.now += Duration::from_secs(15);
    watched.seen.silent = Some(Duration::from_secs(16));
    assert_eq!(watched.pass(9, 0, QUICK), []);
    watched.seen.silent = Some(Duration::from_secs(26));
    assert_eq!(watched.pass(2, 0, QUICK), [(2, Lost)]);
}

#[test]
fn where_silence_cannot_be_told_nobody_is_lost() {
    let mut watched = Watched::new();
    watched.seen.silent = None;
    assert_eq!(watched.pass(100, 0, QUICK), [(1, Excellent)]);
}

#[test]
fn few_packets_say_nothing_of_loss() {
    let mut watched = Watched::new();
    watched.pass(30, 0, QUICK);
    let mut meter = QualityMeter::default();
    let mut shown = Vec::new();
    for second in 0..60 {
        let now = watched.now + INTERVAL * second;
        let lost = PacketReport {
            sent_us: 0,
            arrived_us: None,
            bytes: 100,
            beside: 0,
        };
        // Five of ten.
        let there = PacketReport {
            arrived_us: Some(0),
            ..lost
        };
        let arrivals = Arrivals {
            epoch: now,
            packets: [[lost; 5], [there; 5]].concat(),
        };
        meter.count_arrivals(now, &arrivals);
        shown.extend(meter.look(now, watched.seen));
    }
    assert_eq!(shown, [Excellent]);
}
