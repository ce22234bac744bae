//! The link in virtual time: no sleeping, every run the same.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    BitRate, GilbertElliott, HEADER_BYTES, Link, LinkProperties, Loss, LossError, Probability, Verdict,
};

const MILLISECOND: Duration = Duration::from_millis(1);

fn due(verdict: Verdict) -> Option<Instant> {
    match verdict {
        Verdict::Deliver { due } => Some(due),
        Verdict::Lost | Verdict::QueueFull => None,
    }
}

/// Offers `count` datagrams, one per millisecond, and says of each whether it was lost.
fn losses(loss: Loss, seed: u64, count: usize) -> Vec<bool> {
    let mut link = Link::new(
        LinkProperties {
            loss,
            ..LinkProperties::default()
        },
        seed,
    );
    let start = Instant::now();
    (0..count)
        .map(|index| link.offer(start + MILLISECOND * index as u32, 100) == Verdict::Lost)
        .collect()
}

fn share(lost: &[bool]) -> f64 {
    lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64
}

#[test]
fn a_default_link_delivers_at_once() {
    let mut link = Link::new(LinkProperties::default(), 1);
    let now = Instant::now();
    assert_eq!(link.offer(now, 1200), Verdict::Deliver { due: now });
}

#[test]
fn delay_is_exact_without_jitter() {
    let delay = Duration::from_micros(80_123);
    let mut link = Link::new(
        LinkProperties {
            delay,
            ..LinkProperties::default()
        },
        1,
    );
    let now = Instant::now();
    assert_eq!(link.offer(now, 1200), Verdict::Deliver { due: now + delay });
}

#[test]
fn uniform_loss_is_within_four_standard_deviations_over_100k_datagrams() {
    for (seed, percent) in [(1, 0.5), (2, 1.0), (3, 2.0), (4, 20.0)] {
        let probability = Probability::new(percent / 100.0).unwrap();
        let measured = 100.0 * share(&losses(Loss::Uniform(probability), seed, 100_000));
        // In percentage points: 0.09 at 0.5 %, 0.51 at 20 %.
        let tolerance = 4.0 * (percent * (100.0 - percent) / 100_000.0).sqrt();
        assert!(
            (measured - percent).abs() < tolerance,
            "{percent} %: measured {measured} %"
        );
    }
}

#[test]
fn burst_loss_has_the_mean_and_the_burst_length_asked_for() {
    let chain = GilbertElliott::with_mean(Probability::new(0.05).unwrap(), 8.0).unwrap();
    let lost = losses(Loss::Bursts(chain), 9, 400_000);
    let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
    let length = lost.iter().filter(|lost| **lost).count() as f64 / bursts;
    assert!((share(&lost) - 0.05).abs() < 0.005, "mean {}", share(&lost));
    assert!((length - 8.0).abs() < 0.5, "burst length {length}");
}

#[test]
fn total_loss_delivers_nothing_and_no_loss_everything() {
    assert_eq!(share(&losses(Loss::Uniform(Probability::ONE), 5, 10_000)), 1.0);
    assert_eq!(share(&losses(Loss::Uniform(Probability::ZERO), 5, 10_000)), 0.0);
}

#[test]
fn impossible_losses_are_refused() {
    assert!(matches!(
        Probability::new(1.01),
        Err(LossError::NotAProbability(_))
    ));
    assert!(matches!(
        Probability::new(f64::NAN),
        Err(LossError::NotAProbability(_))
    ));
    let half = Probability::new(0.5).unwrap();
    assert!(matches!(
        GilbertElliott::with_mean(half, 0.5),
        Err(LossError::BurstLength(_))
    ));
    let most = Probability::new(0.9).unwrap();
    assert!(matches!(
        GilbertElliott::with_mean(most, 2.0),
        Err(LossError::TooDense { .. })
    ));
    assert!(matches!(
        GilbertElliott::with_mean(Probability::ONE, 2.0),
        Err(LossError::TooDense { .. })
    ));
}

#[test]
fn the_line_spaces_datagrams_exactly_by_its_rate() {
    let rate = BitRate::from_bps(100_000_000).unwrap();
    let queue = Duration::from_secs(10);
    let mut link = Link::new(
        LinkProperties {
            rate: Some(rate),
            queue,
            ..LinkProperties::default()
        },
        1,
    );
    let start = Instant::now();
    let spacing = Duration::from_nanos((1200 + HEADER_BYTES as u64) * 80);
    for index in 1..=10_000 {
        assert_eq!(
            link.offer(start, 1200),
            Verdict::Deliver {
                due: start + spacing * index
            }
        );
    }
}

