//! What the operator decides about signalling, as plain values; the binary reads them from its file.

use crate::limits::Limits;
use crate::turn::TurnServers;
use geo::cidr::Cidr;
use geo::point::GeoPoint;
use geo::policy::Policy;
use std::collections::BTreeMap;
use std::time::Duration;

/// Settings of the signalling of one node.
#[derive(Clone)]
pub struct SignalingConfig {
    /// Name of this node.
    pub node: String,
    /// The operator's label for the place of this node.
    pub region: String,
    /// Where this node is.
    pub point: GeoPoint,
    /// Base URL clients reach this node at (`http://…` or `https://…`).
    pub public_url: String,
    /// Version of the software, for people.
    pub software: String,
    /// API key to secret; the same on all nodes of a mesh. The first key signs the tokens of the join API.
    pub keys: BTreeMap<String, String>,
    /// Whether the join API gives tokens to people without one.
    pub anonymous_join: bool,
    /// How long a token of the join API is valid.
    pub token_ttl: Duration,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Where a client may state its address itself.
    pub overrides: GeoOverrides,
    /// Predicted gain in milliseconds from which on the media of a client is opened on a nearer node than the one it is
    /// connected to; none where that is turned off.
    pub steer_gain_ms: Option<f64>,
    /// How nodes are ranked.
    pub policy: Policy,
    /// Participants one node is meant for; how much of its load one assignment stands for until it reports.
    pub node_capacity: u32,
    /// TURN servers clients get credentials for, if the operator has any.
    pub turn: Option<TurnServers>,
    /// Whether clients may ask for simulated faults, for tests of clients. Never in production: anybody with a token can
    /// then be told, for itself, that the node fails.
    pub simulate: bool,
    /// Named limits.
    pub limits: Limits,
}

/// Places in a request where a client may state another address to be located by. Both off by default: only for demos,
/// tests and operators who have a front end that knows better.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeoOverrides {
    /// Name of a query parameter of the join API.
    pub query_parameter: Option<String>,
    /// Name of a request header.
    pub header: Option<String>,
}

impl SignalingConfig {
    /// Default of [`token_ttl`](Self::token_ttl).
    pub const TOKEN_TTL: Duration = Duration::from_secs(6 * 60 * 60);
    /// Default of [`steer_gain_ms`](Self::steer_gain_ms): less than that is hardly heard.
    pub const STEER_GAIN_MS: f64 = 40.0;
    /// Default of [`node_capacity`](Self::node_capacity).
    pub const NODE_CAPACITY: u32 = 1_000;
}

/// Secrets are left out.
impl std::fmt::Debug for SignalingConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalingConfig")
            .field("node", &self.node)
            .field("region", &self.region)
            .field("public_url", &self.public_url)
            .field("keys", &self.keys.keys())
            .field("anonymous_join", &self.anonymous_join)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("overrides", &self.overrides)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
