//! Who asks whom for rows, and what is answered: each node for its own, and few for those of others.
//!
//! A peer is asked for its own rows with every link and every few seconds. Rows of nodes without a link to us are asked of
//! the neighbour on the way to them, and of one more by turns, should that one keep something back.

use super::MeshCore;
use super::io::LinkId;
use super::rows::{Told, estimated_bytes};
use relay_proto::control::ControlMessage;
use relay_proto::id::NodeId;
use relay_proto::limit::MAX_ROWS;
use relay_proto::row::{DigestEntry, OwnerSummary, RowKey, SignedRow};
use relay_proto::version::Features;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tracing::warn;

/// A neighbour is asked about the same node once in this time, but for the regular rounds.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a peer has asked for.
#[derive(Debug)]
pub(super) enum Question {
    /// Everything newer than this.
    Digest(Vec<DigestEntry>),
    /// Our rows, or with `others` also those of nodes it has no link to.
    Summary { owners: Vec<OwnerSummary>, others: bool },
}

/// What has been asked, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Who was last asked for rows of others by turns.
    turn: Option<NodeId>,
    /// When a neighbour was asked about a node.
    about: BTreeMap<(NodeId, NodeId), Instant>,
}

impl MeshCore {
    /// Asks a peer for what we lack of its rows; with `others` also of those of nodes without a link to us.
    pub(super) fn ask_for_rows(&mut self, node: NodeId, others: bool) {
        let Some((link, peer)) = self
            .peers
            .get(&node)
            .and_then(|peer| Some((peer.state.link()?, peer)))
        else {
            return;
        };
        if !peer.features.has(Features::SIGNED) {
            let digest = self.rows.digest();
            self.out.control(link, ControlMessage::RowDigest(digest));
            return;
        }
        let unlinked = self
            .rows
            .owners()
            .filter(|owner| others && *owner != self.us && *owner != node && self.link_of(*owner).is_none());
        let asked: Vec<NodeId> = std::iter::once(node).chain(unlinked).collect();
        let owners = asked.into_iter().map(|owner| self.rows.summary(owner)).collect();
        self.out
            .control(link, ControlMessage::RowSummary { owners, others });
    }

