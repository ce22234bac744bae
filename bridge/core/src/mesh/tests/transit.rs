//! Nodes between others: what they ask on behalf of those behind them, for how long, and what they are not made to do.

use super::super::MeshCore;
use super::super::config::MeshConfig;
use super::super::io::{LinkDirection, LinkId, MeshOutput};
use super::refusals::{LINK, Scene};
use super::{beginning, join, ms, net_of, seen};
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use relay_proto::control::{ControlMessage, DetourMessage, Hello, TrackDemand};
use relay_proto::datagram::{Header, Kind, encode_probe};
use relay_proto::id::{Epoch, LayerSet, NodeId, TrackAlias};
use relay_proto::row::{HostFacts, LinkFacts, Row, RowKey, RowValue, RowVersion, TransitFacts};
use relay_proto::unit::{Micros, PartsPerMillion, UnixMillis};
use relay_proto::version::Features;
use std::time::{Duration, Instant};

/// `fra` between its peers `sin` (link 1) and `syd` (link 2); `nyc` is behind `sin` and hosts room `q`. `fra` hosts nothing.
struct Between {
    core: MeshCore,
    now: Instant,
}

const SIN: LinkId = LinkId(1);
const SYD: LinkId = LinkId(2);
const PER: LinkId = LinkId(3);

fn row(owner: &str, counter: u64, key: RowKey, value: RowValue) -> Row {
    let version = RowVersion {
        incarnation: 7,
        counter,
    };
    Row {
        owner: NodeId::of(owner),
        key,
        version,
        value,
    }
}

fn link_row(owner: &str, counter: u64, peer: &str) -> Row {
    let facts = LinkFacts {
        peer: NodeId::of(peer),
        up: true,
        rtt: Micros(50_000),
        loss: PartsPerMillion(0),
    };
    row(owner, counter, RowKey::Link(facts.peer), RowValue::Link(facts))
}

fn transit_row(owner: &str) -> Row {
    let facts = TransitFacts {
        features: Features::OURS,
        stretch: PartsPerMillion(1_200_000),
        public_key: [9; 32],
    };
    row(owner, 1, RowKey::Transit, RowValue::Transit(facts))
}

fn host_row(counter: u64, epoch: Option<u32>) -> Row {
    let room = "q".into();
    let value = epoch.map_or(RowValue::Gone, |epoch| {
        RowValue::Host(HostFacts {
            room: "q".into(),
            epoch: Epoch(epoch),
            participants: 1,
        })
    });
    row("nyc", counter, RowKey::Host(room), value)
}

impl Between {
    fn new(max_transit_demands: usize) -> Self {
        let mut config = MeshConfig::named("fra");
        config.limits.max_transit_demands = max_transit_demands;
        Self::with(config)
    }

    fn with(mut config: MeshConfig) -> Self {
        let now = beginning();
        config.limits.max_detour_bytes_per_second = 1_000;
        config.unsigned_rows = true;
        let core = MeshCore::new(config, [1; 32], now, UnixMillis(1_000_000));
        let mut between = Self { core, now };
        for (link, name) in [(SIN, "sin"), (SYD, "syd")] {
            between.link(link, name);
        }
        let rows = vec![
            link_row("sin", 3, "nyc"),
            link_row("nyc", 2, "sin"),
            transit_row("nyc"),
            host_row(3, Some(5)),
        ];
        between.hear(SIN, ControlMessage::Rows(rows));
        between.outputs();
        between
    }

    fn link(&mut self, link: LinkId, name: &str) {
        self.core.handle_link_up(self.now, link, LinkDirection::Accepted);
        self.hear(
            link,
            ControlMessage::Hello(Hello {
                newest_version: 1,
                oldest_version: 1,
                features: Features::OURS,
                name: name.into(),
                incarnation: 7,
                software: String::new(),
            }),
        );
        self.hear(link, ControlMessage::RowDigest(Vec::new()));
        self.hear(
            link,
            ControlMessage::Rows(vec![transit_row(name), link_row(name, 2, "fra")]),
        );
    }

    fn hear(&mut self, link: LinkId, message: ControlMessage) {
        self.core.handle_control(self.now, link, message);
    }

