//! `causeway dev` and `causeway node`: a node until somebody stops it. SIGTERM and `causeway drain` let it send everybody to
//! other nodes first; SIGINT, and a second SIGTERM, do not.

use super::arguments::load;
use super::{AnyError, say};
use crate::config::{Config, Layers};
use crate::media::random_seed;
use crate::node::Node;
use crate::telemetry;
use clap::ArgMatches;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use toml::{Table, Value};

/// Letters and digits that cannot be mistaken for one another.
const ROOM_LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Runs a node on loopback with keys that live as long as it does, and prints a meeting link.
pub(super) fn dev(matches: &ArgMatches) -> Result<(), AnyError> {
    let (config, _) = load(matches, dev_defaults)?;
    let url = config.http.public_url.clone();
    run(config, move |node| {
        let base = match url.strip_suffix(":0") {
            Some(base) => format!("{base}:{}", node.http_address().port()),
            None => url,
        };
        say(&format!(
            "\n  Meeting link: {base}/m/{}\n\n  Ctrl-C stops the node.\n",
            room_name()
        ))
    })
}

/// Runs a node as the configuration says.
pub(super) fn node(matches: &ArgMatches) -> Result<(), AnyError> {
    let (config, _) = load(matches, |_| {})?;
    run(config, |_| Ok(()))
}

fn dev_defaults(layers: &mut Layers) {
    let text = |text: &str| Value::String(text.to_owned());
    let secret: String = random_seed().iter().map(|byte| format!("{byte:02x}")).collect();
    layers.add_default("node.name", text("dev"));
    layers.add_default("node.region", text("This machine"));
    layers.add_default("media.udp_listen", text("127.0.0.1:7882"));
    layers.add_default(
        "auth.keys",
        Value::Table(Table::from_iter([("dev".to_owned(), Value::String(secret))])),
    );
}

fn room_name() -> String {
    let letter = |byte: &u8| char::from(ROOM_LETTERS[usize::from(*byte) % ROOM_LETTERS.len()]);
    let seed = random_seed();
    let part = |range: std::ops::Range<usize>| seed[range].iter().map(letter).collect::<String>();
    format!("{}-{}-{}", part(0..3), part(3..7), part(7..10))
}

fn run(config: Config, started: impl FnOnce(&Node) -> Result<(), AnyError>) -> Result<(), AnyError> {
    telemetry::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let drain_within = config.node.drain_within;
        let mut node = Node::start(config)?;
        let mut ends = Ends::of(&mut node, drain_within)?;
        started(&node)?;
        until_the_end(&node, &mut ends).await;
        node.stop().await;
        Ok(())
    })
}

/// How a node is to end.
enum End {
    AtOnce,
    /// As soon as everybody is elsewhere, or after this time.
    Drained(Duration),
}

/// What makes a node end.
struct Ends {
    terminated: Signal,
    interrupted: Signal,
    hung_up: Signal,
    orders: Option<mpsc::Receiver<Duration>>,
    /// How long SIGTERM gives; a second one gives nothing.
    drain_within: Duration,
}

impl Ends {
    fn of(node: &mut Node, drain_within: Duration) -> Result<Self, AnyError> {
        Ok(Self {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
            hung_up: signal(SignalKind::hangup())?,
            orders: node.drain_orders(),
            drain_within,
        })
    }

    /// The next one. SIGHUP is none: it lets the node read location data and certificates again.
    async fn next(&mut self, node: &Node) -> End {
        loop {
            tokio::select! {
                _ = self.terminated.recv() => {
                    let within = std::mem::take(&mut self.drain_within);
                    return if within.is_zero() { End::AtOnce } else { End::Drained(within) };
                }
                _ = self.interrupted.recv() => return End::AtOnce,
                _ = self.hung_up.recv() => node.reload(),
                Some(within) = next_order(&mut self.orders) => return End::Drained(within),
            }
        }
    }
}

async fn next_order(orders: &mut Option<mpsc::Receiver<Duration>>) -> Option<Duration> {
    match orders {
        Some(orders) => orders.recv().await,
        None => std::future::pending().await,
    }
}

/// Until the node is to stop, having drained where there was time for it.
async fn until_the_end(node: &Node, ends: &mut Ends) {
    let mut end = ends.next(node).await;
    while let End::Drained(within) = end {
        tokio::select! {
            () = node.drain(within) => return,
            next = ends.next(node) => end = next,
        }
    }
}
