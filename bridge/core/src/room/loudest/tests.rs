use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const PACKET: Duration = Duration::from_millis(20);

/// A room in which every publisher has one sound and sends a packet every 20 ms.
struct Meeting {
    loudest: Loudest,
    now: Instant,
    seq: u32,
    /// Changes of places since the beginning: (when, who).
    begun: Vec<(Instant, u32)>,
}

impl Meeting {
    fn of(sounds: u32, most: usize) -> Self {
        let mut loudest = Loudest::new(most);
        for slot in 0..sounds {
            loudest.add(slot, &ParticipantSid(format!("PA_{slot}")));
        }
        Self {
            loudest,
            now: crate::rtc::testing::instant(),
            seq: 0,
            begun: Vec::new(),
        }
    }

    /// One packet of each; who was forwarded.
    fn step(&mut self, level: impl Fn(u32) -> Option<u8>) -> BTreeSet<u32> {
        let mut slots: Vec<u32> = self.sounds().collect();
        slots.sort_unstable();
        self.now += PACKET;
        self.seq += 1;
        let mut forwarded = BTreeSet::new();
        for slot in slots {
            let verdict = self
                .loudest
                .heard(slot, MediaSeq(self.seq), level(slot).map(AudioLevel), self.now);
            match verdict {
                Verdict::Forward => {
                    forwarded.insert(slot);
                }
                Verdict::Withhold => {}
                Verdict::Begin(_) => {
                    self.begun.push((self.now, slot));
                    forwarded.insert(slot);
                }
            }
        }
        forwarded
    }

    fn run(&mut self, time: Duration, level: impl Fn(u32) -> Option<u8>) -> BTreeSet<u32> {
        let mut last = BTreeSet::new();
        for _ in 0..time.as_millis() / PACKET.as_millis() {
            last = self.step(&level);
        }
        last
    }

    fn sounds(&self) -> impl Iterator<Item = u32> {
        let all = self.loudest.placed.iter().chain(&self.loudest.waiting);
        all.map(|sound| sound.slot)
    }
}

const SILENT: Option<u8> = Some(127);

#[test]
fn a_room_with_no_more_sounds_than_places_forwards_all_from_their_first_packet_on() {
    let mut meeting = Meeting::of(8, 8);
    assert_eq!(meeting.step(|slot| Some(slot as u8 * 15)).len(), 8);
    assert_eq!(meeting.run(HOLD * 3, |_| SILENT).len(), 8);
    assert_eq!(meeting.begun.len(), 8);
}

#[test]
fn with_no_number_set_all_are_forwarded() {
    let mut loudest = Loudest::new(0);
    let now = crate::rtc::testing::instant();
    for slot in 0..100 {
        loudest.add(slot, &ParticipantSid(format!("PA_{slot}")));
        assert_eq!(loudest.heard(slot, MediaSeq(1), None, now), Verdict::Forward);
    }
    assert_eq!(loudest.placed(), 0);
}

#[test]
fn who_begins_to_speak_takes_the_place_of_who_was_silent_longest_at_once() {
    let mut meeting = Meeting::of(20, 8);
    meeting.run(HOLD, |slot| if slot < 8 { Some(25) } else { SILENT });
    // Seven and six end, a while apart.
    meeting.run(
        Duration::from_secs(1),
        |slot| if slot < 7 { Some(25) } else { SILENT },
    );
    meeting.run(HOLD, |slot| if slot < 6 { Some(25) } else { SILENT });
    let speaks = |slot| {
        if slot < 6 || slot == 15 { Some(30) } else { SILENT }
    };
    meeting.step(speaks);
    assert_eq!(meeting.begun.last(), Some(&(meeting.now, 15)));
    assert_eq!(meeting.step(speaks), BTreeSet::from([0, 1, 2, 3, 4, 5, 6, 15]));
}

