//! The estimator on emulated links, in virtual time.
//!
//! `cargo test -p bridge-core bandwidth -- --nocapture` prints what each link showed, second by second, and the same
//! for the estimator of the `webrtc` family.

#![expect(clippy::print_stdout, reason = "for people who look at what each line showed")]

mod path;
mod theirs;

use super::{Arrivals, BandwidthEstimator as _, Estimator, PacketReport, SentBytes};
use path::{AUDIO_RATE, Bound, Line, Second, Subject, run};
use proptest::prelude::*;
use relay_proto::unit::Bitrate;
use std::time::{Duration, Instant};

/// What a gallery can choose from: one small picture up to several large ones.
const GALLERY: [u64; 8] = [
    120_000, 300_000, 600_000, 900_000, 1_700_000, 2_800_000, 4_200_000, 6_000_000,
];
const SEEDS: std::ops::Range<u64> = 1..9;

fn lossy(percent: f64) -> Line {
    Line {
        loss_percent: percent,
        burst: 3.0,
        ..Line::of(3_000_000)
    }
}

/// The jitter of LTE at a rate that matters.
fn lte() -> Line {
    Line {
        delay_ms: 22,
        jitter_ms: 18,
        loss_percent: 0.3,
        burst: 2.0,
        ..Line::of(4_000_000)
    }
}

fn show(name: &str, seconds: &[Second]) {
    for (at, second) in seconds.iter().enumerate() {
        println!(
            "{name:>12} {at:>2} s: estimate {:>5} kbit/s, media {:>4}, padding {:>3}; sound: gap {:>3} ms, queued {:>3} ms, lost {} of {}",
            second.estimate / 1_000,
            second.media_bytes * 8 / 1_000,
            second.padding_bytes * 8 / 1_000,
            second.audio_gap_ms,
            second.audio_queued_ms,
            second.audio_lost,
            second.audio_sent,
        );
    }
}

fn mean_estimate(seconds: &[Second]) -> u64 {
    seconds.iter().map(|second| second.estimate).sum::<u64>() / seconds.len() as u64
}

/// The estimate and the sound beside it fill the line by four fifths and not more than it is.
fn fills(name: &str, seconds: &[Second], rate: u64) {
    let used = mean_estimate(seconds) + AUDIO_RATE;
    assert!(
        used * 10 >= rate * 8 && used * 20 <= rate * 21,
        "{name}: {used} of {rate} bit/s"
    );
}

#[test]
fn on_a_steady_line_the_estimate_settles_within_five_seconds() {
    let lines = [
        ("300 kbit/s", Line::of(300_000)),
        ("1 Mbit/s", Line::of(1_000_000)),
        ("4.6 Mbit/s", Line::of(4_600_000)),
        ("2 % loss", lossy(2.0)),
        ("5 % loss", lossy(5.0)),
        ("lte", lte()),
    ];
    for (name, line) in lines {
        for seed in SEEDS {
            let seconds = run(&mut Estimator::default(), seed, 25, &GALLERY, |_| line);
            if seed == SEEDS.start {
                show(name, &seconds);
            }
            fills(name, &seconds[5..], line.rate);
            let worst = seconds[1..].iter().map(|second| second.audio_gap_ms).max();
            assert!(
                worst.is_some_and(|gap| gap <= 200),
                "{name}: sound missing for {worst:?} ms"
            );
        }
    }
}

/// Four people who speak all the time leave 63 of 300 kbit/s: no picture has room there, and nothing that looks for
/// room may cost sound.
#[test]
fn sound_that_nearly_fills_the_line_stays_whole() {
    for seed in SEEDS {
        let line = Line {
            sounds: 4,
            ..Line::of(300_000)
        };
        let seconds = run(&mut Estimator::default(), seed, 60, &GALLERY, |_| line);
        if seed == SEEDS.start {
            show("four speak", &seconds);
        }
        let lost: u64 = seconds[10..].iter().map(|second| second.audio_lost).sum();
        assert_eq!(lost, 0, "packets of sound");
        let queued = seconds[10..].iter().map(|second| second.audio_queued_ms).max();
        assert!(
            queued.is_some_and(|queued| queued <= 100),
            "sound queued for {queued:?} ms"
        );
    }
}

#[test]
fn a_line_that_becomes_ten_times_narrower_or_wider_is_known_within_five_seconds() {
    let line = |second| {
        let rate = if (15..30).contains(&second) {
            500_000
        } else {
            4_600_000
        };
        Line {
            queue_ms: 150,
            ..Line::of(rate)
        }
    };
    for seed in SEEDS {
        let seconds = run(&mut Estimator::default(), seed, 45, &GALLERY, line);
        if seed == SEEDS.start {
            show("sudden", &seconds);
        }
        fills("wide", &seconds[5..15], 4_600_000);
        fills("narrow", &seconds[20..30], 500_000);
        fills("wide again", &seconds[35..45], 4_600_000);
        let worst = seconds[1..].iter().map(|second| second.audio_gap_ms).max();
        assert!(
            worst.is_some_and(|gap| gap <= 200),
            "sound missing for {worst:?} ms"
        );
    }
}

