//! Sound over lines that lose packets in bursts: repaired on the way up, on the way down, and to another node.

use super::world::{World, record};
use crate::rtc::testing::PeerSrtp;
use crate::shard::io::{ShardCommand, ShardFact};
use crate::shard::testing::SimClient;
use relay_proto::id::TrackSid;
use relay_proto::room::MediaKind;
use relay_proto::session::AnnouncedTrack;
use std::time::Duration;

/// Loss in bursts of three packets in the mean (Gilbert), the same for the same seed.
#[derive(Debug)]
pub(super) struct Bursts {
    per_mille: u32,
    state: u32,
    is_losing: bool,
}

impl Bursts {
    pub(super) const fn new(per_mille: u32, seed: u32) -> Self {
        Self {
            per_mille,
            state: seed,
            is_losing: false,
        }
    }

    /// Whether the next packet is lost.
    pub(super) fn loses(&mut self) -> bool {
        // A linear congruential generator; its upper bits are good enough for a line.
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let draw = (self.state >> 8) % 3_000;
        let bound = if self.is_losing {
            2_000
        } else {
            self.per_mille * 1_000 / (1_000 - self.per_mille)
        };
        self.is_losing = draw < bound;
        self.is_losing
    }
}

impl World {
    /// Speaks for `packets` times 20 ms; the number that `uplink` loses on the way to the node.
    fn speak(&mut self, speaker: usize, voice: &TrackSid, packets: usize, mut uplink: Option<Bursts>) -> u64 {
        let mut lost = 0;
        for _ in 0..packets {
            if uplink.as_mut().is_some_and(Bursts::loses) {
                lost += 1;
                let client = &mut self.clients[speaker].1;
                client
                    .packet(&format!("cid-{voice}"), 0, true, b"lost on the way up")
                    .unwrap();
            } else {
                self.send(speaker, voice, 0, true);
            }
            self.pass(Duration::from_millis(20));
        }
        lost
    }

    fn join_repairing(&mut self, at: usize) -> usize {
        self.join_behind_as(at, 5_000_000, SimClient::repairing)
    }

    fn join_lossy(&mut self, at: usize, per_mille: u32, seed: u32) -> usize {
        let index = self.join_repairing(at);
        let line = self.lines.get_mut(&self.clients[index].1.address).unwrap();
        line.loss = Some(Bursts::new(per_mille, seed));
        index
    }
}

#[test]
fn a_viewer_behind_a_line_that_loses_gets_nearly_all_sound_also_on_another_node() {
    for (per_mille, seed) in [(20, 1), (50, 2), (50, 3)] {
        let mut world = World::new();
        let speaker = world.join(0);
        let near = world.join_lossy(0, per_mille, seed);
        let far = world.join_lossy(1, per_mille, seed + 100);
        let voice = world.publish(speaker, MediaKind::Audio, &[]);
        world.speak(speaker, &voice, 2_000, None);
        for (viewer, shard) in [(near, 0), (far, 1)] {
            let repairs = world.shards[shard].counters().repairs_out;
            assert!(
                repairs * 4 > u64::from(per_mille),
                "{repairs} repairs at {per_mille} in 1,000"
            );
            let (missing, got) = world.clients[viewer].1.missing_sound();
            assert!(got > 1_900, "{got} packets");
            assert!(missing * 200 <= got, "{missing} of {got} missing after repair");
        }
    }
}

#[test]
fn a_speaker_behind_a_line_that_loses_is_heard_without_holes_on_both_nodes() {
    let mut world = World::new();
    let speaker = world.join_repairing(0);
    let viewers = [world.join_repairing(0), world.join_repairing(1)];
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let lost = world.speak(speaker, &voice, 1_000, Some(Bursts::new(50, 7)));
    assert!(lost > 25, "{lost} lost on the way up");
    world.speak(speaker, &voice, 20, None);
    for viewer in viewers {
        let (missing, got) = world.clients[viewer].1.missing_sound();
        assert!(missing == 0 && got > 1_000, "{missing} missing, {got} heard");
    }
}

#[test]
fn a_client_that_does_not_take_part_in_repair_of_sound_is_not_asked_to() {
    let mut world = World::new();
    let speaker = world.join_behind_as(0, 5_000_000, |client| client.without_sound_repair().repairing());
    let viewer = world.join_repairing(0);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.speak(speaker, &voice, 10, None);
    let lost = world.speak(speaker, &voice, 100, Some(Bursts::new(100, 5)));
    world.speak(speaker, &voice, 20, None);
    assert!(lost > 0);
    assert_eq!(world.clients[viewer].1.missing_sound().0, lost);
}

