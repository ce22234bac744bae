//! Light clients of `loadtest` in a real mesh: an independent implementation of a client's side.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loadtest::client::{Identity, LegKey, Setup, Source, SourceSetup};
use loadtest::signalling::token::{ApiKey, Pass, mint};
use loadtest::signalling::{Endpoint, Picture};
use loadtest::trace::Codec;
use loadtest::worker::{Fact, Figures, Layout, Order, Roster, Worker};

use crate::process::{Node, Ports, SECRET, causeway, flags};

const PATIENCE: Duration = Duration::from_secs(20);

/// An address of this machine, and where a node serves HTTP.
pub(crate) type Way = (IpAddr, Endpoint);

/// By plain HTTP from and to an address of this machine.
pub(crate) fn plain_way(local: IpAddr, port: u16) -> Way {
    let url = format!("http://{}", SocketAddr::new(local, port));
    (local, Endpoint::resolve(&url, None).unwrap())
}

pub(crate) struct Room {
    worker: Worker,
    facts: Receiver<Fact>,
    names: Vec<String>,
}

impl Room {
    /// Everybody sends sound; those of `cameras` a picture in three layers.
    pub(crate) fn open(nodes: &[&Node], codec: Codec, people: u32, cameras: u32) -> Self {
        let local = IpAddr::from([127, 0, 0, 1]);
        let ways: Vec<Way> = nodes
            .iter()
            .map(|node| plain_way(local, node.ports.http))
            .collect();
        Self::open_by(&ways, codec, people, cameras)
    }

    /// As [`Self::open`]: each by one of the ways, in turn.
    pub(crate) fn open_by(ways: &[Way], codec: Codec, people: u32, cameras: u32) -> Self {
        Self::open_among(ways, codec, (people, cameras), |_| false)
    }

    /// As [`Self::open_by`]; those who follow go where they are sent, and are left where they have gone.
    pub(crate) fn open_among(
        ways: &[Way],
        codec: Codec,
        (people, cameras): (u32, u32),
        follows: impl Fn(u32) -> bool,
    ) -> Self {
        let names: Vec<String> = (0..people).map(|id| format!("p{id}")).collect();
        let roster = Roster {
            identities: names.iter().cloned().zip(0..).collect(),
            regions: (0..people)
                .map(|id| (id, (id as usize % ways.len()) as u16))
                .collect(),
        };
        let (sender, facts) = channel();
        let identity = Identity::generate().unwrap();
        let worker = Worker::start(identity, Arc::new(roster), Instant::now(), sender).unwrap();
        for id in 0..people {
            let way = ways[id as usize % ways.len()].clone();
            let order = order(way, id, &names[id as usize], codec, id < cameras);
            let follows = follows(id);
            worker.join(Order { follows, ..order });
        }
        Self { worker, facts, names }
    }

    /// Waits until `done` holds for the facts so far; nobody's connection may end.
    fn wait(&self, what: &str, done: impl Fn(&[Fact]) -> bool) -> Vec<Fact> {
        self.watch(what, |seen| {
            assert!(!matches!(seen.last(), Some(Fact::Ended { .. })), "{seen:?}");
            done(seen)
        })
    }

    /// Waits until `done` holds for what has happened from now on.
    pub(crate) fn watch(&self, what: &str, done: impl Fn(&[Fact]) -> bool) -> Vec<Fact> {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while !done(&seen) {
            let left = until.saturating_duration_since(Instant::now());
            match self.facts.recv_timeout(left) {
                Ok(fact) => seen.push(fact),
                Err(error) => panic!("{what}: {error}; so far {seen:?}"),
            }
        }
        seen
    }

    pub(crate) fn figures(&self) -> BTreeMap<u32, Figures> {
        let mut sending: Vec<LegKey> = self
            .worker
            .sent()
            .recv()
            .unwrap()
            .into_iter()
            .map(|sent| sent.key)
            .collect();
        sending.sort();
        let results = self.worker.finish(Arc::new(sending)).recv().unwrap();
        results
            .participants
            .into_iter()
            .map(|figures| (figures.id, figures))
            .collect()
    }
}

fn order((local, endpoint): Way, id: u32, name: &str, codec: Codec, camera: bool) -> Order {
    let api = ApiKey {
        key: "key".to_owned(),
        secret: "a secret of an API key".to_owned(),
    };
    let pass = Pass {
        identity: name,
        room: "load",
        publish: true,
    };
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let audio = SourceSetup {
        source: Source::Audio,
        codec: Codec::Opus,
        layers: 1,
    };
    let picture = SourceSetup {
        source: Source::Camera,
        codec,
        layers: 3,
    };
    Order {
        setup: Setup {
            id,
            seed: u64::from(id) + 1,
            sources: std::iter::once(audio).chain(camera.then_some(picture)).collect(),
            open_one_in: 64,
        },
        endpoint,
        token: mint(&api, pass, now_s, Duration::from_secs(600)).unwrap(),
        identity: name.to_owned(),
        region: 0,
        entrance: None,
        follows: false,
        layout: Layout::Grid {
            page: 9,
            tile: Picture {
                width: 1_280,
                height: 720,
            },
        },
        local,
    }
}

