//! `[turn]`: the operator's TURN servers.

use super::reader::Reader;
use signaling::TurnServers;
use std::time::Duration;

/// Most URLs: clients gather candidates at every one of them, and five already slow a browser down.
const MAX_URLS: usize = 8;
/// Shortest secret accepted; credentials with less can be computed by anybody who has seen one.
const MIN_SECRET_BYTES: usize = 16;
const URLS: &str = "turn.urls";
const SECRET: &str = "turn.secret";
const TTL: &str = "turn.ttl";

pub(super) fn read(reader: &mut Reader) -> Option<TurnServers> {
    let urls = reader.list(URLS);
    let secret = reader.text(SECRET);
    let ttl = reader.duration_or(TTL, TurnServers::TTL);
    if ttl < Duration::from_secs(1) {
        reader.refuse(
            TTL,
            "credentials that have ended when they are given are of no use",
        );
    }
    if urls.len() > MAX_URLS {
        reader.refuse(URLS, format!("{}; at most {MAX_URLS} are possible", urls.len()));
    }
    for url in urls.iter().filter(|url| !is_turn_url(url)) {
        reader.refuse(
            URLS,
            format!("\"{url}\" is no TURN URL; expected turn:HOST or turns:HOST, with :PORT and ?transport=udp or tcp"),
        );
    }
    match secret {
        None if urls.is_empty() => None,
        None => {
            reader.refuse(SECRET, "needed with turn.urls");
            None
        }
        Some(_) if urls.is_empty() => {
            reader.refuse(URLS, "needed with turn.secret");
            None
        }
        Some(secret) => {
            if secret.len() < MIN_SECRET_BYTES {
                let bytes = secret.len();
                reader.refuse(
                    SECRET,
                    format!("{bytes} bytes; at least {MIN_SECRET_BYTES} are needed"),
                );
            }
            Some(TurnServers { urls, secret, ttl })
        }
    }
}

/// RFC 7065 section 3.1. Browsers refuse the whole list for one URL they cannot read.
fn is_turn_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("turn:").or_else(|| url.strip_prefix("turns:")) else {
        return false;
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, "transport=udp"));
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let in_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    !host.is_empty()
        && host.chars().all(in_host)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && ["transport=udp", "transport=tcp"].contains(&query)
}