    /// Asks every peer for its own rows, and a few for those of nodes that have no link to us.
    pub(super) fn ask_everybody(&mut self) {
        let now = self.looked_at;
        self.asking
            .about
            .retain(|_, at| now.saturating_duration_since(*at) < ASK_AGAIN);
        let linked: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.state.link().is_some())
            .map(|(node, _)| *node)
            .collect();
        let unlinked: Vec<NodeId> = self.unlinked().collect();
        let mut asked: BTreeSet<NodeId> = unlinked
            .into_iter()
            .filter_map(|node| self.next_hop(node))
            .collect();
        let next = linked
            .iter()
            .find(|node| self.asking.turn.is_none_or(|turn| turn < **node));
        self.asking.turn = next.or_else(|| linked.first()).copied();
        asked.extend(self.asking.turn);
        for node in linked {
            self.ask_for_rows(node, asked.contains(&node));
        }
    }

    /// Nodes that a way leads to, but no link of ours.
    fn unlinked(&self) -> impl Iterator<Item = NodeId> + '_ {
        let alive = self.alive.iter().copied();
        alive.filter(|node| self.link_of(*node).is_none())
    }

    /// Rows of nodes without a link to us may be missing: asks the neighbour on the way to each, or where there is none yet,
    /// everybody.
    pub(super) fn ask_about(&mut self, nodes: &[NodeId]) {
        let now = self.looked_at;
        let mut asked = BTreeSet::new();
        for node in nodes {
            let ways = match self.next_hop(*node).filter(|via| self.link_of(*via).is_some()) {
                Some(via) => vec![via],
                None => self.peers.keys().copied().collect(),
            };
            for via in ways {
                let before = self.asking.about.get(&(via, *node));
                if before.is_none_or(|at| now.saturating_duration_since(*at) >= ASK_AGAIN) {
                    self.asking.about.insert((via, *node), now);
                    asked.insert(via);
                }
            }
        }
        for via in asked {
            self.ask_for_rows(via, true);
        }
    }

    /// A peer asks for what it lacks. On a link that we have not selected yet the answer waits until we have:
    /// only from then on does the peer get every later row there.
    pub(super) fn on_question(&mut self, now: Instant, link: LinkId, from: NodeId, question: Question) {
        if self.link_of(from) != Some(link) {
            if let Some(link) = self.links.get_mut(&link) {
                link.early_question = Some(question);
            }
            return;
        }
        let rate = self.config.limits.max_row_questions_per_second as f64;
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if !peer.questions.take(now, rate, 1.0) {
            self.counters.row_questions_refused += 1;
            if self.counters.row_questions_refused == 1 {
                warn!(peer = %from, "a question for rows refused: limits.row_questions_per_second is reached");
            }
            return;
        }
        peer.has_our_rows = true;
        let features = peer.features;
        let mut rows = match question {
            Question::Digest(digest) => self.rows.newer_than(&digest, from),
            Question::Summary { owners, others } => self.lacking(from, &owners, others),
        };
        rows.retain(|told| may_read(features, &told.row.key));
        self.send_rows(link, features, rows);
    }

    /// Our rows that a peer lacks, and those of nodes that it has no link to.
    fn lacking(&self, reader: NodeId, held: &[OwnerSummary], others: bool) -> Vec<Told> {
        let held: BTreeMap<NodeId, &OwnerSummary> = held.iter().map(|entry| (entry.owner, entry)).collect();
        let us = self.us;
        let others = self.rows.owners().filter(|owner| {
            others && *owner != us && *owner != reader && !self.rows.are_linked(reader, *owner)
        });
        std::iter::once(us)
            .chain(others)
            .flat_map(|owner| self.rows.lacking(owner, held.get(&owner).copied()))
            .collect()
    }

    /// Sends rows in as many messages as they take: signed ones where the peer knows signatures, and of others' no other ones.
    pub(super) fn send_rows(&mut self, link: LinkId, features: Features, rows: Vec<Told>) {
        let us = self.us;
        let (mut signed, mut plain) = (Vec::new(), Vec::new());
        for told in rows {
            let is_ours = told.row.owner == us;
            let knows = features.has(Features::SIGNED);
            let provable = is_ours || self.rows.is_provable(told.row.owner, &told.row.key);
            match told.signature {
                Some(signature) if knows && provable => signed.push(SignedRow {
                    row: told.row,
                    signature,
                }),
                _ if is_ours || !knows || self.config.unsigned_rows => plain.push(told.row),
                _ => {}
            }
        }
        let max_bytes = self.config.limits.max_rows_message_bytes;
        for chunk in chunks(signed, max_bytes, |signed| estimated_bytes(&signed.row)) {
            self.out.control(link, ControlMessage::SignedRows(chunk));
        }
        for chunk in chunks(plain, max_bytes, estimated_bytes) {
            self.out.control(link, ControlMessage::Rows(chunk));
        }
    }
}

/// Whether a peer can read a row.
pub(super) const fn may_read(features: Features, key: &RowKey) -> bool {
    match key {
        RowKey::Transit => features.has(Features::TREES),
        RowKey::Identity => features.has(Features::SIGNED),
        RowKey::Node | RowKey::Link(_) | RowKey::Host(_) => true,
    }
}

/// Parts of a list that fit a message each.
fn chunks<T>(items: Vec<T>, max_bytes: usize, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut all, mut chunk, mut bytes) = (Vec::new(), Vec::new(), 0);
    for item in items {
        let size = bytes_of(&item);
        if !chunk.is_empty() && (bytes + size > max_bytes || chunk.len() == MAX_ROWS) {
            all.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += size;
        chunk.push(item);
    }
    if !chunk.is_empty() {
        all.push(chunk);
    }
    all
}
