//! Any order of commands: whatever happens, in the end everybody receives what he wants and nothing else.

use super::world::{NODE_A, NODE_B, World, record};
use crate::shard::io::{ShardCommand, ShardFact};
use relay_proto::id::{Epoch, Layer, NodeId, ParticipantSid, TrackSid};
use relay_proto::room::{Codec, MediaKind, SealKey, TrackRecord};
use relay_proto::session::TrackWish;
use std::collections::BTreeMap;
use std::time::Duration;

/// What should be the case.
struct Model {
    world: World,
    random: u64,
    /// Who is there.
    people: Vec<usize>,
    /// Publisher, track, kind, muted.
    tracks: Vec<(usize, TrackSid, MediaKind, bool)>,
    /// What a viewer has said of a track: subscribed, shown.
    said: BTreeMap<(usize, TrackSid), (bool, bool)>,
    log: Vec<String>,
}

impl Model {
    fn below(&mut self, bound: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % bound
    }

    fn node(&self, person: usize) -> usize {
        self.world.clients[person].0
    }

    fn step(&mut self) {
        let what = self.below(10);
        let person = self.below(self.people.len().max(1));
        let track = self.below(self.tracks.len().max(1));
        match what {
            0 if self.people.len() < 6 => self.join(),
            1 if self.people.len() > 2 => self.leave(person),
            2 | 3 if !self.people.is_empty() => self.publish(self.people[person]),
            4 if !self.tracks.is_empty() => self.unpublish(track),
            5 if !self.tracks.is_empty() => self.mute(track),
            6 | 7 if !self.tracks.is_empty() && !self.people.is_empty() => {
                self.say(self.people[person], track, what == 6);
            }
            8 if !self.tracks.is_empty() => self.flap_track(track),
            9 => self.flap_origin(person % 2),
            _ => self.join(),
        }
        let pause = [0, 0, 10, 70, 300][self.below(5)];
        self.world.pass(Duration::from_millis(pause));
        self.send_all(self.random.is_multiple_of(3));
    }

    fn join(&mut self) {
        let node = self.below(2);
        let person = self.world.join(node);
        self.log.push(format!("{person} joins {node}"));
        self.people.push(person);
    }

    fn leave(&mut self, at: usize) {
        let person = self.people.remove(at);
        self.log.push(format!("{person} leaves"));
        let (node, session) = (self.node(person), self.world.clients[person].1.session);
        self.world.command(node, ShardCommand::CloseSession { session });
        let (gone, stay) = std::mem::take(&mut self.tracks)
            .into_iter()
            .partition(|(publisher, ..)| *publisher == person);
        self.tracks = stay;
        for (publisher, sid, kind, _) in gone {
            self.tell_gone(publisher, &sid, kind);
        }
    }

    fn publish(&mut self, person: usize) {
        let kind = [MediaKind::Audio, MediaKind::Video][self.below(2)];
        let sid = TrackSid(format!("TR_{person}_{kind:?}"));
        if self.log.contains(&format!("{sid} is published")) {
            return;
        }
        self.log.push(format!("{sid} is published"));
        let sid = self.world.publish(person, kind, rids(kind));
        self.tracks.push((person, sid, kind, false));
    }

    fn unpublish(&mut self, at: usize) {
        let (publisher, sid, kind, _) = self.tracks.remove(at);
        self.log.push(format!("{sid} is unpublished"));
        self.world.clients[publisher].1.unpublish(&format!("cid-{sid}"));
        self.world.offer(publisher);
        self.tell_gone(publisher, &sid, kind);
    }

    fn mute(&mut self, at: usize) {
        let (publisher, sid, _, muted) = &mut self.tracks[at];
        *muted = !*muted;
        let (publisher, track, muted) = (*publisher, sid.clone(), *muted);
        self.log.push(format!("{track} muted: {muted}"));
        let (node, session) = (self.node(publisher), self.world.clients[publisher].1.session);
        let command = ShardCommand::SetTrackMuted {
            session,
            track,
            muted,
        };
        self.world.command(node, command);
        self.tell(at);
    }

    fn say(&mut self, viewer: usize, at: usize, of_section: bool) {
        let sid = self.tracks[at].1.clone();
        let said = self.said.entry((viewer, sid.clone())).or_insert((true, true));
        let (session, tracks) = (self.world.clients[viewer].1.session, vec![sid.clone()]);
        let command = if of_section {
            said.0 = !said.0;
            ShardCommand::SetSubscription {
                session,
                tracks,
                wanted: said.0,
            }
        } else {
            said.1 = !said.1;
            let wish = TrackWish {
                enabled: said.1,
                max_layer: Layer(2),
            };
            ShardCommand::SetTrackWish {
                session,
                tracks,
                wish,
            }
        };
        self.log.push(format!("{viewer} says of {sid}: {said:?}"));
        self.world.command(self.node(viewer), command);
    }

