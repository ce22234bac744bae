//! A tone per sender, and an ear that tells which tones are there.

#[cfg(test)]
mod tests;

use std::f64::consts::TAU;

use super::SenderId;

/// Samples per second of a written sound.
pub const SAMPLES_PER_SECOND: u32 = 48_000;

/// Samples from one start of the tone to the next: 600 ms.
pub const SAMPLES_PER_PERIOD: usize = 28_800;

const TONE_SAMPLES: usize = 19_200;
const RAMP_SAMPLES: usize = 480;
const AMPLITUDE: f64 = 0.3;

/// The frequency of a sender's tone, 500 to 2,750 Hz in steps of 150.
pub fn tone_hz(sender: SenderId) -> f64 {
    500.0 + 150.0 * f64::from(sender.number())
}

/// One period at 48 kHz: 400 ms of tone with ramps of 10 ms at both ends, 200 ms of silence. Periods join
/// without a click because each begins and ends in silence.
pub fn period(sender: SenderId) -> Vec<i16> {
    let hz = tone_hz(sender);
    let sample = |index: usize| {
        let seconds = index as f64 / f64::from(SAMPLES_PER_SECOND);
        let value = AMPLITUDE * envelope(index) * (TAU * hz * seconds).sin();
        (value * f64::from(i16::MAX)).round() as i16
    };
    (0..SAMPLES_PER_PERIOD).map(sample).collect()
}

/// Between 0 and 1.
fn envelope(index: usize) -> f64 {
    let from_end = TONE_SAMPLES.saturating_sub(index);
    (index.min(from_end) as f64 / RAMP_SAMPLES as f64).min(1.0)
}

/// Which tones are in a stretch of sound, in order of sender; several may sound together.
///
/// The sound is cut into windows of 40 ms. A tone counts in a window if it has at least 1 % of full scale,
/// six times the median of all sixteen tones and a fifth of the strongest; it is heard if it counts in two
/// windows. A sound of 600 ms or more has at least nine windows with the tone on. `samples_per_second` is
/// 8,000 or more.
pub fn heard(samples: &[i16], samples_per_second: u32) -> Vec<SenderId> {
    const WINDOWS_NEEDED: usize = 2;
    let window_samples = samples_per_second as usize / 25;
    if window_samples == 0 {
        return Vec::new();
    }
    let mut counts = [0_usize; SenderId::COUNT as usize];
    for window in samples.chunks_exact(window_samples) {
        for sender in heard_in_window(window, samples_per_second) {
            counts[usize::from(sender.number())] += 1;
        }
    }
    SenderId::all()
        .filter(|sender| counts[usize::from(sender.number())] >= WINDOWS_NEEDED)
        .collect()
}

fn heard_in_window(window: &[i16], samples_per_second: u32) -> impl Iterator<Item = SenderId> + use<> {
    const QUIETEST: f64 = 0.01;
    const ABOVE_MEDIAN: f64 = 6.0;
    const OF_STRONGEST: f64 = 0.2;
    let amplitudes: Vec<f64> = SenderId::all()
        .map(|sender| amplitude(window, tone_hz(sender) / f64::from(samples_per_second)))
        .collect();
    let mut sorted = amplitudes.clone();
    sorted.sort_by(f64::total_cmp);
    let strongest = sorted[sorted.len() - 1];
    let threshold = QUIETEST
        .max(ABOVE_MEDIAN * sorted[sorted.len() / 2])
        .max(OF_STRONGEST * strongest);
    SenderId::all()
        .zip(amplitudes)
        .filter(move |(_, amplitude)| *amplitude >= threshold)
        .map(|(sender, _)| sender)
}

/// Amplitude of one frequency (in cycles per sample), 1 for a sine of full scale: Goertzel's recurrence over
/// a Hann window (Goertzel, "An algorithm for the evaluation of finite trigonometric series", 1958).
fn amplitude(window: &[i16], cycles_per_sample: f64) -> f64 {
    /// Mean of the Hann window, which lowers the sum.
    const HANN_MEAN: f64 = 0.5;
    let count = window.len() as f64;
    let coefficient = 2.0 * (TAU * cycles_per_sample).cos();
    let (mut one_ago, mut two_ago) = (0.0, 0.0);
    for (index, sample) in window.iter().enumerate() {
        let hann = 0.5 - 0.5 * (TAU * (index as f64 + 0.5) / count).cos();
        let next = f64::from(*sample) / 32_768.0 * hann + coefficient * one_ago - two_ago;
        two_ago = one_ago;
        one_ago = next;
    }
    let power = one_ago * one_ago + two_ago * two_ago - coefficient * one_ago * two_ago;
    power.max(0.0).sqrt() * 2.0 / (count * HANN_MEAN)
}
