//! `causeway dev` and `causeway node`: a node until somebody stops it.

use super::arguments::load;
use super::{AnyError, say};
use crate::config::{Config, Layers};
use crate::media::random_seed;
use crate::node::Node;
use crate::telemetry;
use clap::ArgMatches;
use tokio::signal::unix::{SignalKind, signal};
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
        let node = Node::start(config)?;
        started(&node)?;
        wait_for_the_end(&node).await?;
        node.stop().await;
        Ok(())
    })
}

/// Until SIGTERM or Ctrl-C. SIGHUP reads location data and certificates again.
async fn wait_for_the_end(node: &Node) -> Result<(), AnyError> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
            _ = hung_up.recv() => node.reload(),
        }
    }
}
