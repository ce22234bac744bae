//! Which sounds of a room are forwarded: at most so many at once, the loudest, each for a while after its last word.
//!
//! A sound has a *place* while it is forwarded. As long as there is a free place, any packet takes it, so that in a small
//! room all sounds are forwarded. Without a free place, only a packet with voice in it takes one, from (in this order):
//! 1. the sound that has been without voice the longest, if that is at least [`HOLD`];
//! 2. the quietest of a publisher that has more than half of all places, if the newcomer's publisher has less;
//! 3. the quietest sound that has had its place for [`HOLD`], if the newcomer is louder by [`MARGIN`].
//!
//! So whoever was given a place for voice keeps it for [`HOLD`] at least (but for case 2), and silence takes no place from
//! anybody. Levels are claims of publishers: a false one is worth one place per track, and half of all places per
//! publisher. What a track is for is such a claim too, so the sound of a shared screen has no privilege.

use relay_proto::id::ParticipantSid;
use relay_proto::unit::{AudioLevel, MediaSeq};
use std::time::{Duration, Instant};

/// How long a sound keeps its place after its last word, and at least.
pub const HOLD: Duration = Duration::from_secs(2);
/// A packet this loud or louder has voice in it (minus dBov); quieter is breath, a fan, comfort noise.
pub const VOICE: AudioLevel = AudioLevel(50);
/// What a packet of a publisher that never says how loud it is counts as: voice, but quieter than speech (15 to 40), so
/// that it has a place where there is room and takes none from people who talk.
const UNSAID: AudioLevel = AudioLevel(48);
/// A publisher says no more how loud it is after so many packets without; fewer are such that another packet has repeated.
const MAX_UNSAID: u8 = 50;
/// How much louder than another a sound must be to take its place while both have voice, in 1/16 dB: 6 dB, clearly audible.
pub const MARGIN: u16 = 6 * 16;
/// Weights of smoothing: a level rises within a syllable (four packets from [`VOICE`] to loud speech, so that a click is not
/// enough) and falls within a sentence.
const RISE: u16 = 4;
const FALL: u16 = 32;

/// What to do with a packet of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on.
    Forward,
    /// Kept, not forwarded.
    Withhold,
    /// The first after a time in which it had no place; with the newest packet that was forwarded before, if any.
    Begin(Option<MediaSeq>),
}

#[derive(Debug)]
struct Sound {
    /// Its track.
    slot: u32,
    /// Number of its publisher among those of the room.
    publisher: u32,
    participant: ParticipantSid,
    /// Smoothed level of what had voice in it, in 1/16 dB below full; smaller is louder. Pauses do not count: they are for
    /// the hold.
    level: u16,
    /// Packets in a row that did not say how loud they are.
    unsaid: u8,
    voiced_at: Option<Instant>,
    /// When it got its place, while it has one.
    since: Option<Instant>,
    /// Newest packet forwarded.
    newest: Option<MediaSeq>,
}

impl Sound {
    /// Takes the level of a packet; whether it has voice in it.
    fn hear(&mut self, level: Option<AudioLevel>, now: Instant) -> bool {
        self.unsaid = level.map_or_else(|| self.unsaid.saturating_add(1), |_| 0);
        let level = level.unwrap_or(if self.unsaid > MAX_UNSAID {
            UNSAID
        } else {
            AudioLevel::SILENCE
        });
        if level > VOICE {
            return false;
        }
        if self.is_quiet(now) {
            self.level = u16::from(VOICE.0) * 16;
        }
        let target = u16::from(level.0) * 16;
        let weight = if target < self.level { RISE } else { FALL };
        self.level = (self.level * (weight - 1) + target) / weight;
        self.voiced_at = Some(now);
        true
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.voiced_at
            .is_none_or(|at| now.saturating_duration_since(at) >= HOLD)
    }

    fn has_held(&self, now: Instant) -> bool {
        self.since
            .is_some_and(|at| now.saturating_duration_since(at) >= HOLD)
    }
}

/// The sounds of one room, by track slot. Memory: some 80 bytes per sound.
#[derive(Debug)]
pub struct Loudest {
    most: usize,
    /// Those that are forwarded, at most `most`.
    placed: Vec<Sound>,
    /// All others, by slot.
    waiting: Vec<Sound>,
}

