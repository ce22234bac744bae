//! Tests of the control machine: its pure parts alone, and whole meshes in virtual time.

mod audiences;
mod codecs;
mod detector;
mod directory;
mod lies;
mod links;
mod liveness;
mod moving;
mod random;
mod refusals;
mod replay;
mod resync;
mod rooms;
mod roster;
mod route;
mod rows;
mod size;
mod spread;
mod transit;

use super::config::MeshConfig;
use super::testing::{FakeShards, MeshNet, NodeIndex, Path, announce, join_command};
use relay_proto::id::SessionId;
use relay_proto::room::MediaKind;
use relay_proto::session::{SessionCommand, SessionFact};
use std::time::{Duration, Instant};

/// A mesh with fake shards.
type Net = MeshNet<FakeShards>;

/// The only clock read of the tests: where virtual time begins does not matter.
#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn beginning() -> Instant {
    Instant::now()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Nodes of those names, 40 ms apart, linked.
fn net_of(seed: u64, names: &[&str]) -> Net {
    let mut net = unlinked_net(seed, names, Path::of_ms(40));
    net.run(ms(2_000));
    net
}

fn unlinked_net(seed: u64, names: &[&str], path: Path) -> Net {
    let configs = names.iter().map(|name| MeshConfig::named(name)).collect();
    unlinked_net_of(seed, configs, path)
}

/// As [`unlinked_net`], of nodes with those configurations.
fn unlinked_net_of(seed: u64, configs: Vec<MeshConfig>, path: Path) -> Net {
    MeshNet::new(seed, beginning(), configs, path, |_| FakeShards::default())
}

/// Opens a session.
fn join(net: &mut Net, node: NodeIndex, serial: u32, room: &str, identity: &str) -> SessionId {
    let entry = net.id(node);
    net.command(node, join_command(entry, serial, room, identity));
    SessionId { entry, serial }
}

fn leave(net: &mut Net, node: NodeIndex, session: SessionId) {
    let cause = relay_proto::room::LeaveCause::ClientLeft;
    net.command(node, SessionCommand::CloseSession { session, cause });
}

/// Announces a voice.
fn publish(net: &mut Net, node: NodeIndex, session: SessionId, sid: &str) {
    net.command(node, announce(session, sid, MediaKind::Audio));
}

/// Whom the clients of a node in a room see.
fn seen(net: &Net, node: NodeIndex, room: &str) -> Vec<String> {
    let people = net.clients(node).people(&room.into());
    people
        .map(|people| people.keys().map(ToString::to_string).collect())
        .unwrap_or_default()
}

/// How a session ended, if it did.
fn end_of(facts: &[SessionFact], of: SessionId) -> Option<relay_proto::session::EndCause> {
    facts.iter().find_map(|fact| match fact {
        SessionFact::SessionEnded { session, cause } if *session == of => Some(cause.clone()),
        _ => None,
    })
}