    fn outputs(&mut self) -> Vec<MeshOutput> {
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    fn want(&mut self, link: LinkId, tracks: &[u32], layers: u8) {
        let tracks = tracks.iter().map(|track| TrackDemand {
            track: TrackAlias(*track),
            layers: LayerSet(layers),
        });
        let demand = ControlMessage::TransitDemand {
            origin: NodeId::of("nyc"),
            room: "q".into(),
            epoch: Epoch(5),
            goes_on: false,
            tracks: tracks.collect(),
        };
        self.hear(link, demand);
    }

    /// Lets time pass; all peers answer every ping. Answers everything else that was put out.
    fn pass(&mut self, time: Duration) -> Vec<MeshOutput> {
        self.pass_without(time, None)
    }

    /// The same, but for a link that is silent.
    fn pass_without(&mut self, time: Duration, silent: Option<LinkId>) -> Vec<MeshOutput> {
        let end = self.now + time;
        let mut others = Vec::new();
        while let Some((at, _)) = self.core.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            for output in self.outputs() {
                let MeshOutput::SendDatagram { link, bytes } = &output else {
                    others.push(output);
                    continue;
                };
                let (header, body) = Header::decode(bytes).unwrap();
                if silent == Some(*link) {
                    continue;
                }
                let name = match *link {
                    SIN => "sin",
                    SYD => "syd",
                    _ => "per",
                };
                let peer = NodeId::of(name);
                let pong = encode_probe(Kind::Pong, peer, header.seq.0, body.try_into().unwrap());
                self.core.handle_probe(self.now, *link, &pong);
            }
        }
        self.now = end;
        others
    }
}

/// What was asked of a peer, by track.
fn asked(outputs: &[MeshOutput], of: LinkId) -> Vec<(u32, u8)> {
    let demands = outputs.iter().filter_map(|output| match output {
        MeshOutput::SendControl { link, message } if *link == of => match &**message {
            ControlMessage::TransitDemand { tracks, .. } => Some(tracks.clone()),
            _ => None,
        },
        _ => None,
    });
    demands
        .flatten()
        .map(|demand| (demand.track.0, demand.layers.0))
        .collect()
}

/// Which tracks shards were told to send on to `syd`, or no more.
fn sent_on(outputs: &[MeshOutput]) -> Vec<(u32, u8)> {
    sent_on_to(outputs, "syd")
}

fn sent_on_to(outputs: &[MeshOutput], name: &str) -> Vec<(u32, u8)> {
    let told = outputs.iter().filter_map(|output| match output {
        MeshOutput::ToShard {
            command: ShardCommand::SetChild {
                track, child, layers, ..
            },
            ..
        } if *child == NodeId::of(name) => Some((track.0, layers.0)),
        _ => None,
    });
    told.collect()
}

#[test]
fn what_a_node_wants_through_us_is_asked_of_our_parent_and_taken_back_with_it() {
    let mut between = Between::new(100);
    between.want(SYD, &[3, 4], 0b101);
    let outputs = between.outputs();
    assert_eq!(asked(&outputs, SIN), [(3, 0b101), (4, 0b101)]);
    assert_eq!(sent_on(&outputs), [(3, 0b101), (4, 0b101)]);
    between.want(SYD, &[3], 0);
    let outputs = between.outputs();
    assert_eq!(
        (asked(&outputs, SIN), sent_on(&outputs)),
        (vec![(3, 0)], vec![(3, 0)])
    );
    between.core.handle_link_down(between.now, SYD);
    assert_eq!(asked(&between.outputs(), SIN), [(4, 0)]);
    assert!(between.core.view().trees.is_empty());
}

#[test]
fn what_only_passes_through_is_the_passing_shards_and_it_knows_the_ways() {
    let mut config = MeshConfig::named("fra");
    config.has_passing_shard = true;
    let mut between = Between::with(config);
    between.core.handle_link_mtu(between.now, SYD, 1_300);
    between.want(SYD, &[3], 1);
    let (mut told, mut routed) = (Vec::new(), Vec::new());
    for output in between.outputs() {
        match output {
            MeshOutput::ToShard { shard, command } => told.push((shard, command)),
            MeshOutput::RouteTrack { shards, .. } => routed.push(shards),
            _ => {}
        }
    }
    assert_eq!(routed.last(), Some(&vec![ShardId::PASSING]));
    assert!(told.iter().any(|(shard, command)| *shard == ShardId::PASSING
        && matches!(
            command,
            ShardCommand::SetChild {
                track: TrackAlias(3),
                ..
            }
        )));
    let way = |shard: ShardId| {
        told.iter().any(|(to, command)| {
            *to == shard
                && matches!(
                    command,
                    ShardCommand::SetRoute {
                        max_datagram_bytes: 1_300,
                        ..
                    }
                )
        })
    };
    assert!(way(ShardId::PASSING) && way(ShardId(0)));
    assert!(
        !told
            .iter()
            .any(|(shard, command)| *shard == ShardId(0) && matches!(command, ShardCommand::SetChild { .. }))
    );
}