#[test]
fn an_overloaded_line_carries_its_rate_and_its_queue_stays_within_the_bound() {
    let rate = BitRate::from_bps(100_000_000).unwrap();
    let queue = Duration::from_millis(50);
    let delay = Duration::from_millis(38);
    let properties = LinkProperties {
        rate: Some(rate),
        queue,
        delay,
        ..LinkProperties::default()
    };
    let mut link = Link::new(properties, 1);
    let start = Instant::now();
    // 24 datagrams of 1,228 bytes per millisecond: 236 Mbit/s.
    let mut delivered_bytes = 0;
    for index in 0..48_000_u32 {
        let now = start + MILLISECOND * index / 24;
        if let Some(due) = due(link.offer(now, 1200)) {
            delivered_bytes += 1200 + HEADER_BYTES;
            assert!(due - now <= delay + queue + rate.time_for(1200 + HEADER_BYTES));
        }
    }
    let carried_bits = delivered_bytes as f64 * 8.0;
    // Two seconds of line plus what stands in the queue at the end.
    let expected_bits = 100e6 * (2.0 + 0.05);
    assert!(
        (carried_bits / expected_bits - 1.0).abs() < 0.001,
        "carried {carried_bits} of {expected_bits}"
    );
}

#[test]
fn a_lost_datagram_has_used_the_line() {
    let rate = BitRate::from_bps(8_000).unwrap();
    let loss = Loss::Uniform(Probability::ONE);
    let properties = LinkProperties {
        rate: Some(rate),
        queue: MILLISECOND,
        loss,
        ..LinkProperties::default()
    };
    let mut link = Link::new(properties, 1);
    let now = Instant::now();
    assert_eq!(link.offer(now, 1000), Verdict::Lost);
    assert_eq!(link.offer(now, 1000), Verdict::QueueFull);
}

#[test]
fn order_holds_when_the_delay_shrinks() {
    let slow = LinkProperties {
        delay: Duration::from_millis(100),
        ..LinkProperties::default()
    };
    let mut link = Link::new(slow, 1);
    let now = Instant::now();
    let first = due(link.offer(now, 10)).unwrap();
    link.change(LinkProperties::default());
    assert_eq!(due(link.offer(now + MILLISECOND, 10)), Some(first));
    assert_eq!(
        due(link.offer(now + MILLISECOND * 200, 10)),
        Some(now + MILLISECOND * 200)
    );
}

#[test]
fn equal_seeds_repeat_and_other_seeds_differ() {
    let loss = Loss::Uniform(Probability::new(0.3).unwrap());
    assert_eq!(losses(loss, 77, 1_000), losses(loss, 77, 1_000));
    assert_ne!(losses(loss, 77, 1_000), losses(loss, 78, 1_000));
}

proptest! {
    #[test]
    fn nothing_is_early_late_beyond_its_bounds_or_out_of_order(
        seed: u64,
        delay_us in 0_u64..200_000,
        jitter_us in 0_u64..50_000,
        rate_kbps in prop::option::of(64_u64..1_000_000),
        queue_us in 0_u64..100_000,
        loss in 0.0..1.0_f64,
        steps in prop::collection::vec((0_u64..5_000, 0_usize..1_500), 1..200),
    ) {
        let properties = LinkProperties {
            delay: Duration::from_micros(delay_us),
            jitter: Duration::from_micros(jitter_us),
            loss: Loss::Uniform(Probability::new(loss).unwrap()),
            rate: rate_kbps.and_then(|kbps| BitRate::from_bps(kbps * 1000)),
            queue: Duration::from_micros(queue_us),
        };
        let mut link = Link::new(properties.clone(), seed);
        let mut now = Instant::now();
        let mut latest = now;
        for (pause_us, bytes) in steps {
            now += Duration::from_micros(pause_us);
            let Some(due) = due(link.offer(now, bytes)) else { continue };
            let line = properties.rate.map_or(Duration::ZERO, |rate| rate.time_for(bytes + HEADER_BYTES));
            let waiting = properties.rate.map_or(Duration::ZERO, |_| properties.queue);
            prop_assert!(due >= now + properties.delay + line);
            prop_assert!(due >= latest);
            prop_assert!(due <= latest.max(now + properties.delay + line + waiting + properties.jitter));
            latest = due;
        }
    }
}
