use super::super::config::MeshTiming;
use super::super::detector::{Detector, Verdict};
use super::{beginning, ms};
use std::time::Duration;

#[test]
fn silence_makes_a_link_suspect_and_then_dead() {
    let start = beginning();
    let mut detector = Detector::new(MeshTiming::default(), start);
    let number = detector.on_ping_sent(start);
    detector.on_echo(start + ms(80), number);
    let heard = start + ms(80);
    assert_eq!(detector.verdict(heard + ms(349)), Verdict::Alive);
    assert_eq!(detector.verdict(heard + ms(350)), Verdict::Suspect);
    assert_eq!(detector.verdict(heard + ms(749)), Verdict::Suspect);
    assert_eq!(detector.verdict(heard + ms(750)), Verdict::Dead);
    assert_eq!(detector.next_verdict_at(heard), Some(heard + ms(350)));
    assert_eq!(detector.next_verdict_at(heard + ms(350)), Some(heard + ms(750)));
    assert_eq!(detector.next_verdict_at(heard + ms(750)), None);
}

#[test]
fn time_in_which_nobody_listened_is_no_silence() {
    let start = beginning();
    let mut detector = Detector::new(MeshTiming::default(), start);
    let first = detector.on_ping_sent(start);
    detector.on_echo(start + ms(80), first);
    let second = detector.on_ping_sent(start + ms(100));
    let woken = start + ms(5_100);
    assert_eq!(detector.verdict(woken), Verdict::Dead);
    detector.on_stall(woken, ms(4_900));
    assert_eq!(detector.verdict(woken), Verdict::Alive);
    detector.on_ping_sent(woken);
    assert_eq!(detector.loss().0, 0, "the second is not given up");
    detector.on_echo(woken, second);
    assert_eq!(detector.smoothed_rtt(), Some(ms(80) * 7 / 8 + ms(5_000) / 8));
    detector.on_stall(woken, ms(60_000));
    assert_eq!(
        detector.verdict(woken + ms(1_000)),
        Verdict::Dead,
        "never excused beyond now"
    );
}

#[test]
fn a_link_of_330_ms_round_trip_is_dead_within_a_second_of_the_kill() {
    let start = beginning();
    let mut detector = Detector::new(MeshTiming::default(), start);
    let (rtt, killed) = (ms(330), start + ms(5_000));
    let mut dead_at = None;
    let mut echoes = Vec::new();
    for step in 0..7_000 {
        let now = start + ms(step);
        if step % 100 == 0 {
            let number = detector.on_ping_sent(now);
            if now + rtt / 2 < killed {
                echoes.push((now + rtt, number));
            }
        }
        echoes.retain(|(at, number)| {
            if *at <= now {
                detector.on_echo(now, *number);
            }
            *at > now
        });
        if detector.verdict(now) == Verdict::Dead {
            dead_at = dead_at.or(Some(now));
        }
    }
    let took = dead_at.expect("the link is dead at the end") - killed;
    assert!(took < Duration::from_secs(1), "took {took:?}");
}

#[test]
fn round_trip_jitter_and_loss_follow_the_echoes() {
    let start = beginning();
    let mut detector = Detector::new(MeshTiming::default(), start);
    for n in 0..200_u64 {
        let sent = start + ms(n * 100);
        let number = detector.on_ping_sent(sent);
        if n % 4 != 0 {
            detector.on_echo(sent + ms(40 + n % 2 * 2), number);
        }
    }
    let rtt = detector.smoothed_rtt().unwrap();
    assert!((ms(40)..=ms(42)).contains(&rtt), "{rtt:?}");
    assert_eq!(detector.min_rtt(), Some(ms(40)));
    assert!(
        detector.jitter() > ms(0) && detector.jitter() < ms(2),
        "{:?}",
        detector.jitter()
    );
    let loss = detector.loss().0;
    assert!(
        (150_000..350_000).contains(&loss),
        "{loss} ppm for a quarter lost"
    );
}

#[test]
fn an_echo_that_answers_no_ping_of_ours_proves_nothing() {
    let start = beginning();
    let mut detector = Detector::new(MeshTiming::default(), start);
    let number = detector.on_ping_sent(start);
    detector.on_echo(start + ms(10), number);
    for late in 1..100 {
        detector.on_echo(start + ms(late * 10), number);
        detector.on_echo(start + ms(late * 10), 4_000_000);
    }
    assert_eq!(detector.verdict(start + ms(1_000)), Verdict::Dead);
}

#[test]
fn unanswered_pings_take_bounded_memory() {
    let start = beginning();
    let timing = MeshTiming {
        down_after_missed: 1_000_000,
        ..MeshTiming::default()
    };
    let mut detector = Detector::new(timing, start);
    for n in 0..10_000 {
        detector.on_ping_sent(start + ms(n));
    }
    assert!(format!("{detector:?}").len() < 10_000);
    assert!(detector.loss().0 > 900_000);
}

#[test]
fn a_link_is_as_long_as_its_smallest_round_trip_of_late() {
    let mut now = beginning();
    let mut detector = Detector::new(MeshTiming::default(), now);
    let mut echoes = |detector: &mut Detector, rtts: &[u64]| {
        for rtt in rtts {
            let number = detector.on_ping_sent(now);
            detector.on_echo(now + Duration::from_millis(*rtt), number);
            now += Duration::from_millis(100);
        }
        detector.least_rtt()
    };
    let some = |length| Some(ms(length));
    assert_eq!(echoes(&mut detector, &[40, 90, 70]), some(40));
    assert_eq!(
        echoes(&mut detector, &[90; 20]),
        some(40),
        "a queue is no longer way, for a while"
    );
    assert_eq!(echoes(&mut detector, &[90; 40]), some(90), "another way is");
    assert_eq!(echoes(&mut detector, &[30]), some(30), "a shorter one at once");
}

/// A detector that has heard something every `every_ms` for a second, echoes among it.
fn heard_every(every_ms: u64) -> (Detector, std::time::Instant) {
    let start = beginning();
    let mut detector = Detector::new(MeshTiming::default(), start);
    for at_ms in 0..=1_000 {
        let now = start + ms(at_ms);
        if at_ms % every_ms == 0 {
            detector.on_heard(at_ms / every_ms + 1, now);
        }
        if at_ms % 100 == 0 {
            let number = detector.on_ping_sent(now);
            detector.on_echo(now, number);
        }
    }
    (detector, start + ms(1_000))
}

#[test]
fn a_link_that_carried_media_is_suspect_as_soon_as_it_is_wholly_silent() {
    let (detector, last) = heard_every(20);
    assert_eq!(detector.verdict(last + ms(149)), Verdict::Alive);
    assert_eq!(detector.verdict(last + ms(150)), Verdict::Suspect);
    assert_eq!(
        detector.verdict(last + ms(749)),
        Verdict::Suspect,
        "and dead no sooner"
    );
    let (detector, last) = heard_every(50);
    assert_eq!(
        detector.verdict(last + ms(349)),
        Verdict::Alive,
        "nothing but pings of both sides: three echoes are waited for"
    );
}

#[test]
fn media_that_ends_makes_no_link_suspect_while_pings_come() {
    let (mut detector, last) = heard_every(20);
    for step in 1..=50 {
        let now = last + ms(step * 100);
        let number = detector.on_ping_sent(now - ms(1));
        assert_eq!(detector.verdict(now), Verdict::Alive, "{step}");
        detector.on_echo(now, number);
        detector.on_heard(51 + step, now);
    }
}
