//! Viewers and publishers that ask for more than there is: each is limited by name, and nobody else in the room notices.

use super::world::{World, record};
use crate::rtc::testing::{PeerSrtp, RtpFields, connectivity_check, extension, payload_type, rtp_packet};
use crate::shard::io::{ShardCommand, ShardFact};
use crate::shard::limits::ShardLimits;
use crate::shard::testing::SimClient;
use relay_proto::id::{Layer, TrackSid};
use relay_proto::room::MediaKind;
use relay_proto::session::{AnnouncedTrack, TrackWish};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes of a picture packet: with one each 10 ms, 800 kbit/s.
const PICTURE_BYTES: usize = 1_000;

/// A room with a publisher, a viewer that behaves, and somebody who does not.
struct Room {
    world: World,
    publisher: usize,
    honest: usize,
    hostile: usize,
    voice: TrackSid,
    camera: TrackSid,
    sent: u64,
}

impl Room {
    fn new() -> Self {
        Self::with(|world| world.join(0))
    }

    fn with(hostile: impl FnOnce(&mut World) -> usize) -> Self {
        let mut world = World::new();
        let (publisher, honest) = (world.join(0), world.join(0));
        let hostile = hostile(&mut world);
        let voice = world.publish(publisher, MediaKind::Audio, &[]);
        let camera = world.publish(publisher, MediaKind::Video, &[]);
        let mut room = Self {
            world,
            publisher,
            honest,
            hostile,
            voice,
            camera,
            sent: 0,
        };
        room.rounds(100, |_| {});
        room
    }

    /// Rounds of 10 ms: the hostile one does its worst, the publisher sends a packet of sound and one of a picture.
    fn rounds(&mut self, rounds: u64, mut worst: impl FnMut(&mut Self)) {
        for _ in 0..rounds {
            worst(self);
            self.world.settle();
            let keyframe = self.sent.is_multiple_of(100);
            self.world.send(self.publisher, &self.voice, 0, true);
            self.world
                .send_sized(self.publisher, &self.camera, 0, keyframe, PICTURE_BYTES);
            self.sent += 1;
            self.world.pass(Duration::from_millis(10));
        }
    }

    /// The honest viewer has got every packet.
    fn assert_nobody_noticed(&self) {
        let heard = [&self.voice, &self.camera].map(|track| self.world.heard(self.honest, track));
        assert_eq!(heard, [self.sent; 2], "{:?}", self.world.shards[0].counters());
    }

    /// Gives the shard a compound of the hostile client.
    fn report(&mut self, compound: Vec<u8>) {
        let client = &mut self.world.clients[self.hostile].1;
        let from = client.address;
        let mut sealed = client.rtcp(compound);
        self.world.shards[0].handle_datagram(self.world.now, from, &mut sealed);
    }

    fn answer(&self) -> &str {
        let session = self.world.clients[self.hostile].1.session;
        let answers = self.world.facts.iter().rev().filter_map(|(_, fact)| match fact {
            ShardFact::OfferAnswered {
                session: whose, sdp, ..
            } if *whose == session => Some(sdp.as_str()),
            _ => None,
        });
        answers.into_iter().next().unwrap()
    }

    fn line(&self, begins: &str) -> String {
        let line = self.answer().lines().find_map(|line| line.strip_prefix(begins));
        line.unwrap().to_owned()
    }

    /// Streams the hostile client receives.
    fn streams(&self) -> Vec<u32> {
        let ssrcs = self
            .answer()
            .lines()
            .filter_map(|line| line.strip_prefix("a=ssrc:"));
        let mut ssrcs: Vec<u32> = ssrcs
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect();
        ssrcs.dedup();
        ssrcs
    }
}

#[test]
fn a_viewer_that_never_acknowledges_gets_less_and_less_and_nobody_else_does() {
    let mut room = Room::with(|world| {
        let now = world.now;
        world.enter(0, |session, address| SimClient::reporting(session, address, now))
    });
    room.rounds(3_000, |_| {});
    room.assert_nobody_noticed();
    let before = room.world.bytes_heard(room.hostile);
    room.rounds(500, |_| {});
    let after = room.world.bytes_heard(room.hostile);
    assert_eq!(
        after[&room.camera], before[&room.camera],
        "nothing is known of its path"
    );
    assert_eq!(
        room.world.heard(room.hostile, &room.voice),
        room.sent,
        "sound is never held back"
    );
}