impl Loudest {
    /// At most `most` sounds at once; 0: all.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            placed: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// A track of sound is there. Nothing of it has come.
    pub fn add(&mut self, slot: u32, participant: &ParticipantSid) {
        if self.most == 0 {
            return;
        }
        self.remove(slot);
        let all = || self.placed.iter().chain(&self.waiting);
        let publisher = all()
            .find(|sound| sound.participant == *participant)
            .map(|sound| sound.publisher)
            .unwrap_or_else(|| all().map(|sound| sound.publisher + 1).max().unwrap_or(0));
        let sound = Sound {
            slot,
            publisher,
            participant: participant.clone(),
            level: u16::from(VOICE.0) * 16,
            unsaid: u8::MAX,
            voiced_at: None,
            since: None,
            newest: None,
        };
        // Whatever moves later finds room in its list.
        let sounds = self.placed.len() + self.waiting.len() + 1;
        self.placed.reserve(sounds.min(self.most) - self.placed.len());
        self.waiting.reserve(sounds - self.waiting.len());
        let at = self.waiting.partition_point(|other| other.slot < slot);
        self.waiting.insert(at, sound);
    }

    /// A track is gone; its place is free.
    pub fn remove(&mut self, slot: u32) {
        self.placed.retain(|sound| sound.slot != slot);
        self.waiting.retain(|sound| sound.slot != slot);
    }

    /// Nothing will come of a track for a while (its publisher has muted it): whoever speaks next may have its place.
    pub fn silence(&mut self, slot: u32) {
        if let Some(sound) = self.placed.iter_mut().find(|sound| sound.slot == slot) {
            sound.voiced_at = None;
        }
    }

    /// How many sounds have a place.
    #[must_use]
    pub const fn placed(&self) -> usize {
        self.placed.len()
    }

    /// A packet of a track has come. Hot path, no allocation: looks at the few that have a place, and where the track is
    /// not among them finds it by bisection.
    pub fn heard(&mut self, slot: u32, seq: MediaSeq, level: Option<AudioLevel>, now: Instant) -> Verdict {
        if self.most == 0 {
            return Verdict::Forward;
        }
        if let Some(sound) = self.placed.iter_mut().find(|sound| sound.slot == slot) {
            sound.hear(level, now);
            sound.newest = sound.newest.max(Some(seq));
            return Verdict::Forward;
        }
        let Ok(at) = self.waiting.binary_search_by_key(&slot, |sound| sound.slot) else {
            return Verdict::Forward;
        };
        if self.waiting[at].newest >= Some(seq) {
            // Late, from before it lost its place.
            return Verdict::Withhold;
        }
        let has_voice = self.waiting[at].hear(level, now);
        let place = if self.placed.len() < self.most {
            None
        } else if has_voice && let Some(place) = self.place_for(&self.waiting[at], now) {
            Some(place)
        } else {
            return Verdict::Withhold;
        };
        let mut sound = self.waiting.remove(at);
        let before = sound.newest.replace(seq);
        sound.since = Some(now);
        if let Some(place) = place {
            let mut loser = std::mem::replace(&mut self.placed[place], sound);
            loser.since = None;
            let at = self.waiting.partition_point(|other| other.slot < loser.slot);
            self.waiting.insert(at, loser);
        } else {
            self.placed.push(sound);
        }
        Verdict::Begin(before)
    }

    /// Whose place a sound with voice in it takes.
    fn place_for(&self, newcomer: &Sound, now: Instant) -> Option<usize> {
        let share = (self.most / 2).max(1);
        let has_its_share = self.places_of(newcomer.publisher) >= share;
        let may_yield = |sound: &Sound| !has_its_share || sound.publisher == newcomer.publisher;
        let places = || {
            self.placed
                .iter()
                .enumerate()
                .filter(|(_, sound)| may_yield(sound))
        };
        let quiet = places()
            .filter(|(_, sound)| sound.is_quiet(now))
            .min_by_key(|(_, sound)| sound.voiced_at);
        let beyond = || {
            places().filter(|(_, sound)| {
                sound.publisher != newcomer.publisher && self.places_of(sound.publisher) > share
            })
        };
        let quieter =
            || places().filter(|(_, sound)| sound.has_held(now) && newcomer.level + MARGIN <= sound.level);
        quiet
            .or_else(|| beyond().max_by_key(|(_, sound)| sound.level))
            .or_else(|| quieter().max_by_key(|(_, sound)| sound.level))
            .map(|(at, _)| at)
    }

    fn places_of(&self, publisher: u32) -> usize {
        self.placed
            .iter()
            .filter(|sound| sound.publisher == publisher)
            .count()
    }
}

#[cfg(test)]
mod tests;
