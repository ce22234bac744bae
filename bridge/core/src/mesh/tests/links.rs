use super::super::MeshCore;
use super::super::config::MeshConfig;
use super::super::io::{CloseCause, LinkDirection, LinkId, MeshOutput};
use super::super::testing::{FakeShards, MeshNet, Path};
use super::super::view::LinkState;
use super::{Net, beginning, join, ms, net_of, seen, unlinked_net};
use relay_proto::control::{ControlMessage, GoodbyeCause, Hello};
use relay_proto::unit::UnixMillis;

fn up_links(net: &Net, node: usize) -> usize {
    let view = net.core(node).expect("the node runs").view();
    view.links
        .iter()
        .filter(|link| link.state == LinkState::Up)
        .count()
}

#[test]
fn nodes_that_dial_each_other_keep_one_link_and_it_is_the_same() {
    for seed in 0..50 {
        let path = Path {
            jitter: ms(30),
            ..Path::of_ms(20)
        };
        let mut net = unlinked_net(seed, &["fra", "sin", "syd"], path);
        net.run(ms(1_500));
        // Before any digest that time would bring: rows and rooms must have followed the links by themselves.
        for (node, identity) in ["ann", "ben", "eve"].into_iter().enumerate() {
            join(&mut net, node, 1, "r", identity);
        }
        net.run(ms(500));
        for node in 0..3 {
            assert_eq!(seen(&net, node, "r"), ["ann", "ben", "eve"], "seed {seed}");
        }
        net.run(ms(3_000));
        for node in 0..3 {
            assert_eq!(up_links(&net, node), 2, "seed {seed}");
            let closed = net.take_closed(node);
            assert!(
                closed.iter().all(|cause| matches!(
                    cause,
                    CloseCause::WeLeft(GoodbyeCause::DuplicateLink)
                        | CloseCause::PeerLeft(GoodbyeCause::DuplicateLink)
                )),
                "seed {seed}: {closed:?}"
            );
        }
        net.run(ms(10_000));
        assert!(
            (0..3).all(|node| net.take_closed(node).is_empty()),
            "seed {seed}: links are not at rest"
        );
    }
}

#[test]
fn a_restarted_peer_replaces_its_old_link_at_once() {
    let mut net = net_of(1, &["fra", "sin"]);
    join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    net.kill(0, FakeShards::default());
    net.run(ms(1));
    net.start(0);
    // One handshake and one hello: long before silence could tell.
    net.run(ms(200));
    assert!(net.take_closed(1).contains(&CloseCause::PeerRestarted));
    assert_eq!(seen(&net, 1, "r"), ["ben"]);
    join(&mut net, 0, 1, "r", "cyd");
    net.run(ms(1_000));
    assert_eq!(seen(&net, 1, "r"), ["ben", "cyd"]);
    assert_eq!(seen(&net, 0, "r"), ["ben", "cyd"]);
}

#[test]
fn a_peer_of_a_future_version_is_refused_with_a_goodbye() {
    let mut future = MeshConfig::named("sin");
    future.versions = (9, 8);
    let configs = vec![MeshConfig::named("fra"), future];
    let mut net: Net = MeshNet::new(1, beginning(), configs, Path::of_ms(10), |_| {
        FakeShards::default()
    });
    net.run(ms(1_000));
    assert_eq!((up_links(&net, 0), up_links(&net, 1)), (0, 0));
    let closed = net.take_closed(0);
    assert!(
        closed.contains(&CloseCause::WeLeft(GoodbyeCause::VersionMismatch)),
        "{closed:?}"
    );
    assert!(net.core(0).unwrap().view().counters.links_refused > 0);
}

#[test]
fn a_second_node_of_one_name_is_refused() {
    let configs = ["fra", "sin", "sin"].map(MeshConfig::named).to_vec();
    let mut net: Net = MeshNet::new(1, beginning(), configs, Path::of_ms(10), |_| {
        FakeShards::default()
    });
    net.set_path(0, 2, |path| path.cut = true);
    net.run(ms(2_000));
    // Both have started in the same millisecond, so each takes the other for itself.
    assert!(net.take_closed(1).contains(&CloseCause::SelfConnection));
    assert_eq!(up_links(&net, 0), 1);
}

/// A core fed by hand.
struct Bench {
    core: MeshCore,
    now: std::time::Instant,
}

impl Bench {
    fn new(name: &str) -> Self {
        let now = beginning();
        Self {
            core: MeshCore::new(MeshConfig::named(name), [1; 32], now, UnixMillis(1_000_000)),
            now,
        }
    }

