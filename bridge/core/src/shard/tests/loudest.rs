//! Of many sounds the loudest are forwarded, on both nodes and over the link between them.

use super::world::{NODE_A, NODE_B, World};
use crate::shard::io::ShardFact;
use crate::shard::testing::SimClient;
use relay_proto::datagram::{Header, Kind};
use relay_proto::id::{TrackAlias, TrackSid};
use relay_proto::room::{ConnectionQuality, MediaKind};
use std::collections::BTreeSet;
use std::time::Duration;

const PACKET: Duration = Duration::from_millis(20);
/// Not a word: comfort noise.
const SILENT: Option<u8> = Some(127);
/// Packets that go along with the first that has voice in it.
const LEAD_IN: u64 = 5;

/// People who all have a microphone, on two shards in turn.
struct Meeting {
    world: World,
    voices: Vec<TrackSid>,
}

impl Meeting {
    fn of(people: usize) -> Self {
        Self::in_world(World::new(), people, |client| client)
    }

    fn in_world(mut world: World, people: usize, change: impl Fn(SimClient) -> SimClient) -> Self {
        for at in 0..people {
            world.join_behind_as(at % 2, 50_000_000, &change);
        }
        for at in 0..people {
            world.clients[at].1.level = SILENT;
        }
        let publish = |at| world.publish(at, MediaKind::Audio, &[]);
        let voices = (0..people).map(publish).collect();
        Self { world, voices }
    }

    /// Everybody sends a packet.
    fn step(&mut self, level: impl Fn(usize) -> Option<u8>) {
        for at in 0..self.voices.len() {
            self.world.clients[at].1.level = level(at);
            let voice = self.voices[at].clone();
            self.world.send(at, &voice, 0, true);
        }
        self.world.pass(PACKET);
    }

    fn run(&mut self, time: Duration, level: impl Fn(usize) -> Option<u8>) {
        for _ in 0..time.as_millis() / PACKET.as_millis() {
            self.step(&level);
        }
    }

    /// Packets that somebody has got of a voice.
    fn heard(&self, viewer: usize, voice: usize) -> u64 {
        self.world.heard(viewer, &self.voices[voice])
    }

    /// Whose voices each has got during what `during` does.
    fn heard_during(&mut self, during: impl FnOnce(&mut Self)) -> Vec<BTreeSet<usize>> {
        let people = self.voices.len();
        let count = |meeting: &Self| -> Vec<Vec<u64>> {
            let of = |viewer| (0..people).map(|voice| meeting.heard(viewer, voice)).collect();
            (0..people).map(of).collect()
        };
        let before = count(self);
        during(self);
        let after = count(self);
        let more = |viewer: usize| {
            (0..people)
                .filter(|voice| after[viewer][*voice] > before[viewer][*voice])
                .collect()
        };
        (0..people).map(more).collect()
    }

    /// How many tracks' media, and how many requests for sound, have crossed the link since `crossed`.
    fn crossed_since(&self, crossed: usize) -> (usize, usize) {
        let headers = self.world.crossed[crossed..].iter().filter_map(|(from, bytes)| {
            let (header, _) = Header::decode(bytes).ok()?;
            Some((*from, header))
        });
        let mut sounds: BTreeSet<(u32, TrackAlias)> = BTreeSet::new();
        let mut requests = 0;
        for (from, header) in headers {
            match header.kind {
                Kind::Media => {
                    sounds.insert((from.0, header.track));
                }
                Kind::Nack => requests += 1,
                _ => {}
            }
        }
        (sounds.len(), requests)
    }
}

/// Twelve of them talk, each 4 dB louder than the next.
fn twelve(at: usize) -> Option<u8> {
    if at < 12 { Some(4 + 4 * at as u8) } else { SILENT }
}

#[test]
fn of_twelve_who_talk_at_once_everybody_hears_eight_and_the_link_carries_no_more() {
    for world in [World::new(), World::siblings()] {
        let mut meeting = Meeting::in_world(world, 20, |client| client);
        meeting.run(Duration::from_secs(6), twelve);
        let crossed = meeting.world.crossed.len();
        let heard = meeting.heard_during(|meeting| meeting.run(Duration::from_secs(2), twelve));
        for (viewer, heard) in heard.iter().enumerate() {
            let others = if heard.len() == 7 { 7 } else { 8 };
            assert_eq!(heard.len(), others, "{viewer}: {heard:?}");
            // 6 dB are the margin within which who was first stays.
            let loudest = (0..7).filter(|voice| *voice != viewer);
            assert!(
                loudest.into_iter().all(|voice| heard.contains(&voice)),
                "{viewer}: {heard:?}"
            );
            assert!(heard.iter().all(|voice| *voice < 10), "{viewer}: {heard:?}");
        }
        let (sounds, requests) = meeting.crossed_since(crossed);
        assert!(sounds <= 8, "{sounds} sounds cross");
        assert_eq!(requests, 0);
        for shard in &meeting.world.shards {
            let counters = shard.counters();
            assert_eq!(counters.sounds_forwarded, 8);
            assert!(counters.sounds_withheld > 1_000);
        }
    }
}

