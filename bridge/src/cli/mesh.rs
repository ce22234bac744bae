//! `causeway mesh status`: the operator feed of a running node, for people.

use super::arguments::gather;
use super::ask::{Request, ask};
use super::{AnyError, say};
use crate::config::DEFAULT_HTTP_LISTEN;
use crate::control::feed::{MeshStatus, TreeStatus};
use clap::ArgMatches;
use std::fmt::Write as _;

pub(super) fn dispatch(matches: &ArgMatches) -> Result<(), AnyError> {
    match matches.subcommand() {
        Some(("status", matches)) => status(matches),
        _ => Err("no such command".into()),
    }
}

fn status(matches: &ArgMatches) -> Result<(), AnyError> {
    let url = match matches.get_one::<String>("url") {
        Some(url) => url.clone(),
        None => format!(
            "http://{}",
            gather(matches)?
                .text("http.listen")
                .unwrap_or(DEFAULT_HTTP_LISTEN)
        ),
    };
    let json = ask(&url, &Request::get("/api/mesh"))?;
    if matches.get_flag("json") {
        return say(&json);
    }
    say(&table(&serde_json::from_str(&json)?))
}

fn table(status: &MeshStatus) -> String {
    let mut text = format!("{} ({}), {}\n", status.node, status.region, status.version);
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "\n{:<16}{:<16}{:<10}{:>8}  URL",
        "NODE", "REGION", "STATE", "PEOPLE"
    );
    for node in &status.nodes {
        let _ = writeln!(
            text,
            "{:<16}{:<16}{:<10}{:>8}  {}",
            node.node, node.region, node.state, node.participants, node.url
        );
    }
    let _ = writeln!(
        text,
        "\n{:<16}{:<12}{:>9}{:>8}{:>12}{:>12}{:>8}{:>9}{:>10}{:>8}{:>8}{:>6}",
        "PEER",
        "STATE",
        "RTT",
        "LOSS",
        "SENT",
        "RECEIVED",
        "COPIES",
        "DROPPED",
        "CARRIES",
        "USED",
        "QUEUE",
        "SHED"
    );
    for peer in &status.peers {
        let rtt = peer
            .rtt_ms
            .map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
        let copies = peer
            .media
            .copies()
            .map_or_else(|| "-".to_owned(), |copies| format!("{copies:.3}"));
        let _ = writeln!(
            text,
            "{:<16}{:<12}{rtt:>9}{:>7.1}%{:>9} kB{:>9} kB{copies:>8}{:>9}{:>8} M{:>6.1} M{:>5.0} ms{:>6}",
            peer.node,
            peer.state,
            peer.loss * 100.0,
            peer.sent.bytes / 1_000,
            peer.received.bytes / 1_000,
            peer.dropped,
            peer.rate_bps / 1_000_000,
            peer.used_bps as f64 / 1e6,
            peer.queue_ms,
            peer.shed.tracks
        );
    }
    for peer in &status.unreached {
        let _ = writeln!(text, "not reached: {} ({})", peer.address, peer.reason);
    }
    write_trees(&mut text, status);
    write_steered(&mut text, status);
    let _ = writeln!(text, "\n{} rooms, {} people", status.rooms.len(), people(status));
    text
}

/// Trees that are more than a direct link: where media takes another way, and why, and who gets it from here.
fn write_trees(text: &mut String, status: &MeshStatus) {
    let told = |tree: &&TreeStatus| tree.parent.as_ref() != Some(&tree.origin) || !tree.children.is_empty();
    let trees: Vec<&TreeStatus> = status.trees.iter().filter(told).collect();
    if trees.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{:<24}{:<16}{:<16}{:<24}TO",
        "ROOM", "MEDIA OF", "FROM", "BECAUSE"
    );
    for tree in trees {
        let _ = writeln!(
            text,
            "{:<24}{:<16}{:<16}{:<24}{}",
            tree.room,
            tree.origin,
            tree.parent.as_deref().unwrap_or("-"),
            tree.reason,
            tree.children.join(", ")
        );
    }
}

/// Sessions whose media is elsewhere, or whose client is, and why.
fn write_steered(text: &mut String, status: &MeshStatus) {
    for peer in &status.peers {
        if peer.steered_to + peer.steered_from > 0 {
            let _ = writeln!(
                text,
                "\n{}: {} of our clients have their media there, {} of its clients here",
                peer.node, peer.steered_to, peer.steered_from
            );
        }
    }
    for session in &status.steered {
        let _ = writeln!(
            text,
            "{:<24}{:<20}media on {:<16}{}",
            session.room, session.participant, session.media, session.reason
        );
    }
}

fn people(status: &MeshStatus) -> u32 {
    status.rooms.iter().map(|room| room.participants).sum()
}