#[test]
fn a_repair_of_sound_is_the_same_datagram_again() {
    let mut world = World::new();
    let (speaker, viewer) = (world.join(0), world.join(0));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.send(speaker, &voice, 0, true);
    let client = &mut world.clients[speaker].1;
    let from = client.address;
    let mut packet = client.packet(&format!("cid-{voice}"), 0, true, b"once").unwrap();
    world.shards[0].handle_datagram(world.now, from, &mut packet);
    let mut first = Vec::new();
    world.shards[0].poll_transmit(world.now, &mut first).unwrap();
    let seq = u16::from_be_bytes([first[2], first[3]]);
    let ssrc = u32::from_be_bytes([first[8], first[9], first[10], first[11]]);
    let client = &mut world.clients[viewer].1;
    let to = client.address;
    let mut nack = client.rtcp(PeerSrtp::nack(ssrc, &[seq]));
    world.shards[0].handle_datagram(world.now, to, &mut nack);
    let mut again = Vec::new();
    world.shards[0].poll_transmit(world.now, &mut again).unwrap();
    assert_eq!(first, again);
}

#[test]
fn what_a_client_says_of_its_sound_is_what_it_is_answered() {
    let mut world = World::new();
    let speaker = world.join(0);
    let sid = TrackSid("TR_music".into());
    let client = &mut world.clients[speaker].1;
    client.publish_audio("music");
    let session = client.session;
    let mut music = record(&sid, speaker, MediaKind::Audio);
    music.client.stereo = true;
    let track = Box::new(AnnouncedTrack {
        cid: "music".into(),
        record: music,
    });
    world.command(0, ShardCommand::AnnounceTrack { session, track });
    world.offer(speaker);
    let answers = world.facts.iter().rev().filter_map(|(_, fact)| match fact {
        ShardFact::OfferAnswered { sdp, .. } => Some(sdp),
        _ => None,
    });
    let answer = answers.into_iter().next().unwrap();
    assert!(answer.contains("useinbandfec=1;stereo=1\r\n"), "{answer}");
}

#[test]
fn sound_repeats_itself_where_packets_are_lost_and_only_there() {
    let mut world = World::new();
    let speaker = world.join(0);
    let lossy = world.join_behind_as(0, 5_000_000, SimClient::reporting_losses);
    let clean = world.join_behind_as(0, 5_000_000, SimClient::reporting_losses);
    let line = world.lines.get_mut(&world.clients[lossy].1.address).unwrap();
    line.loss = Some(Bursts::new(50, 11));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.speak(speaker, &voice, 2_000, None);
    let line = world.lines.get(&world.clients[lossy].1.address).unwrap();
    let (lost, (missing, _)) = (line.lost, world.clients[lossy].1.missing_sound());
    assert!(lost > 60, "{lost} lost");
    assert!(missing * 10 < lost * 6, "{missing} of {lost} lost are missing");
    assert!(world.clients[lossy].1.redundant_packets() > 1_500);
    assert_eq!(world.clients[clean].1.redundant_packets(), 0);
    assert_eq!(world.clients[clean].1.missing_sound().0, 0);
}

#[test]
fn what_its_publisher_will_not_have_repeated_is_not() {
    let mut world = World::new();
    let speaker = world.join(0);
    let viewer = world.join_behind_as(0, 5_000_000, SimClient::reporting_losses);
    let line = world.lines.get_mut(&world.clients[viewer].1.address).unwrap();
    line.loss = Some(Bursts::new(50, 11));
    let voice = world.publish_as(speaker, MediaKind::Audio, &[], |record| {
        record.client.encryption = 1
    });
    world.speak(speaker, &voice, 500, None);
    assert!(world.clients[viewer].1.missing_sound().0 > 10);
    assert_eq!(world.clients[viewer].1.redundant_packets(), 0);
}

#[test]
fn what_a_speaker_repeats_fills_the_holes_on_both_nodes() {
    let mut world = World::new();
    let speaker = world.join_behind_as(0, 5_000_000, SimClient::repeating);
    let viewers = [world.join_repairing(0), world.join_repairing(1)];
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let lost = world.speak(speaker, &voice, 1_000, Some(Bursts::new(50, 7)));
    world.speak(speaker, &voice, 20, None);
    let recovered = world.shards[0].counters().sounds_recovered;
    assert!(recovered * 3 > lost, "{recovered} of {lost} recovered");
    for viewer in viewers {
        let client = &world.clients[viewer].1;
        assert_eq!(client.missing_sound().0, lost - recovered);
        assert_eq!(client.redundant_packets(), 0, "redundancy is of one hop");
    }
}

#[test]
fn what_a_speaker_repeats_counts_against_the_limit_of_its_packets() {
    let mut world = World::new();
    let speaker = world.join_behind_as(0, 5_000_000, SimClient::repeating);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.speak(speaker, &voice, 3, None);
    world.shards[0].config.limits.max_packets_per_tick = 6;
    world.pass(Duration::from_millis(10));
    let before = world.shards[0].counters();
    for _ in 0..3 {
        for _ in 0..2 {
            let client = &mut world.clients[speaker].1;
            client
                .packet(&format!("cid-{voice}"), 0, true, b"never sent")
                .unwrap();
        }
        world.send(speaker, &voice, 0, true);
    }
    let after = world.shards[0].counters();
    assert_eq!(after.sounds_recovered - before.sounds_recovered, 4);
    assert_eq!(after.packets_flooded - before.packets_flooded, 1);
}
