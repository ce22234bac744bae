//! What is played is heard, also through noise, other voices and another sampling rate.

use proptest::prelude::*;

use super::*;

fn sender(number: u8) -> SenderId {
    SenderId::new(number).unwrap()
}

fn mixed(senders: &[SenderId], gain: f64) -> Vec<i16> {
    let mut sum = vec![0.0; SAMPLES_PER_PERIOD];
    for sender in senders {
        for (total, sample) in sum.iter_mut().zip(period(*sender)) {
            *total += f64::from(sample) * gain;
        }
    }
    sum.into_iter().map(|value| value as i16).collect()
}

/// Adds noise of a triangular distribution, `peak` as a share of full scale.
fn noisy(samples: &[i16], peak: f64, seed: u64) -> Vec<i16> {
    let mut state = seed;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
    };
    let shake = |sample: &i16| (f64::from(*sample) + (uniform() + uniform()) * peak * 32_768.0) as i16;
    samples.iter().map(shake).collect()
}

#[test]
fn every_sender_is_heard_alone() {
    for sender in SenderId::all() {
        assert_eq!(heard(&period(sender), SAMPLES_PER_SECOND), [sender]);
    }
}

#[test]
fn the_tone_is_the_agreed_one() {
    let samples = period(sender(4));
    assert_eq!(tone_hz(sender(4)), 1_100.0);
    let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!((9_780..=9_831).contains(&peak), "{peak}");
    assert!(samples[TONE_SAMPLES..].iter().all(|sample| *sample == 0));
    assert!(
        samples[..48].iter().all(|sample| sample.unsigned_abs() < 1_000),
        "the start is a ramp"
    );
    let crossings = samples[..TONE_SAMPLES]
        .windows(2)
        .filter(|pair| pair[0] < 0 && pair[1] >= 0)
        .count();
    assert!((439..=440).contains(&crossings), "{crossings} waves in 400 ms");
}

#[test]
fn silence_and_noise_are_nobody() {
    let silence = vec![0; SAMPLES_PER_PERIOD];
    assert_eq!(heard(&silence, SAMPLES_PER_SECOND), []);
    assert_eq!(heard(&[], SAMPLES_PER_SECOND), []);
    assert_eq!(heard(&silence, 0), []);
    for seed in 0..20 {
        assert_eq!(heard(&noisy(&silence, 0.2, seed), SAMPLES_PER_SECOND), []);
    }
}

#[test]
fn five_voices_together_are_told_apart() {
    let voices = [sender(0), sender(1), sender(5), sender(11), sender(15)];
    assert_eq!(heard(&mixed(&voices, 0.5), SAMPLES_PER_SECOND), voices);
}

#[test]
fn a_tone_is_heard_at_16_khz() {
    let decimated: Vec<i16> = period(sender(7)).into_iter().step_by(3).collect();
    assert_eq!(heard(&decimated, 16_000), [sender(7)]);
}

proptest! {
    #[test]
    fn a_tone_is_heard_through_noise_at_any_offset_and_loudness(
        number in 0_u8..16,
        offset in 0..SAMPLES_PER_PERIOD,
        gain in 0.2..1.0_f64,
        seed: u64,
    ) {
        let mut samples = mixed(&[sender(number)], gain);
        samples.rotate_left(offset);
        prop_assert_eq!(heard(&noisy(&samples, 0.05, seed), SAMPLES_PER_SECOND), [sender(number)]);
    }
}