#[test]
fn a_pause_shorter_than_the_hold_costs_no_place() {
    let mut meeting = Meeting::of(9, 8);
    meeting.run(HOLD, |slot| if slot < 8 { Some(25) } else { SILENT });
    let paused = meeting.run(HOLD - PACKET * 2, |slot| match slot {
        0 => SILENT,
        // The ninth talks too, as loudly as the rest.
        _ => Some(25),
    });
    assert_eq!(paused, (0..8).collect());
    let after = meeting.run(PACKET * 4, |slot| if slot == 0 { SILENT } else { Some(25) });
    assert_eq!(after, (1..9).collect());
}

#[test]
fn of_more_than_there_are_places_for_the_loudest_are_heard() {
    let mut meeting = Meeting::of(20, 8);
    // The quieter a voice, the earlier it was there.
    let level = |slot: u32| {
        if slot < 12 {
            Some(50 - slot as u8 * 3)
        } else {
            SILENT
        }
    };
    meeting.run(HOLD, level);
    let heard = meeting.run(HOLD * 2, level);
    assert_eq!(heard.len(), 8);
    // Within the margin (6 dB: two steps) who was there first stays.
    assert!((6..12).all(|slot| heard.contains(&slot)), "{heard:?}");
    assert!((0..2).all(|slot| !heard.contains(&slot)), "{heard:?}");
}

#[test]
fn silence_and_noise_take_no_place_from_anybody() {
    let mut meeting = Meeting::of(20, 4);
    meeting.run(HOLD, |slot| if slot < 4 { Some(30) } else { SILENT });
    let heard = meeting.run(HOLD * 3, |slot| if slot < 4 { SILENT } else { Some(VOICE.0 + 1) });
    assert_eq!(heard, (0..4).collect());
}

#[test]
fn a_sound_that_never_says_how_loud_it_is_is_heard_where_there_is_room_and_yields_to_speech() {
    let mut meeting = Meeting::of(9, 8);
    meeting.run(HOLD, |slot| if slot < 8 { Some(30) } else { None });
    let talking = meeting.step(|slot| if slot < 8 { Some(30) } else { None });
    assert!(!talking.contains(&8));
    let one_is_silent = |slot| match slot {
        8 => None,
        7 => SILENT,
        _ => Some(30),
    };
    assert!(meeting.run(HOLD * 2, one_is_silent).contains(&8));
    let back = meeting.run(
        Duration::from_secs(1),
        |slot| if slot < 8 { Some(30) } else { None },
    );
    assert!(back.contains(&7) && !back.contains(&8), "{back:?}");
}

#[test]
fn what_a_packet_repeats_says_nothing_of_the_level() {
    let mut meeting = Meeting::of(2, 1);
    meeting.run(HOLD, |slot| if slot == 0 { Some(20) } else { Some(60) });
    // Of the second one's packets every other is a repeated one; the first is silent.
    for _ in 0..200 {
        meeting.step(|_| SILENT);
        let heard = meeting.step(|slot| if slot == 0 { SILENT } else { None });
        assert_eq!(heard, BTreeSet::from([0]));
    }
    // Until none says it any more.
    let heard = meeting.run(HOLD, |slot| if slot == 0 { SILENT } else { None });
    assert_eq!(heard, BTreeSet::from([1]));
}

#[test]
fn one_publisher_has_half_of_the_places_where_others_speak() {
    let mut loudest = Loudest::new(4);
    let mut now = crate::rtc::testing::instant();
    let sid = |slot: u32| {
        ParticipantSid(if slot < 6 {
            "PA_greedy".into()
        } else {
            format!("PA_{slot}")
        })
    };
    for slot in 0..10 {
        loudest.add(slot, &sid(slot));
    }
    let mut heard = BTreeSet::new();
    for seq in 0..200 {
        now += PACKET;
        heard.clear();
        for slot in 0..10 {
            // It claims to be as loud as can be on all of its tracks.
            let level = AudioLevel(if slot < 6 { 0 } else { 30 });
            // Others come later.
            if slot < 6 || seq > 50 {
                let verdict = loudest.heard(slot, MediaSeq(seq), Some(level), now);
                if verdict != Verdict::Withhold {
                    heard.insert(slot);
                }
            }
        }
        assert_eq!(loudest.placed(), 4);
    }
    assert_eq!(heard.iter().filter(|slot| **slot < 6).count(), 2, "{heard:?}");
}

