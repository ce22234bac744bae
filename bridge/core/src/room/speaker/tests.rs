use super::*;

const FRAME: Duration = Duration::from_millis(20);

fn talk(detector: &mut SpeakerDetector, level: u8, frames: u32, now: &mut Instant) {
    for _ in 0..frames {
        *now += FRAME;
        detector.heard(&"PA_a".into(), AudioLevel(level), *now);
    }
}

#[test]
fn a_voice_is_told_when_it_starts_and_when_it_has_ended() {
    let mut now = crate::rtc::testing::instant();
    let mut detector = SpeakerDetector::default();
    talk(&mut detector, 20, 15, &mut now);
    let told = detector.poll(now);
    assert!(told.len() == 1 && told[0].active);
    talk(&mut detector, 127, 80, &mut now);
    let told = detector.poll(now);
    assert!(told.len() == 1 && !told[0].active && told[0].level == AudioLevel::SILENCE);
    assert!(detector.poll(now).is_empty());
}

#[test]
fn a_pause_between_words_does_not_end_speech() {
    let mut now = crate::rtc::testing::instant();
    let mut detector = SpeakerDetector::default();
    talk(&mut detector, 20, 15, &mut now);
    detector.poll(now);
    talk(&mut detector, 127, 10, &mut now);
    assert!(detector.poll(now).iter().all(|speaker| speaker.active));
}

#[test]
fn background_noise_never_counts_as_speech() {
    let mut now = crate::rtc::testing::instant();
    let mut detector = SpeakerDetector::default();
    talk(&mut detector, 60, 200, &mut now);
    assert!(detector.poll(now).is_empty());
}

#[test]
fn speech_ends_when_packets_stop() {
    let mut now = crate::rtc::testing::instant();
    let mut detector = SpeakerDetector::default();
    talk(&mut detector, 20, 15, &mut now);
    detector.poll(now);
    let told = detector.poll(now + HOLD);
    assert!(told.len() == 1 && !told[0].active);
}

#[test]
fn speech_ends_when_its_track_does() {
    let mut now = crate::rtc::testing::instant();
    let mut detector = SpeakerDetector::default();
    talk(&mut detector, 20, 15, &mut now);
    detector.poll(now);
    detector.silence(&"PA_a".into());
    let told = detector.poll(now);
    assert!(told.len() == 1 && !told[0].active);
    assert!(detector.voices.is_empty());
}
