//! Who is speaking: smoothed audio levels with hysteresis, from the levels publishers write into their packets
//! (RFC 6464). Every node computes it from the same packets, local and relayed, and so names the same speakers.

use relay_proto::id::ParticipantSid;
use relay_proto::room::SpeakerLevel;
use relay_proto::unit::AudioLevel;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often changed levels are told.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// Louder than this starts speech (minus dBov).
const START: u8 = 38;
/// Quieter than this may end it.
const STOP: u8 = 50;
/// Speech ends only after this long below `STOP`: pauses between words are part of it.
const HOLD: Duration = Duration::from_millis(800);
/// A change of level smaller than this is not worth telling.
const STEP: u8 = 4;

#[derive(Debug)]
struct Voice {
    /// Smoothed level in 1/16 dB.
    level: u16,
    active: bool,
    /// No more packets will come: to be forgotten once that is told.
    ending: bool,
    loud_at: Instant,
    told: Option<(u8, bool)>,
}

/// Levels of all participants of a room.
#[derive(Debug, Default)]
pub struct SpeakerDetector {
    voices: BTreeMap<ParticipantSid, Voice>,
}

impl SpeakerDetector {
    /// A packet of `participant` with this level has come. Hot path for audio; allocates at a new participant only.
    pub fn heard(&mut self, participant: &ParticipantSid, level: AudioLevel, now: Instant) {
        let target = u16::from(level.0.min(127)) * 16;
        if let Some(voice) = self.voices.get_mut(participant) {
            // Rises fast and falls slowly, so that syllables do not flicker.
            let weight = if target < voice.level { 2 } else { 8 };
            voice.level = (voice.level * (weight - 1) + target) / weight;
            voice.hear(now);
        } else {
            let mut voice = Voice {
                level: target,
                active: false,
                ending: false,
                loud_at: now,
                told: None,
            };
            voice.hear(now);
            self.voices.insert(participant.clone(), voice);
        }
    }

    /// Whether a participant speaks.
    #[must_use]
    pub fn is_speaking(&self, participant: &ParticipantSid) -> bool {
        self.voices.get(participant).is_some_and(|voice| voice.active)
    }

    /// A sound track of a participant has ended: so has its speech, which is told before the voice is forgotten.
    pub fn silence(&mut self, participant: &ParticipantSid) {
        if let Some(voice) = self.voices.get_mut(participant) {
            voice.active = false;
            voice.ending = true;
        }
    }

    /// A participant is gone.
    pub fn forget(&mut self, participant: &ParticipantSid) {
        self.voices.remove(participant);
    }

    /// What has changed since the last call; call every [`INTERVAL`].
    pub fn poll(&mut self, now: Instant) -> Vec<SpeakerLevel> {
        let mut changed = Vec::new();
        for (participant, voice) in &mut self.voices {
            voice.expire(now);
            let level = if voice.active {
                (voice.level / 16) as u8
            } else {
                AudioLevel::SILENCE.0
            };
            let news = match voice.told {
                None => voice.active,
                Some((told, active)) => {
                    active != voice.active || (voice.active && told.abs_diff(level) >= STEP)
                }
            };
            if news {
                voice.told = Some((level, voice.active));
                let level = AudioLevel(level);
                changed.push(SpeakerLevel {
                    participant: participant.clone(),
                    level,
                    active: voice.active,
                });
            }
        }
        self.voices.retain(|_, voice| !voice.ending);
        changed
    }
}

impl Voice {
    fn hear(&mut self, now: Instant) {
        let level = self.level / 16;
        self.ending = false;
        self.active |= level <= u16::from(START);
        if level <= u16::from(STOP) {
            self.loud_at = now;
        }
    }

    /// Ends speech after a hold; also when packets stop (mute, DTX, loss).
    fn expire(&mut self, now: Instant) {
        if now.duration_since(self.loud_at) >= HOLD {
            self.active = false;
        }
    }
}

#[cfg(test)]
mod tests;
