//! Which id clients know a track by. Only for people: datagrams carry aliases.

use bridge_core::shard::io::ShardCommand;
use relay_proto::id::{NodeId, TrackAlias, TrackSid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The names of all tracks that are routed now.
#[derive(Clone, Debug, Default)]
pub(super) struct TrackNames(Arc<BTreeMap<(NodeId, TrackAlias), TrackSid>>);

impl TrackNames {
    /// Learns the names that a command tells a shard.
    pub(super) fn learn(&mut self, us: NodeId, command: &ShardCommand) {
        let (origin, record) = match command {
            ShardCommand::AnnounceTrack { track, .. } => (us, &track.record),
            ShardCommand::UpsertRemoteTrack { origin, track, .. } => (*origin, &**track),
            _ => return,
        };
        if self.0.get(&(origin, record.alias)) != Some(&record.sid) {
            Arc::make_mut(&mut self.0).insert((origin, record.alias), record.sid.clone());
        }
    }

    /// Forgets a track that is routed no more.
    pub(super) fn forget(&mut self, origin: NodeId, track: TrackAlias) {
        Arc::make_mut(&mut self.0).remove(&(origin, track));
    }

    /// The name of a track, or a description of one that has just ended.
    #[must_use]
    pub(super) fn name(&self, origin: NodeId, track: TrackAlias) -> String {
        let known = self.0.get(&(origin, track)).map(ToString::to_string);
        known.unwrap_or_else(|| format!("{origin}/{}", track.0))
    }
}
