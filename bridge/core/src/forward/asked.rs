//! What the node before this one has been asked for on behalf of nodes behind.

use relay_proto::id::NodeId;
use relay_proto::unit::MediaSeq;
use std::time::{Duration, Instant};

/// Packets that are remembered as asked for, per layer.
const MAX_ASKED: usize = 256;
/// A packet is asked for once in this time, however many want it.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// Packets of one layer, when each was asked for last, and for whom.
#[derive(Debug, Default)]
pub struct Asked(Vec<(MediaSeq, Instant, NodeId)>);

impl Asked {
    /// Keeps of `seqs`, which `by` wants, those to ask for now: not what has just been asked for, and for one node no more
    /// than half of what can be.
    pub fn retain_fresh(&mut self, seqs: &mut Vec<MediaSeq>, by: NodeId, now: Instant) {
        let Self(asked) = self;
        asked.retain(|(_, at, _)| now.saturating_duration_since(*at) < ASK_INTERVAL);
        let mut of_node = asked.iter().filter(|(_, _, node)| *node == by).count();
        seqs.retain(|seq| {
            let fresh = asked.iter().all(|(known, _, _)| known != seq)
                && asked.len() < MAX_ASKED
                && of_node < MAX_ASKED / 2;
            if fresh {
                asked.push((*seq, now, by));
                of_node += 1;
            }
            fresh
        });
    }
}