#[test]
fn a_node_that_falls_silent_wants_nothing_any_more() {
    let mut between = Between::new(100);
    between.want(SYD, &[3], 1);
    between.outputs();
    let refreshed = between.pass(Duration::from_secs(6));
    assert_eq!(asked(&refreshed, SIN), [(3, 1)], "we do not fall silent");
    between.want(SYD, &[3], 1);
    between.pass(Duration::from_secs(15));
    assert_eq!(between.core.view().trees.len(), 1);
    let forgotten = between.pass(Duration::from_secs(12));
    assert_eq!(sent_on(&forgotten), [(3, 0)]);
    assert_eq!(asked(&forgotten, SIN).last(), Some(&(3, 0)));
    assert!(between.core.view().trees.is_empty());
}

#[test]
fn what_is_wanted_through_us_is_bounded() {
    // Of four, one node has half.
    let mut between = Between::new(4);
    between.want(SYD, &[3, 4, 5, 6], 1);
    assert_eq!(asked(&between.outputs(), SIN), [(3, 1), (4, 1)]);
    assert_eq!(between.core.view().counters.transit_demands_refused, 2);
    between.want(SYD, &[3], 0);
    between.want(SYD, &[5], 1);
    assert_eq!(asked(&between.outputs(), SIN), [(3, 0), (5, 1)]);
}

#[test]
fn nothing_is_asked_of_a_node_that_asks_us_for_the_same() {
    let mut between = Between::new(100);
    between.want(SYD, &[3], 1);
    between.outputs();
    between.want(SIN, &[3], 1);
    assert_eq!(asked(&between.outputs(), SIN), [(3, 0)], "there is no third way");
    between.want(SIN, &[3], 0);
    assert_eq!(
        asked(&between.pass(Duration::from_secs(6)), SIN).last(),
        Some(&(3, 1))
    );
}

#[test]
fn the_trees_of_an_origin_end_with_its_epoch() {
    let mut between = Between::new(100);
    between.want(SYD, &[3], 1);
    between.outputs();
    between.hear(SIN, ControlMessage::Rows(vec![host_row(4, Some(6))]));
    assert_eq!(sent_on(&between.outputs()), [(3, 0)]);
    between.want(SYD, &[3], 1);
    assert!(
        asked(&between.outputs(), SIN).is_empty(),
        "it speaks of the old epoch"
    );
    assert_eq!(between.core.view().counters.demands_ignored, 1);
}

#[test]
fn an_invented_epoch_neither_ends_a_tree_nor_keeps_others_out_of_it() {
    let mut between = Between::new(100);
    let invented = |epoch| ControlMessage::TransitDemand {
        origin: NodeId::of("nyc"),
        room: "q".into(),
        epoch: Epoch(epoch),
        goes_on: false,
        tracks: vec![TrackDemand {
            track: TrackAlias(9),
            layers: LayerSet(1),
        }],
    };
    between.hear(SIN, invented(u32::MAX));
    between.want(SYD, &[3], 1);
    assert_eq!(asked(&between.outputs(), SIN).last(), Some(&(3, 1)));
    between.hear(SIN, invented(u32::MAX));
    assert!(sent_on(&between.outputs()).is_empty());
    assert_eq!(between.core.view().trees.len(), 1);
    assert_eq!(between.core.view().counters.demands_ignored, 1);
}

#[test]
fn a_peer_that_does_not_speak_of_trees_is_asked_as_ever_and_told_of_none() {
    let mut scene = Scene::new();
    let old = LinkId(9);
    scene.core.handle_link_up(scene.now, old, LinkDirection::Accepted);
    let hear = |scene: &mut Scene, message| scene.core.handle_control(scene.now, old, message);
    hear(
        &mut scene,
        ControlMessage::Hello(Hello {
            newest_version: 1,
            oldest_version: 1,
            features: Features(Features::OURS.0 & !Features::TREES.0),
            name: "old".into(),
            incarnation: 7,
            software: String::new(),
        }),
    );
    hear(&mut scene, ControlMessage::RowDigest(Vec::new()));
    let told = scene.outputs();
    let rows = told.iter().filter_map(|output| match output {
        MeshOutput::SendControl { link, message } if *link == old => match &**message {
            ControlMessage::Rows(rows) => Some(rows.clone()),
            _ => None,
        },
        _ => None,
    });
    let keys: Vec<RowKey> = rows.flatten().map(|row| row.key).collect();
    assert!(
        keys.contains(&RowKey::Node) && !keys.contains(&RowKey::Transit),
        "{keys:?}"
    );
    let mut ben = super::refusals::somebody("old", 1, "ben");
    let track =
        crate::shard::testing::bare_track("TR_1".into(), TrackAlias(7), relay_proto::room::MediaKind::Audio);
    ben.tracks = vec![relay_proto::room::TrackRecord {
        codec: Some(relay_proto::room::Codec::Opus),
        ..track
    }];
    let snapshot = relay_proto::room::RoomEvent::Snapshot {
        seal_key: relay_proto::room::SealKey([2; 32]),
        participants: vec![ben],
    };
    let (room, epoch) = ("r".into(), Epoch(5));
    hear(
        &mut scene,
        ControlMessage::Room(relay_proto::room::RoomMessage {
            room,
            epoch,
            event: snapshot,
        }),
    );
    scene.outputs();
    let (origin, track, layers) = (NodeId::of("old"), TrackAlias(7), LayerSet(1));
    let wanted = ShardFact::DemandChanged {
        room: "r".into(),
        origin,
        track,
        layers,
    };
    scene.core.handle_shard_fact(scene.now, ShardId(0), wanted);
    let asked = scene.outputs().into_iter().any(|output| {
        matches!(output, MeshOutput::SendControl { link, message }
            if link == old && matches!(&*message, ControlMessage::Demand { tracks, .. } if tracks.len() == 1))
    });
    assert!(asked);
    assert_ne!(old, LINK);
}