    fn outputs(&mut self) -> Vec<MeshOutput> {
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    fn dial(&mut self, link: u64, direction: LinkDirection) {
        self.core.handle_link_up(self.now, LinkId(link), direction);
    }

    fn hear(&mut self, link: u64, message: ControlMessage) {
        self.core.handle_control(self.now, LinkId(link), message);
    }

    fn closed(&mut self) -> Vec<(LinkId, CloseCause)> {
        self.outputs()
            .into_iter()
            .filter_map(|output| match output {
                MeshOutput::CloseLink { link, cause } => Some((link, cause)),
                _ => None,
            })
            .collect()
    }
}

fn hello(name: &str, incarnation: u64) -> ControlMessage {
    ControlMessage::Hello(Hello {
        newest_version: 1,
        oldest_version: 1,
        features: relay_proto::version::Features::OURS,
        name: name.into(),
        incarnation,
        software: String::new(),
    })
}

#[test]
fn a_node_that_reaches_itself_says_so_and_hangs_up() {
    let mut bench = Bench::new("fra");
    bench.dial(1, LinkDirection::Dialled);
    bench.hear(1, hello("fra", 1_000_000));
    assert_eq!(bench.closed(), [(LinkId(1), CloseCause::SelfConnection)]);
    // The other end leaves that to the one that dialled.
    bench.dial(3, LinkDirection::Accepted);
    bench.hear(3, hello("fra", 1_000_000));
    assert_eq!(bench.closed(), []);
    bench.dial(2, LinkDirection::Dialled);
    bench.hear(2, hello("fra", 5));
    assert_eq!(
        bench.closed(),
        [(LinkId(2), CloseCause::WeLeft(GoodbyeCause::NameTaken))]
    );
}

#[test]
fn an_older_process_of_a_linked_name_is_refused() {
    let mut bench = Bench::new("fra");
    bench.dial(1, LinkDirection::Accepted);
    bench.hear(1, hello("sin", 50));
    bench.dial(2, LinkDirection::Accepted);
    bench.hear(2, hello("sin", 49));
    assert_eq!(
        bench.closed(),
        [(LinkId(2), CloseCause::WeLeft(GoodbyeCause::NameTaken))]
    );
}

#[test]
fn whatever_comes_before_the_hello_breaks_the_protocol() {
    let violation = CloseCause::WeLeft(GoodbyeCause::ProtocolViolation);
    let mut bench = Bench::new("fra");
    bench.dial(1, LinkDirection::Accepted);
    bench.hear(1, ControlMessage::Rows(Vec::new()));
    assert_eq!(bench.closed(), [(LinkId(1), violation)]);
    bench.dial(2, LinkDirection::Accepted);
    bench.hear(2, hello("sin", 1));
    bench.hear(2, hello("sin", 1));
    assert_eq!(bench.closed(), [(LinkId(2), violation)]);
    bench.dial(3, LinkDirection::Accepted);
    bench.core.handle_malformed_control(bench.now, LinkId(3));
    assert_eq!(bench.closed(), [(LinkId(3), violation)]);
    assert_eq!(bench.core.view().counters.protocol_violations, 3);
}

#[test]
fn a_link_without_hello_is_closed_in_time() {
    let mut bench = Bench::new("fra");
    bench.dial(1, LinkDirection::Accepted);
    let until = bench.now + ms(5_000);
    let mut named = bench.core.poll_timeout();
    while let Some((at, _)) = named.filter(|(at, _)| *at <= until) {
        bench.core.handle_timeout(at);
        named = bench.core.poll_timeout();
    }
    assert_eq!(bench.closed(), [(LinkId(1), CloseCause::Unresponsive)]);
}

#[test]
fn commands_of_other_nodes_are_counted_and_do_no_harm() {
    let mut bench = Bench::new("fra");
    bench.dial(1, LinkDirection::Accepted);
    bench.hear(1, hello("sin", 1));
    bench.hear(1, ControlMessage::RowDigest(Vec::new()));
    let entry = relay_proto::id::NodeId::of("sin");
    let command = Box::new(super::join_command(entry, 1, "r", "ann"));
    bench.hear(1, ControlMessage::Command { entry, command });
    assert!(bench.closed().is_empty());
    assert_eq!(bench.core.view().counters.remote_sessions_unsupported, 1);
}

#[test]
fn links_and_nodes_are_bounded() {
    let now = beginning();
    let mut config = MeshConfig::named("fra");
    config.limits.max_links = 3;
    config.limits.max_nodes = 3;
    let core = MeshCore::new(config, [1; 32], now, UnixMillis(1_000_000));
    let mut bench = Bench { core, now };
    for link in 1..=4 {
        bench.dial(link, LinkDirection::Accepted);
    }
    // Who has said nothing for longest gives way.
    assert_eq!(bench.closed(), [(LinkId(1), CloseCause::LimitReached)]);
    bench.hear(2, hello("sin", 1));
    bench.hear(3, hello("syd", 1));
    bench.hear(4, hello("nyc", 1));
    assert_eq!(bench.closed(), [(LinkId(4), CloseCause::LimitReached)]);
    // A dead peer makes room for a new one.
    bench.core.handle_link_down(now, LinkId(2));
    bench.dial(5, LinkDirection::Accepted);
    bench.hear(5, hello("nyc", 1));
    assert_eq!(bench.closed(), []);
}

#[test]
fn random_bytes_are_no_probe() {
    let mut bench = Bench::new("fra");
    bench.dial(1, LinkDirection::Accepted);
    bench.hear(1, hello("sin", 1));
    bench.outputs();
    for len in 0..64 {
        bench.core.handle_probe(bench.now, LinkId(1), &vec![0xa5; len]);
    }
    assert!(bench.outputs().is_empty());
    assert_eq!(bench.core.view().counters.bad_probes, 64);
}

#[test]
fn the_route_follows_the_size_of_datagrams() {
    let mut net = net_of(1, &["fra", "sin"]);
    let other = net.id(1);
    let now = net.now();
    let link = net.core(0).unwrap().view().links[0].link.unwrap();
    net.with_core(0, |core| core.handle_link_mtu(now, link, 1_414));
    assert_eq!(net.shards(0).routes[&other], 1_414);
}
