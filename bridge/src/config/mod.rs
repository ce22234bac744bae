//! Configuration: a TOML file, over it environment variables, over them command-line flags.
//!
//! Every key is in the table of [`keys`] and nowhere else: from it follow the flag (`--mesh.listen`), the variable
//! (`CAUSEWAY_MESH_LISTEN`), the refusal of unknown keys with the nearest valid name, and what `check-config`
//! prints. [`layers`] gathers raw values with where they came from; `parse` turns them into [`Config`], whose types
//! admit no wrong value: what holds between keys is checked there, once, and never again.
//!
//! What may not live here: opening any file but the configuration, and any effect.

mod directory;
pub mod keys;
pub mod layers;
pub mod limits;
mod media;
mod nearest;
mod parse;
mod reader;
mod show;
mod turn;
pub mod units;

pub use layers::{Layers, Origin};
pub use limits::Limits;
pub(crate) use media::reached_by_tcp;
#[cfg(feature = "etcd")]
pub(crate) use parse::is_node_name;
pub use parse::{DEFAULT_HTTP_LISTEN, parse};
pub use reader::ConfigErrors;
pub use show::show;

use crate::directory::DirectoryConfig;
use crate::link::RateLimits;
use crate::link::tls::CertificateFiles;
use geo::{Cidr, GeoPoint, Override};
use relay_proto::id::NodeName;
use signaling::TurnServers;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

/// What a node is told, complete and consistent.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[node]`
    pub node: NodeConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[media]`
    pub media: MediaConfig,
    /// `[turn]`; none where the operator has no TURN server.
    pub turn: Option<TurnServers>,
    /// `[mesh]`; none for a node that stands alone.
    pub mesh: Option<MeshConfig>,
    /// `[directory]`
    pub directory: DirectoryConfig,
    /// `[geo]`
    pub geo: GeoConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[limits]`
    pub limits: Limits,
    /// `[metrics]`
    pub metrics: MetricsConfig,
    /// `[testing]`
    pub testing: TestingConfig,
}

/// What only tests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestingConfig {
    /// Whether clients may ask for simulated faults.
    pub simulate: bool,
}

/// Who and where the node is.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name, unique in the mesh: lower-case letters, digits and hyphens.
    pub name: NodeName,
    /// The operator's label for the place.
    pub region: String,
    /// Where it is.
    pub point: GeoPoint,
    /// Where it may keep small files.
    pub data_dir: Option<PathBuf>,
    /// Participants it is meant for.
    pub capacity: u32,
    /// In how much time it sends everybody to other nodes before it stops, where nothing else is said.
    pub drain_within: Duration,
}

/// How clients reach the node by HTTP.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// TCP address.
    pub listen: SocketAddr,
    /// Base URL as clients see it, without a slash at the end.
    pub public_url: String,
    /// Certificate and key; none for plain HTTP.
    pub tls: Option<HttpTls>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
}

/// The certificate of the HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTls {
    /// PEM file with the chain.
    pub certificate: PathBuf,
    /// PEM file with the key.
    pub key: PathBuf,
}

/// How media reaches the node.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// UDP address of the first shard; each further shard takes the next port. `[::]` takes IPv4 too.
    pub udp_listen: SocketAddr,
    /// Addresses that clients are told, the one to be tried first in front; at least one, none twice, every one of a
    /// family that `udp_listen` takes.
    pub advertise: Vec<IpAddr>,
    /// TCP address for clients whose UDP is blocked; none where they are not served, or only beside HTTPS.
    pub tcp_listen: Option<SocketAddr>,
    /// Whether the HTTPS listener takes such clients, too.
    pub tcp_beside_https: bool,
    /// Whether layers are chosen by what each client's path carries.
    pub estimates_paths: bool,
    /// Number of media threads.
    pub shards: NonZeroU8,
}

/// The links to other nodes.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// UDP address.
    pub listen: SocketAddr,
    /// How the node proves that it belongs to the mesh.
    pub identity: MeshIdentity,
    /// `host:port` of each peer.
    pub peers: Vec<String>,
    /// Bounds of each link's rate.
    pub rates: RateLimits,
    /// UDP payload that every path to a peer is known to take.
    pub initial_mtu: u16,
    /// How many times its shortest way the media of this node may take to another one, so that fewer copies cross the
    /// oceans; 1 to 10.
    pub stretch: f64,
    /// Whether rows that others pass on need not be signed.
    pub unsigned_rows: bool,
    /// Whether clients of this node may have their media on others, and clients of others here.
    pub steer: bool,
    /// From which predicted gain of round trip on they do.
    pub steer_gain: Duration,
}

/// What a node shows its peers. Debug output does not show the secret.
#[derive(Clone)]
pub enum MeshIdentity {
    /// Everything follows from a shared secret.
    Secret(String),
    /// Files of the operator's own authority.
    Files(CertificateFiles),
}

impl std::fmt::Debug for MeshIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::Files(files) => files.fmt(f),
        }
    }
}

/// How addresses become places.
#[derive(Clone, Debug)]
pub struct GeoConfig {
    /// Database files; the embedded one is always behind them.
    pub databases: Vec<PathBuf>,
    /// Region in which addresses are taken to be that nothing is known about.
    pub default_region: Option<String>,
    /// Networks whose place the operator states.
    pub networks: Vec<Override>,
    /// Query parameter of the join API that stands for the client's address.
    pub query_parameter: Option<String>,
    /// Request header that stands for the client's address.
    pub header: Option<String>,
}

/// Who may come in. Debug output does not show the secrets.
#[derive(Clone)]
pub struct AuthConfig {
    /// API key to secret; the same on all nodes of a mesh.
    pub keys: BTreeMap<String, String>,
    /// Whether the join API gives tokens to people without one.
    pub anonymous_join: bool,
    /// How long such a token is valid.
    pub token_ttl: Duration,
}

impl std::fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("keys", &self.keys.keys())
            .field("anonymous_join", &self.anonymous_join)
            .field("token_ttl", &self.token_ttl)
            .finish()
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Filter: a level, or levels by module (`info,bridge::link=debug`).
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// Figures for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Own address for `/metrics`; none serves it beside everything else.
    pub listen: Option<SocketAddr>,
}

#[cfg(test)]
mod tests;
