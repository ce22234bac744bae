//! `causeway mesh status`: the operator feed of a running node, for people.

use super::arguments::gather;
use super::{AnyError, say};
use crate::config::DEFAULT_HTTP_LISTEN;
use crate::control::feed::MeshStatus;
use clap::ArgMatches;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// Longest wait for a node that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

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
    let json = fetch(&url, "/api/mesh")?;
    if matches.get_flag("json") {
        return say(&json);
    }
    say(&table(&serde_json::from_str(&json)?))
}

/// One GET over plain HTTP, as nodes speak it on loopback.
fn fetch(base: &str, path: &str) -> Result<String, AnyError> {
    let authority = base
        .strip_prefix("http://")
        .ok_or_else(|| format!("{base}: only http:// can be read here; for TLS use curl {base}{path}"))?
        .trim_end_matches('/');
    let unreachable = |error: std::io::Error| format!("no answer from {base}: {error}");
    let address = authority
        .to_socket_addrs()
        .map_err(unreachable)?
        .next()
        .ok_or("the name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_string(&mut answer)
        .map_err(unreachable)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("{base} does not speak HTTP"))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("{base}{path} answers: {status}").into());
    }
    Ok(body.to_owned())
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
        "\n{:<16}{:<12}{:>9}{:>8}{:>12}{:>12}{:>9}{:>10}{:>8}{:>8}{:>6}",
        "PEER", "STATE", "RTT", "LOSS", "SENT", "RECEIVED", "DROPPED", "CARRIES", "USED", "QUEUE", "SHED"
    );
    for peer in &status.peers {
        let rtt = peer
            .rtt_ms
            .map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
        let _ = writeln!(
            text,
            "{:<16}{:<12}{rtt:>9}{:>7.1}%{:>9} kB{:>9} kB{:>9}{:>8} M{:>6.1} M{:>5.0} ms{:>6}",
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
    let _ = writeln!(text, "\n{} rooms, {} people", status.rooms.len(), people(status));
    text
}

fn people(status: &MeshStatus) -> u32 {
    status.rooms.iter().map(|room| room.participants).sum()
}
