//! The link in virtual time: no sleeping, every run the same.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    BitRate, GilbertElliott, HEADER_BYTES, Link, LinkProperties, Loss, LossError, PacketBytes, Probability,
    Reorder, Verdict,
};

const MILLISECOND: Duration = Duration::from_millis(1);

fn udp(payload_bytes: usize) -> PacketBytes {
    PacketBytes::of_udp_payload(payload_bytes)
}

fn delivered(due: Instant) -> Verdict {
    Verdict::Deliver {
        due,
        held_back: false,
        twice: false,
    }
}

fn due(verdict: Verdict) -> Option<Instant> {
    match verdict {
        Verdict::Deliver { due, .. } => Some(due),
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
        .map(|index| link.offer(start + MILLISECOND * index as u32, udp(100)) == Verdict::Lost)
        .collect()
}

fn share(lost: &[bool]) -> f64 {
    lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64
}

#[test]
fn a_default_link_delivers_at_once() {
    let mut link = Link::new(LinkProperties::default(), 1);
    let now = Instant::now();
    assert_eq!(link.offer(now, udp(1200)), delivered(now));
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
    assert_eq!(link.offer(now, udp(1200)), delivered(now + delay));
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
        assert_eq!(link.offer(start, udp(1200)), delivered(start + spacing * index));
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
        if let Some(due) = due(link.offer(now, udp(1200))) {
            delivered_bytes += 1200 + HEADER_BYTES;
            assert!(due - now <= delay + queue);
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
fn a_full_queue_still_takes_what_fits_into_it() {
    let rate = BitRate::from_bps(500_000).unwrap();
    let properties = LinkProperties {
        rate: Some(rate),
        queue: Duration::from_millis(150),
        ..LinkProperties::default()
    };
    let mut link = Link::new(properties, 1);
    let now = Instant::now();
    let large = (0..)
        .take_while(|_| due(link.offer(now, udp(1_200))).is_some())
        .count();
    assert_eq!(large, 7, "of 19.6 ms each");
    assert!(
        due(link.offer(now, udp(100))).is_some(),
        "2 ms in the 12.5 that are left"
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
    assert_eq!(link.offer(now, udp(1000)), Verdict::Lost);
    assert_eq!(link.offer(now, udp(1000)), Verdict::QueueFull);
}

#[test]
fn order_holds_when_the_delay_shrinks() {
    let slow = LinkProperties {
        delay: Duration::from_millis(100),
        ..LinkProperties::default()
    };
    let mut link = Link::new(slow, 1);
    let now = Instant::now();
    let first = due(link.offer(now, udp(10))).unwrap();
    link.change(LinkProperties::default());
    assert_eq!(due(link.offer(now + MILLISECOND, udp(10))), Some(first));
    assert_eq!(
        due(link.offer(now + MILLISECOND * 200, udp(10))),
        Some(now + MILLISECOND * 200)
    );
}

#[test]
fn equal_seeds_repeat_and_other_seeds_differ() {
    let loss = Loss::Uniform(Probability::new(0.3).unwrap());
    assert_eq!(losses(loss, 77, 1_000), losses(loss, 77, 1_000));
    assert_ne!(losses(loss, 77, 1_000), losses(loss, 78, 1_000));
}

#[test]
fn a_rate_means_the_same_for_payloads_and_for_whole_packets() {
    assert_eq!(udp(1200), PacketBytes::of_ip_packet(1228));
    let rate = BitRate::from_bps(8_000_000).unwrap();
    assert_eq!(
        rate.time_for(PacketBytes::of_ip_packet(1000)),
        Duration::from_millis(1)
    );
}

/// What becomes of `count` datagrams, one per millisecond, on a link that delays by 20 ms.
fn verdicts(properties: LinkProperties, seed: u64, count: u32) -> Vec<(Instant, Verdict)> {
    let mut link = Link::new(
        LinkProperties {
            delay: MILLISECOND * 20,
            ..properties
        },
        seed,
    );
    let start = Instant::now();
    (0..count)
        .map(|index| start + MILLISECOND * index)
        .map(|now| (now, link.offer(now, udp(100))))
        .collect()
}

#[test]
fn the_share_asked_for_is_held_back_and_the_others_keep_their_times() {
    let properties = LinkProperties {
        reorder: Some(Reorder {
            share: Probability::new(0.1).unwrap(),
            by: MILLISECOND * 7,
        }),
        ..LinkProperties::default()
    };
    let mut held = 0_u32;
    for (now, verdict) in verdicts(properties, 3, 100_000) {
        let Verdict::Deliver { due, held_back, .. } = verdict else {
            panic!("nothing is lost here");
        };
        held += u32::from(held_back);
        let expected = if held_back { 27 } else { 20 };
        assert_eq!(due, now + MILLISECOND * expected);
    }
    // Four standard deviations of a binomial: 4 * sqrt(100_000 * 0.1 * 0.9) = 380.
    assert!(held.abs_diff(10_000) < 380, "{held} of 100,000 at 10 %");
}

#[test]
fn the_share_asked_for_arrives_twice() {
    let properties = LinkProperties {
        duplicate: Probability::new(0.05).unwrap(),
        ..LinkProperties::default()
    };
    let twice = verdicts(properties, 4, 100_000)
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Deliver { twice: true, .. }))
        .count();
    // Four standard deviations: 276.
    assert!(twice.abs_diff(5_000) < 276, "{twice} of 100,000 at 5 %");
}

#[test]
fn reordering_and_duplication_at_their_ends_and_with_equal_seeds() {
    let all = LinkProperties {
        reorder: Some(Reorder {
            share: Probability::ONE,
            by: MILLISECOND,
        }),
        duplicate: Probability::ONE,
        ..LinkProperties::default()
    };
    for (now, verdict) in verdicts(all, 5, 1_000) {
        let due = now + MILLISECOND * 21;
        assert_eq!(
            verdict,
            Verdict::Deliver {
                due,
                held_back: true,
                twice: true
            }
        );
    }
    let half = LinkProperties {
        reorder: Some(Reorder {
            share: Probability::new(0.5).unwrap(),
            by: MILLISECOND,
        }),
        duplicate: Probability::new(0.5).unwrap(),
        ..LinkProperties::default()
    };
    let outcome = |seed| -> Vec<(bool, bool)> {
        verdicts(half.clone(), seed, 200)
            .iter()
            .map(|(_, verdict)| match verdict {
                Verdict::Deliver { held_back, twice, .. } => (*held_back, *twice),
                Verdict::Lost | Verdict::QueueFull => panic!("nothing is lost here"),
            })
            .collect()
    };
    assert_eq!(outcome(8), outcome(8));
    assert_ne!(outcome(8), outcome(9));
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
        reorder in prop::option::of((0.0..1.0_f64, 0_u64..30_000)),
        duplicate in 0.0..1.0_f64,
        steps in prop::collection::vec((0_u64..5_000, 0_usize..1_500), 1..200),
    ) {
        let properties = LinkProperties {
            delay: Duration::from_micros(delay_us),
            jitter: Duration::from_micros(jitter_us),
            loss: Loss::Uniform(Probability::new(loss).unwrap()),
            reorder: reorder.map(|(share, by_us)| Reorder {
                share: Probability::new(share).unwrap(),
                by: Duration::from_micros(by_us),
            }),
            duplicate: Probability::new(duplicate).unwrap(),
            rate: rate_kbps.and_then(|kbps| BitRate::from_bps(kbps * 1000)),
            queue: Duration::from_micros(queue_us),
        };
        let mut link = Link::new(properties.clone(), seed);
        let mut now = Instant::now();
        let mut latest = now;
        for (pause_us, bytes) in steps {
            now += Duration::from_micros(pause_us);
            let Verdict::Deliver { due, held_back, .. } = link.offer(now, udp(bytes)) else { continue };
            let line = properties.rate.map_or(Duration::ZERO, |rate| rate.time_for(udp(bytes)));
            let waiting = properties.rate.map_or(Duration::ZERO, |_| properties.queue);
            let by = properties.reorder.filter(|_| held_back).map_or(Duration::ZERO, |reorder| reorder.by);
            prop_assert!(due >= now + properties.delay + line + by);
            prop_assert!(due >= latest + by);
            prop_assert!(due <= latest.max(now + properties.delay + line + waiting + properties.jitter) + by);
            // Those held back are no bound for the others.
            latest = if held_back { latest } else { due };
        }
    }
}