#[test]
fn a_flood_of_nacks_is_repaired_up_to_the_limit_of_a_tick() {
    let mut room = Room::new();
    let streams = room.streams();
    let before = room.world.shards[0].counters();
    let mut number = 0_u16;
    room.rounds(200, |room| {
        for _ in 0..20 {
            for &ssrc in &streams {
                number = number.wrapping_add(401);
                let seqs: Vec<u16> = (0..300).map(|seq| number.wrapping_add(seq)).collect();
                room.report(PeerSrtp::nack(ssrc, &seqs));
            }
        }
    });
    room.assert_nobody_noticed();
    let counters = room.world.shards[0].counters();
    let most = u64::from(ShardLimits::default().max_repairs_per_tick) * 200;
    assert!(counters.repairs_out - before.repairs_out <= most, "{counters:?}");
    assert!(
        counters.repairs_refused - before.repairs_refused > 1_000_000,
        "{counters:?}"
    );
}

#[test]
fn a_flood_of_picture_requests_costs_a_keyframe_each_half_second() {
    let mut room = Room::new();
    let streams = room.streams();
    let before = room.world.shards[0].counters().keyframe_requests;
    let many: Vec<u32> = streams.iter().copied().cycle().take(150).collect();
    let mut number = 0_u8;
    room.rounds(500, |room| {
        number = number.wrapping_add(1);
        for &ssrc in &many[..50] {
            room.report(PeerSrtp::pli(ssrc));
            room.report(PeerSrtp::fir(&many, number));
        }
    });
    room.assert_nobody_noticed();
    let asked = room.world.shards[0].counters().keyframe_requests - before;
    assert!((5..=11).contains(&asked), "{asked} keyframes in five seconds");
}

#[test]
fn a_thousand_tracks_streams_and_sections_are_a_few() {
    let mut room = Room::new();
    let session = room.world.clients[room.hostile].1.session;
    for number in 0..1_000 {
        let sid = TrackSid(format!("TR_many{number}"));
        let track = AnnouncedTrack {
            cid: format!("cid-{sid}"),
            record: record(&sid, 100 + number, MediaKind::Audio),
        };
        let track = Box::new(track);
        room.world
            .command(0, ShardCommand::AnnounceTrack { session, track });
    }
    let client = &mut room.world.clients[room.hostile].1;
    for number in 0..300 {
        client.publish_audio(&format!("cid-TR_many{number}"));
    }
    room.world.offer(room.hostile);
    let most = ShardLimits::default().max_tracks_per_participant;
    assert_eq!(room.world.shards[0].counters().tracks, 2 + most as u64);
    // A mid of its own section, under a thousand SSRCs.
    let mid = b"7";
    room.rounds(100, |room| {
        let first = room.sent as u32 * 10;
        for ssrc in first..first + 10 {
            let fields = RtpFields {
                payload_type: payload_type::OPUS,
                marker: false,
                seq: 1,
                time: ssrc,
                ssrc: 0x7000_0000 + ssrc,
            };
            let packet = rtp_packet(fields, &[(extension::MID, mid)], &[7; 80]);
            let client = &mut room.world.clients[room.hostile].1;
            let from = client.address;
            let mut sealed = client.media(packet, 0).unwrap();
            room.world.shards[0].handle_datagram(room.world.now, from, &mut sealed);
        }
    });
    for _ in 0..2 {
        // More sections than an offer may have: refused as a whole.
        room.world.clients[room.hostile].1.add_sections(600, 0);
        room.world.offer(room.hostile);
        assert!(matches!(
            room.world.facts.last(),
            Some((0, ShardFact::OfferRejected { .. }))
        ));
    }
    room.rounds(100, |_| {});
    room.assert_nobody_noticed();
    let slot = room.world.shards[0].session_slots[&session];
    let refused = room.world.shards[0].members[slot as usize]
        .rtc
        .counters()
        .ssrcs_refused;
    assert!(refused >= 1_000 - 128, "{refused} streams refused");
}

