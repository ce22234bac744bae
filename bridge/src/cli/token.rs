//! `causeway token`: make tokens and read them.

use super::arguments::load;
use super::{AnyError, say};
use crate::config::units;
use clap::ArgMatches;
use signaling::token::{Claims, Grants, admit, inspect, mint};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn dispatch(matches: &ArgMatches) -> Result<(), AnyError> {
    match matches.subcommand() {
        Some(("create", matches)) => create(matches),
        Some(("inspect", matches)) => show(matches),
        _ => Err("no such command".into()),
    }
}

fn create(matches: &ArgMatches) -> Result<(), AnyError> {
    let (config, _) = load(matches, |_| {})?;
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let valid_for = match matches.get_one::<String>("valid-for") {
        Some(text) => units::duration(text).map_err(|error| format!("--valid-for \"{text}\": {error}"))?,
        None => config.auth.token_ttl,
    };
    let claims = Claims {
        sub: text("identity"),
        name: text("name"),
        exp: now_s() + valid_for.as_secs(),
        video: Grants {
            room_join: true,
            room: text("room"),
            can_publish: matches.get_flag("listen-only").then_some(false),
            ..Grants::default()
        },
        ..Claims::default()
    };
    let token = mint(claims, &config.auth.keys)?;
    // What this node would refuse is not handed out.
    admit(&token, &config.auth.keys, now_s())?;
    say(&token)
}

fn show(matches: &ArgMatches) -> Result<(), AnyError> {
    let (config, _) = load(matches, |_| {})?;
    let token = matches.get_one::<String>("token").map_or("", String::as_str);
    let claims = inspect(token.trim(), &config.auth.keys, now_s())?;
    say(&serde_json::to_string_pretty(&claims)?)?;
    let left = claims.exp.saturating_sub(now_s());
    match admit(token.trim(), &config.auth.keys, now_s()) {
        Ok(_) => say(&format!("accepted; {left} s left")),
        Err(error) => Err(format!("signed by this mesh, but it lets nobody into a room: {error}").into()),
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
