//! What the operator wants of placement: weights and rules. Plain data; reading it from a file is the caller's.

use std::fmt;

use crate::country::CountryCode;

/// Weights and rules of [`rank`](crate::rank::rank()). All costs are milliseconds of round trip, so that they can
/// be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// A room is not opened on a further node unless that brings a client nearer by more than this, milliseconds.
    /// Default 5: below it nobody hears a difference, and every further node costs links and relays.
    pub split_gain_ms: f64,
    /// Weight of a millisecond between nodes against one between client and node, 0 to 1. Default 0.1: a link
    /// between nodes is provisioned and repaired hop by hop, while on the client's own path every loss costs a
    /// whole round trip. Raise it towards 1 where the mesh is no better than the public internet.
    pub mesh_weight: f64,
    /// Cost of a node at full load, milliseconds; grows with the square of the load. Default 40: at half load a
    /// node loses against an idle one 10 ms farther away.
    pub load_cost_ms: f64,
    /// Load (0 to 1, reservations included) from which a node takes nobody. Default 0.95.
    pub full_at: f32,
    /// Where clients may be served. All rules that apply to a client must hold.
    pub residency: Vec<ResidencyRule>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            split_gain_ms: 5.0,
            mesh_weight: 0.1,
            load_cost_ms: 40.0,
            full_at: 0.95,
            residency: Vec::new(),
        }
    }
}

/// One rule: these clients may be served there only, or never there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidencyRule {
    /// Whom it binds.
    pub clients: Clients,
    /// What it allows.
    pub nodes: Nodes,
}

/// Whom a rule binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// Every client.
    All,
    /// Clients whose address is in one of these countries. A client of unknown country is not bound.
    From(Vec<CountryCode>),
}

/// Which nodes a rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// Only nodes in one of these zones.
    Only(Vec<Zone>),
    /// No node in any of these zones.
    Never(Vec<Zone>),
}

/// A part of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    /// Nodes that state this country. A node that states none may be anywhere: it fails every rule by country.
    Country(CountryCode),
    /// Nodes of this region label.
    Region(String),
}

/// Whether something is in a zone, when that can be known.
enum Inside {
    Yes,
    No,
    Unknown,
}

impl Zone {
    fn holds(&self, region: &str, country: Option<CountryCode>) -> Inside {
        match self {
            Self::Region(label) if label == region => Inside::Yes,
            Self::Region(_) => Inside::No,
            Self::Country(code) => match country {
                Some(stated) if stated == *code => Inside::Yes,
                Some(_) => Inside::No,
                None => Inside::Unknown,
            },
        }
    }
}

impl ResidencyRule {
    /// Whether this rule forbids a node (its region and stated country) to a client of `client_country`.
    #[must_use]
    pub fn forbids(
        &self,
        client_country: Option<CountryCode>,
        region: &str,
        country: Option<CountryCode>,
    ) -> bool {
        let bound = match &self.clients {
            Clients::All => true,
            Clients::From(countries) => client_country.is_some_and(|code| countries.contains(&code)),
        };
        let allowed = match &self.nodes {
            Nodes::Only(zones) => zones
                .iter()
                .any(|z| matches!(z.holds(region, country), Inside::Yes)),
            Nodes::Never(zones) => zones
                .iter()
                .all(|z| matches!(z.holds(region, country), Inside::No)),
        };
        bound && !allowed
    }
}

impl fmt::Display for ResidencyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.clients {
            Clients::All => f.write_str("all clients")?,
            Clients::From(countries) => write!(f, "clients from {}", listed(countries))?,
        }
        match &self.nodes {
            Nodes::Only(zones) => write!(f, " only on nodes in {}", listed(zones)),
            Nodes::Never(zones) => write!(f, " never on nodes in {}", listed(zones)),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Country(code) => write!(f, "country {code}"),
            Self::Region(label) => write!(f, "region {label}"),
        }
    }
}

fn listed<T: fmt::Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(T::to_string).collect();
    texts.join(" or ")
}
