//! `causeway drain`: tells a running node to send everybody to other nodes and to end, and waits for it.

use super::arguments::load;
use super::ask::{Request, ask};
use super::{AnyError, say};
use crate::config::{Config, units};
use crate::control::task::unix_now;
use crate::http::drain::{DrainOrder, DrainStatus};
use clap::ArgMatches;
use signaling::token::{Claims, Grants, mint};
use std::time::{Duration, Instant};

const PATH: &str = "/api/drain";
/// Where nothing is said.
pub(super) const WITHIN: &str = "2m";
/// Validity of the order, in seconds.
const ORDER_VALID_S: u64 = 60;
/// Pause between two looks; the node itself waits for news before it answers.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the node may take to stop when the time is over.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

pub(super) fn drain(matches: &ArgMatches) -> Result<(), AnyError> {
    let (config, _) = load(matches, |_| {})?;
    let text = matches.get_one::<String>("within").map_or(WITHIN, String::as_str);
    let within = units::duration(text).map_err(|error| format!("--within \"{text}\": {error}"))?;
    let url = match matches.get_one::<String>("url") {
        Some(url) => url.clone(),
        None if config.http.tls.is_some() => format!("https://{}", config.http.listen),
        None => format!("http://{}", config.http.listen),
    };
    let tls = config.http.tls.as_ref();
    let read = Request {
        certificate: tls.map(|tls| tls.certificate.as_path()),
        ..Request::get(PATH)
    };
    let order = DrainOrder {
        within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
    };
    let request = Request {
        method: "POST",
        token: Some(&operator_token(&config)?),
        body: &serde_json::to_string(&order)?,
        ..read
    };
    ask(&url, &request)?;
    say(&format!("{} drains within {text}", config.node.name))?;
    watch(&url, &read, config.node.name.as_str(), within)
}

/// A token that lets its bearer order this node about, for a minute.
fn operator_token(config: &Config) -> Result<String, AnyError> {
    let claims = Claims {
        sub: config.node.name.to_string(),
        exp: unix_now().0 / 1_000 + ORDER_VALID_S,
        video: Grants {
            node_admin: true,
            ..Grants::default()
        },
        ..Claims::default()
    };
    Ok(mint(claims, &config.auth.keys)?)
}

/// Prints every change until the node does not answer any more.
fn watch(url: &str, read: &Request<'_>, node: &str, within: Duration) -> Result<(), AnyError> {
    let hopeless = Instant::now() + within + STOPS_WITHIN;
    let mut last: Option<DrainStatus> = None;
    loop {
        let Ok(answer) = ask(url, read) else {
            break;
        };
        let status: DrainStatus = serde_json::from_str(&answer)?;
        let told = |status: &DrainStatus| (status.moved, status.left, status.state.clone());
        if last.as_ref().map(told) != Some(told(&status)) {
            say(&line(&status))?;
        }
        last = Some(status);
        if Instant::now() > hopeless {
            return Err(format!("{node} still answers; look at its log").into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    match last.map(|status| status.left) {
        Some(left) if left > 0 => say(&format!(
            "{node} has ended; {left} people were still on it when last asked"
        )),
        _ => say(&format!("{node} has ended")),
    }
}

fn line(status: &DrainStatus) -> String {
    format!(
        "{}: {} of {} people sent to other nodes, {} still here, {} s left",
        status.state,
        status.moved,
        status.people,
        status.left,
        status.time_left_ms.div_ceil(1_000)
    )
}
