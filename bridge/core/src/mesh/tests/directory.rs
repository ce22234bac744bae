//! Rooms by way of a directory outside of the mesh: hosts find each other, and no trouble of the directory parts them.

use super::super::config::MeshConfig;
use super::super::directory::{DirectoryAnswer, DirectoryUse, HostEntry};
use super::super::testing::{FakeShards, FullMesh, Path, Size};
use super::{Net, beginning, join, leave, ms, publish, seen, unlinked_net_of};
use relay_proto::id::{Epoch, NodeId};
use std::time::Duration;

fn net_with(names: &[(&str, DirectoryUse)]) -> Net {
    let config = |(name, directory): &(&str, DirectoryUse)| MeshConfig {
        directory: *directory,
        ..MeshConfig::named(name)
    };
    let configs = names.iter().map(config).collect();
    let mut net = unlinked_net_of(1, configs, Path::of_ms(40));
    net.run(ms(2_000));
    net
}

fn outside(names: &[&str]) -> Net {
    let all: Vec<_> = names.iter().map(|name| (*name, DirectoryUse::OUTSIDE)).collect();
    net_with(&all)
}

fn hosts(net: &Net, node: usize, room: &str) -> usize {
    let view = net.core(node).expect("it runs").view();
    let known = view.rooms.into_iter().find(|known| known.room == room.into());
    known.map_or(0, |known| known.participants.len())
}

#[test]
fn hosts_find_each_other_and_nobody_else_hears_of_their_room() {
    let mut net = outside(&["fra", "sin", "syd"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    publish(&mut net, 0, ann, "TR_1");
    let ben = join(&mut net, 1, 1, "r", "ben");
    net.run(ms(1_000));
    for node in 0..2 {
        assert_eq!(seen(&net, node, "r"), ["ann", "ben"]);
        assert_eq!(hosts(&net, node, "r"), 2);
    }
    assert_eq!(hosts(&net, 2, "r"), 0);
    let (origin, alias) = (net.id(0), net.shards(0).alias(&"TR_1".into()).unwrap());
    assert_eq!(net.shards(1).remote_tracks(&"r".into()), [(origin, alias)].into());
    assert_eq!(net.core(1).unwrap().watched_rooms(), 1);
    leave(&mut net, 1, ben);
    net.run(ms(3_000));
    assert_eq!(
        (seen(&net, 0, "r"), hosts(&net, 0, "r")),
        (vec!["ann".to_owned()], 1)
    );
    assert_eq!(
        net.core(1).unwrap().watched_rooms(),
        0,
        "a closed room is watched no more"
    );
}

#[test]
fn a_killed_node_is_gone_at_once_and_its_successor_is_found() {
    let mut net = outside(&["fra", "sin"]);
    join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(1_000));
    net.kill(1, FakeShards::default());
    net.run(ms(3_000));
    assert_eq!(seen(&net, 0, "r"), ["ann"], "before its lease has ended");
    assert_eq!(hosts(&net, 0, "r"), 1);
    net.start(1);
    net.run(ms(2_000));
    assert_eq!(
        hosts(&net, 0, "r"),
        1,
        "what the dead process has left does not count"
    );
    join(&mut net, 1, 2, "r", "cyd");
    net.run(ms(1_000));
    assert_eq!(seen(&net, 0, "r"), ["ann", "cyd"]);
    net.run(ms(15_000));
    assert_eq!(
        seen(&net, 1, "r"),
        ["ann", "cyd"],
        "the old lease ends nothing new"
    );
}

#[test]
fn rooms_go_on_without_the_directory_and_new_hosts_are_found_once_it_is_back() {
    for forgetful in [false, true] {
        let mut net = outside(&["fra", "sin", "syd"]);
        join(&mut net, 0, 1, "r", "ann");
        join(&mut net, 1, 1, "r", "ben");
        net.run(ms(1_000));
        net.stop_directory();
        join(&mut net, 1, 2, "r", "cyd");
        join(&mut net, 2, 1, "r", "dan");
        net.run(ms(20_000));
        assert_eq!(seen(&net, 0, "r"), ["ann", "ben", "cyd"]);
        assert_eq!(seen(&net, 2, "r"), ["dan"], "nobody introduces it");
        net.start_directory(forgetful);
        net.run(ms(2_000));
        for node in 0..3 {
            assert_eq!(seen(&net, node, "r"), ["ann", "ben", "cyd", "dan"], "{forgetful}");
        }
    }
}

#[test]
fn a_living_host_that_is_not_listed_any_more_stays_until_it_says_that_it_has_left() {
    let mut net = outside(&["fra", "sin"]);
    join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(1_000));
    let empty = DirectoryAnswer {
        room: "r".into(),
        hosts: Vec::new(),
    };
    net.with_core(0, |core| core.handle_directory(empty.clone()));
    assert_eq!(seen(&net, 0, "r"), ["ann", "ben"]);
    join(&mut net, 0, 2, "r", "cyd");
    net.run(ms(500));
    assert_eq!(seen(&net, 1, "r"), ["ann", "ben", "cyd"], "it is still told");
    let epoch = net.core(0).unwrap().host_epoch(net.id(1), &"r".into()).unwrap();
    let left = HostEntry {
        node: net.id(1),
        incarnation: net.core(0).unwrap().rows.incarnation(net.id(1)).unwrap(),
        epoch,
        participants: None,
    };
    let left = DirectoryAnswer {
        room: "r".into(),
        hosts: vec![left],
    };
    net.with_core(0, |core| core.handle_directory(left));
    assert_eq!(seen(&net, 0, "r"), ["ann", "cyd"]);
}