#[test]
fn a_receiver_without_a_processor_is_no_narrow_line() {
    for seed in SEEDS {
        let line = Line {
            stall_ms: 1_500,
            ..Line::of(8_000_000)
        };
        let seconds = run(&mut Estimator::default(), seed, 60, &GALLERY[..3], |_| line);
        if seed == SEEDS.start {
            show("stalls", &seconds);
        }
        let enough = seconds[5..]
            .iter()
            .filter(|second| second.estimate > 600_000)
            .count();
        assert!(enough >= 44, "{enough} of 55 seconds");
    }
}

/// Seen in six browsers and three nodes on two cores: sound took more than the path was once thought to carry, and no
/// probe said anything any more.
#[test]
fn pictures_come_back_where_neither_end_has_a_processor_and_many_speak() {
    for seed in SEEDS {
        let line = |second| Line {
            stall_ms: 600,
            bound: Bound::Places,
            late_tick_ms: if second < 20 { 0 } else { 200 },
            sounds: 6,
            ..Line::of(if (10..20).contains(&second) {
                300_000
            } else {
                20_000_000
            })
        };
        let seconds = run(&mut Estimator::default(), seed, 60, &GALLERY[..3], line);
        if seed == SEEDS.start {
            show("starved", &seconds);
        }
        let enough = seconds[30..]
            .iter()
            .filter(|second| second.estimate > 300_000)
            .count();
        assert!(enough >= 25, "{enough} of 30 seconds");
    }
}

/// An estimator that is told of a new path a while after its first tick.
struct Moving {
    estimator: Estimator,
    after: Duration,
    began: Option<Instant>,
    is_told: bool,
}

impl super::BandwidthEstimator for Moving {
    fn on_reports(&mut self, now: Instant, arrivals: &Arrivals) {
        self.estimator.on_reports(now, arrivals);
    }

    fn estimate(&self) -> Bitrate {
        self.estimator.estimate()
    }
}

impl Subject for Moving {
    fn padding(&mut self, now: Instant, wanted: Bitrate, sent: SentBytes) -> Option<usize> {
        let began = *self.began.get_or_insert(now);
        if now >= began + self.after && !std::mem::replace(&mut self.is_told, true) {
            self.estimator.begin_path(now);
        }
        self.estimator.padding(now, wanted, sent)
    }
}

#[test]
fn a_viewer_who_moves_to_a_longer_path_has_its_pictures_back_within_three_seconds() {
    for seed in SEEDS {
        let line = |second| Line {
            delay_ms: if second < 15 { 10 } else { 90 },
            ..Line::of(3_000_000)
        };
        let mut moving = Moving {
            estimator: Estimator::default(),
            after: Duration::from_secs(15),
            began: None,
            is_told: false,
        };
        let seconds = run(&mut moving, seed, 25, &GALLERY, line);
        if seed == SEEDS.start {
            show("moves", &seconds);
        }
        fills("after the move", &seconds[18..], 3_000_000);
    }
}

#[test]
fn a_line_that_was_nearly_dead_is_found_again() {
    let line = |second| {
        Line::of(if (10..25).contains(&second) {
            40_000
        } else {
            2_000_000
        })
    };
    for seed in SEEDS {
        let seconds = run(&mut Estimator::default(), seed, 40, &GALLERY, line);
        if seed == SEEDS.start {
            show("nearly dead", &seconds);
        }
        fills("found again", &seconds[31..40], 2_000_000);
    }
}

#[test]
fn where_little_is_to_be_seen_the_estimate_does_not_grow_beyond_what_was_shown() {
    let seconds = run(&mut Estimator::default(), 1, 30, &[120_000], |_| {
        Line::of(1_000_000)
    });
    assert!(seconds.iter().all(|second| second.estimate < 1_000_000));
    let padding: u64 = seconds[1..].iter().map(|second| second.padding_bytes).sum();
    assert_eq!(padding, 0, "nothing more is wanted");
}

/// Why the estimator is our own: theirs has no probes, and takes what was not tried for what there is.
#[test]
fn the_estimator_of_the_webrtc_family_does_not_find_the_rate_of_a_line() {
    let fails = |line: Line| {
        let seconds = run(&mut theirs::Theirs::default(), 1, 25, &GALLERY, |_| line);
        show("theirs", &seconds);
        let used = mean_estimate(&seconds[5..]) + AUDIO_RATE;
        used * 10 < line.rate * 8 || used * 20 > line.rate * 21
    };
    let failed = [Line::of(300_000), Line::of(1_000_000), lossy(5.0), lte()].map(fails);
    assert!(failed.contains(&true), "it is good enough now: use it");
    println!("theirs misses the mark on 300 kbit/s, 1 Mbit/s, 5 % loss, lte: {failed:?}");
}

#[test]
fn a_viewer_that_reports_nothing_gets_less_and_less() {
    let start = crate::rtc::testing::instant();
    let mut estimator = Estimator::default();
    let before = estimator.estimate();
    for tick in 0..1_000_u64 {
        let now = start + Duration::from_millis(10 * tick);
        let sent = SentBytes {
            numbered: 100_000 * tick,
            beside: 0,
        };
        estimator.padding(now, Bitrate(5_000_000), sent);
    }
    assert!(
        estimator.estimate().0 * 5 < before.0,
        "{:?}",
        estimator.estimate()
    );
}