fn detour(from: &str, to: &str, bytes: usize) -> ControlMessage {
    ControlMessage::Detour(DetourMessage {
        from: NodeId::of(from),
        to: NodeId::of(to),
        hops: 4,
        stream: 1,
        number: 0,
        sealed: vec![0; bytes],
    })
}

#[test]
fn a_detour_leads_on_but_not_back_nor_nowhere_nor_without_end_and_forgeries_are_refused() {
    let mut between = Between::new(100);
    let passed = |between: &mut Between, message| {
        between.hear(SYD, message);
        let outputs = between.outputs();
        let on = outputs.iter().filter(|output| {
            matches!(output, MeshOutput::SendControl { link: SIN, message }
                if matches!(&**message, ControlMessage::Detour(message) if message.hops == 3))
        });
        on.count()
    };
    assert_eq!(passed(&mut between, detour("syd", "nyc", 600)), 1);
    assert_eq!(passed(&mut between, detour("syd", "syd", 10)), 0, "back");
    assert_eq!(passed(&mut between, detour("syd", "gru", 10)), 0, "nowhere");
    assert_eq!(passed(&mut between, detour("nyc", "fra", 40)), 0, "forged");
    assert_eq!(between.core.view().counters.detours_refused, 3);
    assert_eq!(
        passed(&mut between, detour("syd", "nyc", 600)),
        0,
        "over the limit"
    );
    assert_eq!(between.core.view().counters.detours_refused, 4);
    between.pass(Duration::from_secs(1));
    assert_eq!(passed(&mut between, detour("syd", "nyc", 600)), 1);
}

#[test]
fn whoever_loses_steps_of_a_detour_gets_the_room_told_anew() {
    let mut net = net_of(31, &["fra", "sin", "syd"]);
    join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 2, 1, "r", "ben");
    net.run(ms(1_000));
    net.cut(0, 2);
    net.run(ms(3_000));
    assert_eq!(seen(&net, 0, "r"), ["ann", "ben"]);
    // The node between forgets what it is to pass on: its links are replaced while news are under way.
    join(&mut net, 2, 2, "r", "cleo");
    net.cut(1, 2);
    net.run(ms(1_500));
    net.heal(1, 2);
    net.run(ms(12_000));
    assert_eq!(seen(&net, 0, "r"), ["ann", "ben", "cleo"]);
    assert_eq!(seen(&net, 2, "r"), ["ann", "ben", "cleo"]);
}

#[test]
fn what_a_silent_peer_wanted_goes_ahead_by_the_way_that_is_left_until_it_is_asked_for_there() {
    let mut fra = Between::new(16);
    fra.link(PER, "per");
    fra.hear(SYD, ControlMessage::Rows(vec![link_row("syd", 4, "per")]));
    fra.hear(PER, ControlMessage::Rows(vec![link_row("per", 4, "syd")]));
    fra.want(SYD, &[1, 2], 1);
    fra.pass(ms(100));
    let outputs = fra.pass_without(ms(500), Some(SYD));
    assert_eq!(sent_on_to(&outputs, "per"), [(1, 1), (2, 1)]);
    fra.want(PER, &[2], 1);
    fra.outputs();
    let outputs = fra.pass_without(ms(1_500), Some(SYD));
    let told = sent_on_to(&outputs, "per");
    assert!(told.contains(&(1, 0)) && !told.contains(&(2, 0)), "{told:?}");
}
