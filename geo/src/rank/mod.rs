//! Which node is best for a client: an ordered list, with reasons.
//!
//! The order is total and left to nothing by chance: the same request, candidates and policy give the same ranking,
//! whatever the order of the candidates. What costs how much is in `cost`, the words for it in `reason`.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::country::CountryCode;
use crate::latency::Measured;
use crate::locate::{Anchor, Place, Precision};
use crate::point::GeoPoint;
use crate::policy::Policy;

mod cost;
mod reason;
#[cfg(test)]
mod tests;

use cost::Costs;
pub use reason::{Exclusion, Reason};

/// A client that needs a node.
#[derive(Debug, Clone, PartialEq)]
pub struct RankRequest {
    /// Where it is.
    pub place: Place,
    /// What it asked for by query or header, where that is configured. Wins over an override of its network.
    pub wish: Option<Wish>,
    /// Names of nodes it could not reach.
    pub unreachable: BTreeSet<String>,
    /// Round trips it measured itself, by node name.
    pub measured: BTreeMap<String, Measured>,
}

/// A node or a region that is preferred over everything that costs only milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The node of this name.
    Node(String),
    /// Any node of this region.
    Region(String),
}

/// A node that may be chosen. Names are unique in a mesh.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Name of the node.
    pub name: String,
    /// Label of its region.
    pub region: String,
    /// Country it stands in, where the operator states it; needed by residency rules by country only.
    pub country: Option<CountryCode>,
    /// Where it is.
    pub point: GeoPoint,
    /// What a client connects to.
    pub url: String,
    /// Load with reservations, 0 to 1; anything that is not a number counts as full.
    pub load: f32,
    /// Whether it takes clients.
    pub state: NodeState,
    /// Participants of the room in question that are on it.
    pub participants_in_room: u32,
    /// Round trips it measured to other nodes, milliseconds, by name. Missing ones are predicted from distance.
    pub mesh_rtt_ms: BTreeMap<String, f64>,
}

/// State of a node as the one who ranks sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Takes clients.
    Up,
    /// Keeps its clients, takes no new ones.
    Draining,
    /// Missed its last signs of life.
    Suspect,
    /// Gone.
    Dead,
}

/// The answer to a request: never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Nodes that can take the client, best first; at least one.
    pub ordered: Vec<Ranked>,
    /// Nodes that cannot, by name.
    pub excluded: Vec<Excluded>,
    /// What was asked for and cannot be had: no node that takes the client fulfils it.
    pub unmet_wish: Option<Wish>,
}

/// A node in its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Name of the node.
    pub name: String,
    /// Label of its region.
    pub region: String,
    /// What a client connects to.
    pub url: String,
    /// Round trip between client and node as it was counted, milliseconds.
    pub access_rtt_ms: f64,
    /// Everything that was counted, as milliseconds. Lower is better; a wish goes before it.
    pub cost_ms: f64,
    /// Why it stands here; the most important first.
    pub reasons: Vec<Reason>,
}

/// A node that cannot be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Excluded {
    /// Name of the node.
    pub name: String,
    /// Why; the first reason found, in the order state, client, residency, load.
    pub why: Exclusion,
}

/// Nobody can take the client.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RankError {
    /// The list of candidates was empty.
    #[error("no node is known")]
    NoCandidates,
    /// Every candidate is excluded.
    #[error("no node can take this client: {}", sentence(excluded))]
    AllExcluded {
        /// Each candidate with its reason, by name.
        excluded: Vec<Excluded>,
    },
}

impl RankRequest {
    /// A request that knows only where the client is.
    #[must_use]
    pub const fn at(place: Place) -> Self {
        Self {
            place,
            wish: None,
            unreachable: BTreeSet::new(),
            measured: BTreeMap::new(),
        }
    }

    /// The wish in force: the client's own, else what the operator's override for its network says.
    fn effective_wish(&self) -> Option<Wish> {
        let from_override = match (&self.place.anchor, self.place.precision) {
            (Anchor::Node(name), Precision::Override) => Some(Wish::Node(name.clone())),
            (Anchor::Region(label), Precision::Override) => Some(Wish::Region(label.clone())),
            _ => None,
        };
        self.wish.clone().or(from_override)
    }
}

impl Wish {
    fn is_met_by(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Node(name) => *name == candidate.name,
            Self::Region(label) => *label == candidate.region,
        }
    }
}