#[test]
fn who_begins_to_speak_is_heard_with_the_tenth_of_a_second_before_on_both_nodes() {
    let mut meeting = Meeting::of(20);
    let some_talk = |at| if at < 4 { Some(25) } else { SILENT };
    meeting.run(Duration::from_secs(3), some_talk);
    for newcomer in [18, 19] {
        assert_eq!((meeting.heard(4, newcomer), meeting.heard(5, newcomer)), (0, 0));
        meeting.step(|at| if at == newcomer { Some(30) } else { some_talk(at) });
        meeting.world.pass(PACKET);
        assert_eq!(
            [4, 5].map(|viewer| meeting.heard(viewer, newcomer)),
            [1 + LEAD_IN; 2]
        );
    }
}

#[test]
fn who_is_withheld_for_a_second_is_not_taken_for_lost() {
    let mut meeting = Meeting::in_world(World::new(), 12, SimClient::reporting_losses);
    let turn = |first: usize| {
        move |at: usize| {
            if (first..first + 6).contains(&at) {
                Some(25)
            } else {
                SILENT
            }
        }
    };
    for _ in 0..6 {
        // Long enough for the others to lose their places; they are withheld for a second or two.
        meeting.run(Duration::from_millis(3_500), turn(0));
        meeting.run(Duration::from_millis(3_500), turn(6));
    }
    let withheld: u64 = meeting
        .world
        .shards
        .iter()
        .map(|shard| shard.counters().sounds_withheld)
        .sum();
    assert!(withheld > 500, "{withheld}");
    let (_, requests) = meeting.crossed_since(0);
    assert_eq!(requests, 0, "requests over the link");
    for (at, client) in &meeting.world.clients {
        let (missing, got) = client.missing_sound();
        assert!(
            missing == 0 && got > 5_000,
            "{missing} missing, {got} got on {at}"
        );
        assert_eq!(client.redundant_packets(), 0);
    }
    let bad = meeting.world.facts.iter().filter(|(_, fact)| {
        matches!(fact, ShardFact::QualityChanged { quality, .. } if *quality != ConnectionQuality::Excellent)
    });
    assert_eq!(bad.count(), 0);
}

#[test]
fn a_client_that_never_says_how_loud_it_is_is_heard_while_others_are_silent() {
    let mut meeting = Meeting::of(12);
    let eight_talk = |at| if at < 8 { Some(25) } else { SILENT };
    meeting.run(Duration::from_secs(3), eight_talk);
    let unsaid = |at| if at == 11 { None } else { eight_talk(at) };
    meeting.run(Duration::from_secs(3), unsaid);
    assert_eq!(meeting.heard(0, 11), 0, "eight talk, and it might be silent");
    meeting.run(Duration::from_secs(3), |at| if at == 11 { None } else { SILENT });
    assert!(meeting.heard(0, 11) > 0 && meeting.heard(1, 11) > 0);
}

#[test]
fn a_late_viewer_hears_a_voice_that_is_withheld_once_it_speaks() {
    let mut meeting = Meeting::of(12);
    let eight_talk = |at| if at < 8 { Some(25) } else { SILENT };
    meeting.run(Duration::from_secs(3), eight_talk);
    let viewers = [0, 1].map(|at| meeting.world.join(at));
    meeting.world.pass(Duration::from_millis(500));
    meeting.run(Duration::from_secs(1), eight_talk);
    assert_eq!(viewers.map(|viewer| meeting.heard(viewer, 11)), [0; 2]);
    meeting.run(
        Duration::from_secs(3),
        |at| if at == 11 { Some(25) } else { SILENT },
    );
    for viewer in viewers {
        assert!(meeting.heard(viewer, 11) > 40, "{}", meeting.heard(viewer, 11));
    }
}

#[test]
fn a_mute_yields_its_place_at_once() {
    let mut meeting = Meeting::of(12);
    let nine_talk = |at| if at < 9 { Some(25) } else { SILENT };
    meeting.run(Duration::from_secs(3), nine_talk);
    let unheard = (0..9).find(|at| meeting.heard(11, *at) == 0).unwrap();
    let muted = (unheard + 1) % 9;
    let (shard, client) = &meeting.world.clients[muted];
    let (shard, session, track) = (*shard, client.session, meeting.voices[muted].clone());
    let command = crate::shard::io::ShardCommand::SetTrackMuted {
        session,
        track,
        muted: true,
    };
    meeting.world.command(shard, command);
    meeting.step(nine_talk);
    meeting.world.pass(PACKET);
    let near = if shard == 0 { 10 } else { 11 };
    assert!(meeting.heard(near, unheard) > 0);
}

#[test]
fn a_room_with_no_more_sounds_than_are_forwarded_forwards_all_of_them_whole() {
    let mut meeting = Meeting::of(8);
    meeting.run(
        Duration::from_secs(4),
        |at| if at < 2 { Some(20) } else { SILENT },
    );
    meeting.world.pass(PACKET);
    for viewer in 0..8 {
        for voice in (0..8).filter(|voice| *voice != viewer) {
            assert_eq!(meeting.heard(viewer, voice), 200);
        }
    }
    let counters = [NODE_A, NODE_B].map(|node| meeting.world.shards[node.0 as usize - 1].counters());
    assert_eq!(counters.map(|counters| counters.sounds_withheld), [0; 2]);
}