/// Waits until everybody gets sound of all others and the pictures there are, without a break, and returns the figures.
pub(crate) fn seen_by_all(room: &Room, cameras: u32) -> BTreeMap<u32, Figures> {
    let people = room.names.len() as u32;
    room.wait("everybody connected", |seen| {
        let connected: BTreeSet<u32> = seen
            .iter()
            .filter_map(|fact| match fact {
                Fact::FirstFrame { id, .. } => Some(*id),
                _ => None,
            })
            .collect();
        connected.len() as u32 == people
    });
    let until = Instant::now() + PATIENCE;
    loop {
        let figures = room.figures();
        let whole = (0..people).all(|id| {
            (0..people).filter(|other| *other != id).all(|other| {
                let got = |source: Source| {
                    let key = LegKey {
                        sender: other,
                        source: source.number(),
                    };
                    figures[&id].legs.get(&key).map_or(0, |leg| leg.frames)
                };
                got(Source::Audio) > 50 && (other >= cameras || got(Source::Camera) > 50)
            })
        });
        if whole {
            return figures;
        }
        let legs: Vec<_> = figures
            .values()
            .map(|figures| {
                (
                    figures.id,
                    figures
                        .legs
                        .iter()
                        .map(|(key, leg)| (*key, leg.frames))
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        assert!(Instant::now() < until, "not everybody sees everybody: {legs:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn light_clients_see_and_hear_each_other_across_two_nodes() {
    let (here, there) = (Ports::free(), Ports::free());
    let mut fra = Node::start("fra", here, SECRET, &[there.mesh]);
    let sin = Node::start("sin", there, SECRET, &[here.mesh]);
    fra.wait_until("linked", |node| node.peer_state("sin").as_deref() == Some("up"));
    let room = Room::open(&[&fra, &sin], Codec::Vp8, 5, 4);
    let figures = seen_by_all(&room, 4);
    for figures in figures.values() {
        assert_eq!(figures.audio.forged + figures.video.forged, 0, "{figures:?}");
        assert_eq!(figures.send_failed, 0);
    }
}

#[test]
fn a_room_on_two_media_threads_of_one_node_and_one_of_another_is_one_room() {
    let (here, there) = (Ports::free_pair(), Ports::free());
    let mut spread = flags("fra", here, SECRET, &[there.mesh]);
    spread.retain(|flag| !flag.starts_with("--media.shards"));
    spread.extend(["--media.shards=2", "--limits.room_sessions_per_shard=2"].map(String::from));
    let arguments: Vec<&str> = std::iter::once("node")
        .chain(spread.iter().map(String::as_str))
        .collect();
    let mut fra = Node::run(&arguments, here);
    let sin = Node::start("sin", there, SECRET, &[here.mesh]);
    fra.wait_until("linked", |node| node.peer_state("sin").as_deref() == Some("up"));
    let room = Room::open(&[&fra, &fra, &sin], Codec::Vp8, 6, 5);
    let figures = seen_by_all(&room, 5);
    for figures in figures.values() {
        assert_eq!(figures.audio.forged + figures.video.forged, 0, "{figures:?}");
    }
    let metrics = fra.get("/metrics").unwrap();
    for shard in 0..2 {
        let sessions = format!("causeway_shard_sessions{{shard=\"{shard}\"}} 2");
        assert!(metrics.contains(&sessions), "{metrics}");
    }
}

/// What a metric of one media thread says.
pub(crate) fn metric(node: &Node, name: &str, shard: &str) -> Option<f64> {
    let metrics = node.get("/metrics")?;
    let line = format!("causeway_{name}{{shard=\"{shard}\"}} ");
    let value = metrics.lines().find_map(|text| text.strip_prefix(&line))?;
    value.parse().ok()
}

#[test]
fn two_nodes_without_a_link_share_a_room_over_a_third_that_hosts_nothing_of_it() {
    let [here, between, there] = [Ports::free(), Ports::free(), Ports::free()];
    let fra = Node::start("fra", here, SECRET, &[between.mesh]);
    let syd = Node::start("syd", there, SECRET, &[between.mesh]);
    let mut sin = Node::start("sin", between, SECRET, &[here.mesh, there.mesh]);
    for end in ["fra", "syd"] {
        sin.wait_until("linked", |node| node.peer_state(end).as_deref() == Some("up"));
    }
    let room = Room::open(&[&fra, &syd], Codec::Vp8, 4, 2);
    let figures = seen_by_all(&room, 2);
    for figures in figures.values() {
        assert_eq!(figures.audio.forged + figures.video.forged, 0, "{figures:?}");
    }
    assert!(metric(&sin, "shard_transit_out_total", "passing") > Some(100.0));
    assert_eq!(metric(&sin, "shard_transit_out_total", "0"), Some(0.0));
    assert_eq!(metric(&sin, "shard_sessions", "0"), Some(0.0));
    let trees = sin.mesh()["trees"].clone();
    let passes = |tree: &serde_json::Value| tree["transit"] == true && tree["parent"] == tree["origin"];
    assert!(
        trees
            .as_array()
            .is_some_and(|trees| trees.len() == 2 && trees.iter().all(passes)),
        "{trees}"
    );
    let url = format!("--url=http://127.0.0.1:{}", syd.ports.http);
    let status = causeway(&["mesh", "status", &url]).output().unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("no link to the origin"), "{text}");
}

#[test]
fn of_twenty_who_talk_at_once_eight_are_forwarded_to_everybody_on_both_nodes() {
    const PEOPLE: u32 = 20;
    let (here, there) = (Ports::free(), Ports::free());
    let mut fra = Node::start("fra", here, SECRET, &[there.mesh]);
    let sin = Node::start("sin", there, SECRET, &[here.mesh]);
    fra.wait_until("linked", |node| node.peer_state("sin").as_deref() == Some("up"));
    let room = Room::open(&[&fra, &sin], Codec::Vp8, PEOPLE, 0);
    room.wait("everybody connected", |seen| {
        let connected = |fact: &&Fact| matches!(fact, Fact::FirstFrame { .. });
        seen.iter().filter(connected).count() as u32 == PEOPLE
    });
    // Frames that have come to each, and the most that anybody has sent.
    let count = || {
        let came = |figures: &Figures| figures.legs.values().map(|leg| leg.frames).sum::<u64>();
        let sent = room.worker.sent().recv().unwrap();
        let figures = room.figures();
        let came: BTreeMap<u32, u64> = figures.iter().map(|(id, figures)| (*id, came(figures))).collect();
        (
            came,
            u64::from(sent.iter().map(|sent| sent.sequence).max().unwrap()),
        )
    };
    let wait_for = |frames: u64| {
        let until = Instant::now() + PATIENCE;
        loop {
            let (came, sent) = count();
            if sent >= frames {
                return (came, sent);
            }
            assert!(Instant::now() < until, "{sent} of {frames} frames sent");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    // Two seconds and a half for everybody to have found a place; then five seconds are counted.
    let (_, settled) = wait_for(0);
    let (before, began) = wait_for(settled + 125);
    let (after, ended) = wait_for(began + 250);
    let sent = ended - began;
    for (id, after) in after {
        let came = after - before[&id];
        // A change brings at most half a second of what was said before; there are few in five seconds.
        assert!(
            came <= 8 * sent + 8 * 2 * 25,
            "{id} got {came} frames while each sent {sent}"
        );
        assert!(came >= 4 * sent, "{id} got {came} frames while each sent {sent}");
    }
    for node in [&fra, &sin] {
        assert_eq!(metric(node, "shard_sounds_forwarded", "0"), Some(8.0));
        assert!(metric(node, "shard_sounds_withheld_total", "0").unwrap() > sent as f64);
    }
}

#[test]
fn light_clients_send_and_read_h264() {
    let node = Node::start("fra", Ports::free(), SECRET, &[]);
    let room = Room::open(&[&node], Codec::H264, 2, 1);
    let mut figures = seen_by_all(&room, 1);
    let camera = LegKey {
        sender: 0,
        source: Source::Camera.number(),
    };
    // The largest layer comes once the path is known to carry it, on a busy machine later.
    let until = Instant::now() + PATIENCE;
    loop {
        let leg = &figures[&1].legs[&camera];
        if leg.keyframes > 0 && leg.per_layer[2] > 0 {
            break;
        }
        assert!(Instant::now() < until, "{leg:?}");
        std::thread::sleep(Duration::from_millis(100));
        figures = room.figures();
    }
}

#[test]
fn people_on_ipv6_and_on_ipv4_meet_on_one_node() {
    let ports = Ports::free();
    let mut both = flags("fra", ports, SECRET, &[]);
    both.retain(|flag| !flag.starts_with("--http.listen") && !flag.starts_with("--media.udp_listen"));
    both.extend([
        format!("--http.listen=[::]:{}", ports.http),
        format!("--http.public_url=http://[::1]:{}", ports.http),
        "--http.trusted_proxies=192.0.2.1/32".to_owned(),
        format!("--media.udp_listen=[::]:{}", ports.media),
        "--media.advertise=::1,127.0.0.1".to_owned(),
    ]);
    let arguments: Vec<&str> = std::iter::once("node")
        .chain(both.iter().map(String::as_str))
        .collect();
    let node = Node::run(&arguments, ports);
    let ways = ["::1", "127.0.0.1"].map(|local| plain_way(local.parse().unwrap(), ports.http));
    let room = Room::open_by(&ways, Codec::Vp8, 4, 2);
    for figures in seen_by_all(&room, 2).values() {
        assert_eq!(figures.audio.forged + figures.video.forged, 0, "{figures:?}");
    }
    assert!(
        node.get("/metrics")
            .unwrap()
            .contains("causeway_shard_sessions{shard=\"0\"} 4")
    );
}