#[test]
fn nodes_that_tell_in_both_ways_join_those_that_read_one() {
    let both = DirectoryUse {
        rows: true,
        outside: true,
    };
    let mut net = net_with(&[
        ("fra", DirectoryUse::ROWS),
        ("sin", both),
        ("syd", DirectoryUse::OUTSIDE),
    ]);
    join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(1_000));
    assert_eq!(
        (seen(&net, 0, "r"), seen(&net, 1, "r")),
        (vec!["ann".into(), "ben".into()], vec!["ann".into(), "ben".into()])
    );
    join(&mut net, 2, 1, "r", "cyd");
    net.run(ms(1_000));
    assert_eq!(seen(&net, 1, "r"), ["ann", "ben", "cyd"]);
}

#[test]
fn answers_about_strangers_us_and_more_nodes_than_there_may_be_do_no_harm() {
    let mut config = MeshConfig::named("fra");
    config.directory = DirectoryUse::OUTSIDE;
    config.limits.max_nodes = 8;
    let mut net = unlinked_net_of(1, vec![config], Path::of_ms(40));
    join(&mut net, 0, 1, "r", "ann");
    net.run(ms(100));
    let entry = |node: NodeId, epoch| HostEntry {
        node,
        incarnation: u64::MAX,
        epoch: Epoch(epoch),
        participants: Some(u32::MAX),
    };
    let us = net.id(0);
    let ours = net.core(0).unwrap().host_epoch(us, &"r".into());
    let strangers = (0..100).map(|n| entry(NodeId::of(&format!("stranger-{n}")), n));
    let answer = DirectoryAnswer {
        room: "r".into(),
        hosts: std::iter::once(entry(us, u32::MAX)).chain(strangers).collect(),
    };
    net.with_core(0, |core| core.handle_directory(answer));
    let core = net.core(0).unwrap();
    assert_eq!(core.host_epoch(us, &"r".into()), ours);
    assert_eq!(core.outside.hosts().count(), 7);
    assert_eq!(hosts(&net, 0, "r"), 1, "only who lives is shown");
    assert_eq!(seen(&net, 0, "r"), ["ann"]);
}

#[test]
fn people_who_come_and_go_are_heard_of_by_the_hosts_of_their_rooms_alone() {
    let size = Size {
        nodes: 12,
        rooms: 120,
        people: 480,
    };
    let told = [DirectoryUse::ROWS, DirectoryUse::OUTSIDE].map(|directory| {
        let mut full = FullMesh::with(3, beginning(), size, directory);
        full.fill();
        full.run(Duration::from_secs(5));
        let rooms = full.net.core(0).unwrap().view().rooms.len();
        let churn = full.traffic(Duration::from_secs(5), 20);
        (churn.all.rows, rooms)
    });
    let [(rows, all), (outside, watched)] = told;
    assert!(outside * 5 < rows, "{outside} {rows}");
    // Those it hosts, and those whose media passes through it.
    assert!(watched * 2 < all, "{watched} {all}");
}