#[test]
fn who_comes_back_is_told_what_was_forwarded_last() {
    let mut loudest = Loudest::new(1);
    let now = crate::rtc::testing::instant();
    for slot in [3, 7] {
        loudest.add(slot, &ParticipantSid(format!("PA_{slot}")));
    }
    let loud = Some(AudioLevel(20));
    assert_eq!(loudest.heard(3, MediaSeq(10), loud, now), Verdict::Begin(None));
    assert_eq!(loudest.heard(3, MediaSeq(12), loud, now), Verdict::Forward);
    assert_eq!(loudest.heard(3, MediaSeq(11), loud, now), Verdict::Forward);
    assert_eq!(loudest.heard(7, MediaSeq(1), loud, now), Verdict::Withhold);
    assert_eq!(
        loudest.heard(7, MediaSeq(2), loud, now + HOLD),
        Verdict::Begin(None)
    );
    assert_eq!(
        loudest.heard(3, MediaSeq(13), loud, now + HOLD),
        Verdict::Withhold
    );
    let later = now + HOLD * 2;
    assert_eq!(
        loudest.heard(3, MediaSeq(14), loud, later),
        Verdict::Begin(Some(MediaSeq(12)))
    );
}

#[test]
fn a_place_is_free_when_its_track_ends_and_yielded_when_it_is_muted() {
    let mut meeting = Meeting::of(3, 2);
    meeting.run(PACKET * 2, |_| Some(30));
    meeting.loudest.silence(0);
    assert_eq!(
        meeting
            .loudest
            .heard(2, MediaSeq(9), Some(AudioLevel(30)), meeting.now),
        Verdict::Begin(None)
    );
    meeting.loudest.remove(1);
    assert_eq!(
        meeting
            .loudest
            .heard(0, MediaSeq(9), SILENT.map(AudioLevel), meeting.now),
        Verdict::Begin(Some(MediaSeq(2)))
    );
}

proptest! {
    /// Whatever is said: never more places than there are, no place lost before its hold, and nobody who is louder than all
    /// the others stays unheard.
    #[test]
    fn places_are_few_held_and_go_to_the_loudest(
        most in 1_usize..6,
        sounds in 1_u32..12,
        phases in prop::collection::vec(prop::collection::vec(prop::option::of(0_u8..=127), 12), 1..6),
    ) {
        let mut meeting = Meeting::of(sounds, most);
        for phase in phases {
            for _ in 0..100 {
                let before = meeting.begun.len();
                let heard = meeting.step(|slot| phase[slot as usize]);
                // Who loses a place in this round was heard in it, too.
                prop_assert!(heard.len() <= most + meeting.begun.len() - before, "{:?}", heard);
                prop_assert!(meeting.loudest.placed() <= most);
            }
            // Louder by the margin than all others for as long as it takes (three seconds): heard.
            let top = meeting.run(Duration::from_secs(3), |slot| {
                let level = phase[slot as usize].unwrap_or(127);
                if slot == 0 { Some(10) } else { Some(level.max(20)) }
            });
            prop_assert!(top.contains(&0), "{:?}", top);
        }
        // Each place changes hands at most once in a hold, but for those that nobody with voice had.
        let window = |at: Instant| meeting.begun.iter().filter(|(when, _)| *when >= at && *when < at + HOLD).count();
        for (at, _) in &meeting.begun {
            prop_assert!(window(*at) <= 2 * most, "{} changes in {HOLD:?}", window(*at));
        }
    }
}