#[test]
fn wishes_without_end_are_forgotten_and_cost_no_keyframes() {
    let mut room = Room::new();
    let session = room.world.clients[room.hostile].1.session;
    let before = room.world.shards[0].counters().keyframe_requests;
    let mut number = 0;
    room.rounds(200, |room| {
        let tracks = (0..100)
            .map(|of| TrackSid(format!("TR_none{}", number + of)))
            .collect();
        number += 100;
        let wanted = true;
        room.world.command(
            0,
            ShardCommand::SetSubscription {
                session,
                tracks,
                wanted,
            },
        );
        for enabled in [false, true] {
            let wish = TrackWish {
                enabled,
                max_layer: Layer(2),
            };
            let tracks = vec![room.camera.clone(); 50];
            room.world.command(
                0,
                ShardCommand::SetTrackWish {
                    session,
                    tracks,
                    wish,
                },
            );
        }
    });
    room.assert_nobody_noticed();
    let asked = room.world.shards[0].counters().keyframe_requests - before;
    assert!(asked <= 6, "{asked} keyframes in two seconds");
}

#[test]
fn checks_from_thousands_of_addresses_leave_eight() {
    let mut room = Room::new();
    let (ufrag, password) = (room.line("a=ice-ufrag:"), room.line("a=ice-pwd:"));
    let mut number = 0_u64;
    room.rounds(100, |room| {
        for _ in 0..50 {
            number += 1;
            let from = SocketAddr::from(([172, 16, (number >> 8) as u8, number as u8], 9));
            let mut check = connectivity_check(number, &ufrag, &password, true);
            room.world.shards[0].handle_datagram(room.world.now, from, &mut check);
        }
    });
    room.assert_nobody_noticed();
    let shard = &mut room.world.shards[0];
    let before = shard.counters().datagrams_unknown;
    for number in 1..=5_000_u64 {
        let from = SocketAddr::from(([172, 16, (number >> 8) as u8, number as u8], 9));
        shard.handle_datagram(room.world.now, from, &mut [128; 40]);
    }
    assert_eq!(shard.counters().datagrams_unknown - before, 5_000 - 8);
}

#[test]
fn a_publisher_that_floods_is_cut_and_its_leaps_are_nobodys() {
    let mut room = Room::new();
    let own = room.world.publish(room.hostile, MediaKind::Video, &[]);
    let before = room.world.shards[0].counters().packets_flooded;
    room.rounds(20, |room| {
        for number in 0..2_000_u32 {
            let cid = format!("cid-{own}");
            let client = &mut room.world.clients[room.hostile].1;
            let from = client.address;
            let mut packet = client.packet(&cid, 0, number % 100 == 0, &[7; 1_000]).unwrap();
            room.world.shards[0].handle_datagram(room.world.now, from, &mut packet);
        }
    });
    let most = u64::from(ShardLimits::default().max_packets_per_tick);
    let flooded = room.world.shards[0].counters().packets_flooded - before;
    assert_eq!(flooded, 20 * (2_000 - most));
    // Leaps of number and time under its own SSRC.
    let mut seq = 5_000_u16;
    room.rounds(100, |room| {
        for leap in [20_000_u16, 30_000, 1, 40_000, 65_000] {
            seq = seq.wrapping_add(leap);
            let fields = RtpFields {
                payload_type: payload_type::VP8,
                marker: true,
                seq,
                time: u32::from(seq) << 16,
                ssrc: 1_070,
            };
            let client = &mut room.world.clients[room.hostile].1;
            let from = client.address;
            let packet = rtp_packet(fields, &[(extension::MID, b"7")], &[0x10, 0, 1, 2]);
            let mut sealed = client.media(packet, 0).unwrap();
            room.world.shards[0].handle_datagram(room.world.now, from, &mut sealed);
        }
    });
    room.assert_nobody_noticed();
}