    /// The other node hears of a track again, as after a short cut of the link.
    fn flap_track(&mut self, at: usize) {
        let (publisher, sid, kind, _) = self.tracks[at].clone();
        self.log.push(format!("{sid} goes and comes"));
        self.tell_gone(publisher, &sid, kind);
        self.tell(at);
    }

    fn flap_origin(&mut self, node: usize) {
        self.log.push(format!("{node} loses the other node for a moment"));
        let origin = [NODE_B, NODE_A][node];
        let room = || "r".into();
        self.world
            .command(node, ShardCommand::DropOrigin { room: room(), origin });
        let join = ShardCommand::JoinOrigin {
            room: room(),
            origin,
            epoch: Epoch(5),
            seal_key: SealKey([1 - node as u8; 32]),
        };
        self.world.command(node, join);
        for at in 0..self.tracks.len() {
            let (publisher, sid, ..) = self.tracks[at].clone();
            if self.node(publisher) != node {
                self.forget_said(&sid, node);
                self.tell(at);
            }
        }
        self.tell_demand_again(origin, node);
    }

    /// What a node that was lost does when it is linked again.
    fn tell_demand_again(&mut self, peer: NodeId, to: usize) {
        let mut demands = BTreeMap::new();
        for (at, fact) in &self.world.facts {
            if let ShardFact::DemandChanged { track, layers, .. } = fact
                && *at != to
            {
                demands.insert(*track, *layers);
            }
        }
        for (track, layers) in demands {
            let command = ShardCommand::SetPeerDemand { peer, track, layers };
            self.world.command(to, command);
        }
    }

    fn tell(&mut self, at: usize) {
        let (publisher, sid, kind, muted) = self.tracks[at].clone();
        let codec = [Codec::Opus, Codec::Vp8][usize::from(kind == MediaKind::Video)];
        let node = self.node(publisher);
        let command = ShardCommand::UpsertRemoteTrack {
            room: "r".into(),
            origin: [NODE_A, NODE_B][node],
            participant: ParticipantSid(format!("PA_{}", publisher + 1)),
            track: Box::new(TrackRecord {
                codec: Some(codec),
                muted,
                ..record(&sid, publisher, kind)
            }),
        };
        self.world.command(1 - node, command);
    }

    fn tell_gone(&mut self, publisher: usize, sid: &TrackSid, kind: MediaKind) {
        let node = self.node(publisher);
        let command = ShardCommand::RemoveRemoteTrack {
            room: "r".into(),
            origin: [NODE_A, NODE_B][node],
            track: record(sid, publisher, kind).alias,
        };
        self.world.command(1 - node, command);
        self.forget_said(sid, 1 - node);
    }

    /// What was said of a track is forgotten where it ends.
    fn forget_said(&mut self, sid: &TrackSid, node: usize) {
        let clients = &self.world.clients;
        self.said
            .retain(|(viewer, track), _| track != sid || clients[*viewer].0 != node);
    }

    fn send_all(&mut self, keyframe: bool) {
        for (publisher, sid, kind, _) in self.tracks.clone() {
            self.send(publisher, &sid, kind, keyframe);
        }
    }

    fn send(&mut self, publisher: usize, sid: &TrackSid, kind: MediaKind, keyframe: bool) {
        for stream in 0..rids(kind).len().max(1) {
            self.world.send(publisher, sid, stream, keyframe);
        }
    }

    fn check(&mut self, seed: u64) {
        self.world.pass(Duration::from_secs(8));
        for round in 0..3 {
            self.send_all(round < 2);
            self.world.pass(Duration::from_millis(100));
        }
        for (publisher, sid, kind, muted) in self.tracks.clone() {
            for viewer in self.people.clone() {
                let said = self.said.get(&(viewer, sid.clone())).copied();
                let (subscribed, shown) = said.unwrap_or((true, true));
                let before = self.world.heard(viewer, &sid);
                self.send(publisher, &sid, kind, false);
                let heard = self.world.heard(viewer, &sid) - before;
                let expected = !muted && subscribed && shown && viewer != publisher;
                assert_eq!(
                    heard,
                    u64::from(expected),
                    "seed {seed}: {viewer} of {sid} after {:#?}",
                    self.log
                );
            }
        }
    }
}

const fn rids(kind: MediaKind) -> &'static [&'static str] {
    match kind {
        MediaKind::Audio => &[],
        MediaKind::Video => &["q", "h", "f"],
    }
}

#[test]
fn in_the_end_everybody_receives_what_he_wants_whatever_was_ordered_before() {
    for seed in 0..100 {
        let mut model = Model {
            world: World::new(),
            random: seed,
            people: Vec::new(),
            tracks: Vec::new(),
            said: BTreeMap::new(),
            log: Vec::new(),
        };
        for _ in 0..30 {
            model.step();
        }
        model.check(seed);
    }
}