#[test]
fn whoever_comes_into_a_room_full_of_voices_has_room_for_a_small_picture_at_once() {
    let start = crate::rtc::testing::instant();
    let mut estimator = Estimator::default();
    for tick in 0..65_u64 {
        let sent = SentBytes {
            numbered: 0,
            beside: 800 * tick,
        };
        estimator.padding(start + Duration::from_millis(10 * tick), Bitrate(500_000), sent);
    }
    // Eleven voices take 640 kbit/s, and nothing has been reported yet.
    assert!(estimator.estimate().0 > 150_000, "{:?}", estimator.estimate());
}

#[test]
fn a_lost_last_packet_does_not_end_the_search_for_room() {
    let start = crate::rtc::testing::instant();
    let mut estimator = Estimator::default();
    let mut sent = SentBytes::default();
    let mut padded = Vec::new();
    for tick in 0..2_000_u64 {
        let now = start + Duration::from_millis(10 * tick);
        // Nobody ever hears of a packet: no picture has room, and each probe is lost.
        if let Some(bytes) = estimator.padding(now, Bitrate(1_000_000), sent) {
            sent.numbered += bytes as u64;
            padded.push(tick / 100);
        }
    }
    padded.dedup();
    assert!(
        padded.len() >= 5,
        "seconds in which room was looked for: {padded:?}"
    );
    assert!(estimator.estimate().0 >= 200_000, "{:?}", estimator.estimate());
}

#[test]
fn once_there_is_a_stream_to_carry_it_padding_is_asked_for_at_once() {
    let start = crate::rtc::testing::instant();
    let mut estimator = Estimator::default();
    let mut sent = SentBytes::default();
    let mut asked_at = Vec::new();
    for tick in 0..3_000_u64 {
        // Sound alone: nothing can be padded, whatever is asked for.
        sent.beside += 80;
        let now = start + Duration::from_millis(10 * tick);
        if estimator.padding(now, Bitrate(1_000_000), sent).is_some() {
            asked_at.push(tick);
        }
    }
    let longest = asked_at.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(longest.is_some_and(|ticks| ticks <= 20), "{longest:?} ticks");
}

proptest! {
    #[test]
    fn any_reports_leave_an_estimate_within_its_bounds(
        reports in proptest::collection::vec((0_i64..50_000, proptest::option::of(any::<i32>()), 0_u32..2_000), 0..300),
    ) {
        let start = crate::rtc::testing::instant();
        let mut estimator = Estimator::default();
        let mut now = start;
        for (beside, chunk) in (0_u32..).zip(reports.chunks(7)) {
            now += Duration::from_millis(50);
            let packets = chunk
                .iter()
                .map(|(sent_ms, arrived, bytes)| PacketReport {
                    sent_us: sent_ms * 1_000,
                    arrived_us: arrived.map(|at| i64::from(at) * 1_000_000),
                    bytes: *bytes,
                    beside: beside.wrapping_mul(*bytes),
                })
                .collect();
            estimator.on_reports(now, &Arrivals { epoch: start, packets });
            estimator.padding(now, Bitrate(2_000_000), SentBytes::default());
            prop_assert!((0..=100_000_000).contains(&estimator.estimate().0));
        }
    }
}

/// A queue of 150 ms before a line that has become ten times narrower is full after 20 ms; what comes of sound is what finds a
/// place among pictures until they stop, one feedback interval (50 ms) and a round trip (40 ms) later, behind that queue.
/// Where bytes are limited most of it does (measured: 147 ms in the median, at most 175). Where places are, a packet of
/// sound has the chance of one of a picture: 199 ms in the median, 278 in nine of ten (213 and 366 where a queue had to stand
/// before it was believed).
#[test]
fn pictures_stop_soon_enough_on_a_line_that_collapses() {
    let gaps = |bound| {
        let line = move |second| Line {
            queue_ms: 150,
            bound,
            sounds: 4,
            cameras: 4,
            ..Line::of(if second >= 15 { 500_000 } else { 5_000_000 })
        };
        let worst_gap = |seed| {
            let seconds = run(&mut Estimator::default(), seed, 20, &GALLERY, line);
            seconds[14..].iter().map(|second| second.audio_gap_ms).max()
        };
        let mut gaps: Vec<u64> = (1..200).filter_map(worst_gap).collect();
        gaps.sort_unstable();
        (
            gaps[gaps.len() / 2],
            gaps[gaps.len() * 9 / 10],
            gaps[gaps.len() - 1],
        )
    };
    let (median, most, longest) = gaps(Bound::Bytes);
    eprintln!("bytes limited: {median} ms, nine of ten {most} ms, longest {longest} ms");
    assert!(longest <= 200, "{longest} ms");
    let (median, most, longest) = gaps(Bound::Places);
    eprintln!("places limited: {median} ms, nine of ten {most} ms, longest {longest} ms");
    assert!(median <= 205 && most <= 300, "{median} ms, nine of ten {most} ms");
}