impl Ranking {
    /// The best node.
    ///
    /// # Panics
    /// Never: a ranking has at least one node.
    #[must_use]
    pub fn best(&self) -> &Ranked {
        self.ordered
            .first()
            .expect("invariant: rank returns an error instead of an empty ranking")
    }
}

impl Ranked {
    /// The reasons as sentences, for people.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        self.reasons.iter().map(Reason::to_string).collect()
    }
}

/// Ranks `candidates` for `request` under `policy`.
///
/// Nodes that cannot take the client are listed apart with their reasons. The others are ordered by: fulfils the
/// wish; cost in milliseconds (round trip to the client + weighted mean round trip to the rest of the room + cost
/// of splitting the room + cost of load); name; region; address. Cost: a few microseconds for ten candidates,
/// quadratic in their number.
///
/// # Errors
/// [`RankError`] when there is no candidate, or none that can take the client, with all reasons.
pub fn rank(request: &RankRequest, candidates: &[Candidate], policy: &Policy) -> Result<Ranking, RankError> {
    if candidates.is_empty() {
        return Err(RankError::NoCandidates);
    }
    let (sorted, mut excluded) = sorted_unique(candidates);
    let wish = request.effective_wish();
    let costs = Costs::new(request, &sorted, policy);
    let mut ordered: Vec<(bool, Ranked)> = Vec::new();
    for candidate in &sorted {
        match exclusion(request, candidate, policy) {
            Some(why) => excluded.push(Excluded {
                name: candidate.name.clone(),
                why,
            }),
            None => {
                let asked = wish.as_ref().is_some_and(|wish| wish.is_met_by(candidate));
                ordered.push((asked, costs.ranked(candidate, asked)));
            }
        }
    }
    excluded.sort_by(|a, b| a.name.cmp(&b.name));
    if ordered.is_empty() {
        return Err(RankError::AllExcluded { excluded });
    }
    // `sorted` is in order of name and the sort is stable: equal costs stay in that order.
    ordered.sort_by(|(asked_a, a), (asked_b, b)| asked_b.cmp(asked_a).then(a.cost_ms.total_cmp(&b.cost_ms)));
    let unmet_wish = wish.filter(|_| !ordered.iter().any(|(asked, _)| *asked));
    Ok(Ranking {
        ordered: ordered.into_iter().map(|(_, ranked)| ranked).collect(),
        excluded,
        unmet_wish,
    })
}

/// Candidates by name, each name once; the others of a name are excluded.
fn sorted_unique(candidates: &[Candidate]) -> (Vec<&Candidate>, Vec<Excluded>) {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| {
        (&a.name, &a.region, &a.url, a.participants_in_room, a.state)
            .cmp(&(&b.name, &b.region, &b.url, b.participants_in_room, b.state))
            .then(a.load.total_cmp(&b.load))
    });
    let mut excluded = Vec::new();
    sorted.dedup_by(|later, kept| {
        let same = later.name == kept.name;
        if same {
            excluded.push(Excluded {
                name: later.name.clone(),
                why: Exclusion::DuplicateName,
            });
        }
        same
    });
    (sorted, excluded)
}

/// Why `candidate` cannot take the client, if it cannot.
fn exclusion(request: &RankRequest, candidate: &Candidate, policy: &Policy) -> Option<Exclusion> {
    match candidate.state {
        NodeState::Up => {}
        NodeState::Draining => return Some(Exclusion::Draining),
        NodeState::Suspect => return Some(Exclusion::Suspect),
        NodeState::Dead => return Some(Exclusion::Dead),
    }
    if request.unreachable.contains(&candidate.name) {
        return Some(Exclusion::Unreachable);
    }
    let broken = policy
        .residency
        .iter()
        .find(|rule| rule.forbids(request.place.country, &candidate.region, candidate.country));
    if let Some(rule) = broken {
        return Some(Exclusion::Residency {
            rule: rule.to_string(),
        });
    }
    let load = cost::load_of(candidate);
    (load >= policy.full_at).then_some(Exclusion::Full { load })
}

fn sentence(excluded: &[Excluded]) -> String {
    let parts: Vec<String> = excluded.iter().map(|e| format!("{} {}", e.name, e.why)).collect();
    parts.join("; ")
}
