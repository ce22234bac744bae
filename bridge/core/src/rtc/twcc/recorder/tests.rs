use super::*;
use proptest::prelude::*;

/// Reads a feedback body as a browser does: (sequence number, arrival in 250 us units) and the numbers missing.
fn read(body: &[u8]) -> (Vec<(u16, i64)>, Vec<u16>) {
    let base = u16::from_be_bytes([body[0], body[1]]);
    let count = usize::from(u16::from_be_bytes([body[2], body[3]]));
    let mut clock = i64::from(u32::from_be_bytes([0, body[4], body[5], body[6]])) * 256;
    let mut at = 8;
    let mut statuses = Vec::new();
    while statuses.len() < count {
        let chunk = u16::from_be_bytes([body[at], body[at + 1]]);
        at += 2;
        if chunk & 0x8000 == 0 {
            statuses.extend(std::iter::repeat_n(
                (chunk >> 13 & 3) as u8,
                usize::from(chunk & 0x1fff),
            ));
        } else {
            statuses.extend((0..7).map(|symbol| (chunk >> (12 - 2 * symbol) & 3) as u8));
        }
    }
    statuses.truncate(count);
    let (mut received, mut missing) = (Vec::new(), Vec::new());
    for (offset, status) in statuses.into_iter().enumerate() {
        let number = base.wrapping_add(offset as u16);
        match status {
            0 => {
                missing.push(number);
                continue;
            }
            1 => {
                clock += i64::from(body[at]);
                at += 1;
            }
            _ => {
                clock += i64::from(i16::from_be_bytes([body[at], body[at + 1]]));
                at += 2;
            }
        }
        received.push((number, clock));
    }
    assert_eq!(at, body.len());
    (received, missing)
}

#[test]
fn a_gap_between_two_feedbacks_is_reported_and_a_late_packet_reported_later() {
    let start = crate::rtc::testing::instant();
    let at = |millis| start + Duration::from_millis(millis);
    let mut recorder = TwccRecorder::new(start);
    recorder.record(at(1000), 65_534);
    recorder.record(at(1010), 65_535);
    assert!(recorder.poll_feedback(at(1040)).is_empty());
    let bodies = recorder.poll_feedback(at(1050));
    assert_eq!(read(&bodies[0]), (vec![(65_534, 4000), (65_535, 4040)], vec![]));
    recorder.record(at(1060), 2);
    assert_eq!(
        read(&recorder.poll_feedback(at(1110))[0]),
        (vec![(2, 4240)], vec![0, 1])
    );
    recorder.record(at(1120), 1);
    recorder.record(at(1130), 3);
    let (received, _) = read(&recorder.poll_feedback(at(1180))[0]);
    assert_eq!(received, vec![(1, 4480), (3, 4520)]);
    assert!(recorder.poll_feedback(at(5000)).is_empty());
    assert_eq!(recorder.poll_timeout(), None);
}

#[test]
fn a_large_jump_starts_anew_and_memory_is_bounded() {
    let start = crate::rtc::testing::instant();
    let mut recorder = TwccRecorder::new(start);
    recorder.record(start, 0);
    recorder.record(start, 30_000);
    let bodies = recorder.poll_feedback(start + INTERVAL);
    assert_eq!(bodies.len(), 1);
    assert_eq!(read(&bodies[0]).0.len(), 1);
    for number in 0..100_000_u32 {
        recorder.record(start, number as u16);
        assert!(recorder.arrivals.len() <= MAX_ARRIVALS);
    }
}

proptest! {
    #[test]
    fn every_arrival_is_reported_exactly_once_and_right(
        steps in proptest::collection::vec((1_u16..5, 0_u64..400), 1..600),
        first: u16,
    ) {
        let start = crate::rtc::testing::instant();
        let mut recorder = TwccRecorder::new(start);
        let (mut seq, mut millis) = (first, 0);
        let (mut sent, mut reported) = (Vec::new(), Vec::new());
        for (gap, wait) in steps {
            seq = seq.wrapping_add(gap);
            millis += wait / 10;
            let now = start + Duration::from_millis(millis);
            recorder.record(now, seq);
            sent.push((seq, millis as i64 * 4));
            for body in recorder.poll_feedback(now) {
                reported.extend(read(&body).0);
            }
        }
        for body in recorder.poll_feedback(start + Duration::from_secs(3600)) {
            reported.extend(read(&body).0);
        }
        prop_assert_eq!(sent, reported);
    }
}
