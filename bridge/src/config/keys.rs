//! Every key there is.

use super::limits::LIMITS;
use super::nearest::nearest;

/// What a key holds, as raw TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string; also addresses, durations and sizes, which carry their unit.
    Text,
    /// A string that is never printed.
    Secret,
    /// A number with or without a fraction.
    Number,
    /// Whole and not negative.
    Count,
    /// `true` or `false`.
    Switch,
    /// A list of strings; in flags and variables separated by commas.
    List,
    /// Names with strings; in flags and variables `name=value`, separated by commas.
    Map,
    /// A map whose values are never printed.
    SecretMap,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Full name, `section.key`.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// One line for `--help`.
    pub help: &'static str,
}

const fn key(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, help }
}

/// All keys but the limits, by section.
const KEYS: &[Key] = &[
    key(
        "directory.kind",
        Kind::Text,
        "who knows which node hosts which room: rows (the mesh itself) or etcd",
    ),
    key(
        "directory.endpoints",
        Kind::List,
        "members of etcd, http://HOST:PORT or https://HOST:PORT",
    ),
    key(
        "directory.prefix",
        Kind::Text,
        "what all keys in etcd begin with; one for each mesh",
    ),
    key(
        "directory.lease",
        Kind::Text,
        "how long what a node has said in etcd outlives it",
    ),
    key(
        "directory.rows",
        Kind::Switch,
        "tell of rooms in rows, too, while nodes change over to etcd",
    ),
    key("directory.username", Kind::Text, "for etcd with authentication"),
    key("directory.password", Kind::Secret, "for etcd with authentication"),
    key(
        "directory.tls.ca",
        Kind::Text,
        "PEM file with the authority of etcd's certificates",
    ),
    key(
        "directory.tls.cert",
        Kind::Text,
        "PEM file with this node's certificate for etcd",
    ),
    key("directory.tls.key", Kind::Text, "PEM file with its key"),
    key("node.name", Kind::Text, "name of this node, unique in the mesh"),
    key("node.region", Kind::Text, "label of the place, shown to people"),
    key("node.latitude", Kind::Number, "degrees, -90 to 90"),
    key("node.longitude", Kind::Number, "degrees, -180 to 180"),
    key(
        "node.data_dir",
        Kind::Text,
        "folder for small files that outlive the process",
    ),
    key(
        "node.capacity",
        Kind::Count,
        "participants this node is meant for",
    ),
    key(
        "node.drain_within",
        Kind::Text,
        "time in which SIGTERM sends everybody to other nodes; 0s stops at once",
    ),
    key(
        "http.listen",
        Kind::Text,
        "TCP address for web client, signalling and operators",
    ),
    key("http.public_url", Kind::Text, "base URL as clients see it"),
    key("http.tls.cert", Kind::Text, "PEM file with the certificate chain"),
    key("http.tls.key", Kind::Text, "PEM file with the key"),
    key(
        "http.trusted_proxies",
        Kind::List,
        "networks whose X-Forwarded-For is believed",
    ),
    key(
        "media.udp_listen",
        Kind::Text,
        "UDP address of the first media thread; others take the next ports",
    ),
    key(
        "media.tcp",
        Kind::Switch,
        "serve clients whose UDP is blocked by TCP (ICE-TCP)",
    ),
    key(
        "media.tcp_listen",
        Kind::Text,
        "TCP address for them, all media threads; by default that of media.udp_listen",
    ),
    key(
        "media.tcp_beside_https",
        Kind::Switch,
        "serve them at http.listen, too; by default where http.tls is set",
    ),
    key(
        "media.advertise",
        Kind::List,
        "IP addresses clients are told, the one to be tried first in front: at most 8",
    ),
    key(
        "media.estimate_paths",
        Kind::Switch,
        "choose layers by what each client's path carries; false only to measure against",
    ),
    key(
        "media.shards",
        Kind::Count,
        "media threads; by default one per core, at most 8",
    ),
    key(
        "turn.urls",
        Kind::List,
        "turn: and turns: URLs of TURN servers clients get credentials for, at most 8",
    ),
    key(
        "turn.secret",
        Kind::Secret,
        "shared with the TURN servers (coturn: static-auth-secret)",
    ),
    key(
        "turn.ttl",
        Kind::Text,
        "how long a credential may be used to begin with",
    ),
    key(
        "mesh.listen",
        Kind::Text,
        "UDP address for links; without it the node stands alone",
    ),
    key("mesh.secret", Kind::Secret, "shared by all nodes of the mesh"),
    key("mesh.tls.cert", Kind::Text, "PEM file, instead of mesh.secret"),
    key("mesh.tls.key", Kind::Text, "PEM file, instead of mesh.secret"),
    key("mesh.tls.ca", Kind::Text, "PEM file, instead of mesh.secret"),
    key("mesh.peers", Kind::List, "host:port of every other node"),
    key(
        "mesh.initial_rate",
        Kind::Text,
        "what a link is taken to carry before anything is known",
    ),
    key("mesh.max_rate", Kind::Text, "most one link may take"),
    key(
        "mesh.initial_mtu",
        Kind::Count,
        "UDP payload every path is known to take, 1200 to 1452 bytes",
    ),
    key(
        "mesh.unsigned_rows",
        Kind::Switch,
        "believe rows that others pass on without their owner's signature",
    ),
    key(
        "mesh.stretch",
        Kind::Number,
        "how many times its shortest way a node's media may take, 1 to 10",
    ),
    key(
        "mesh.steer",
        Kind::Switch,
        "whether clients that stay on the node they know get their media on a nearer one",
    ),
    key(
        "mesh.steer_gain",
        Kind::Text,
        "predicted round trip it must save them",
    ),
    key(
        "geo.databases",
        Kind::List,
        "MMDB files, finest first; the embedded one stands behind them",
    ),
    key(
        "geo.default_region",
        Kind::Text,
        "where addresses are taken to be that nothing is known about",
    ),
    key(
        "geo.overrides.networks",
        Kind::Map,
        "network = \"node:N\", \"region:R\" or \"latitude,longitude\"",
    ),
    key(
        "geo.overrides.query_parameter",
        Kind::Text,
        "join parameter that stands for the client's address",
    ),
    key(
        "geo.overrides.header",
        Kind::Text,
        "request header that stands for the client's address",
    ),
    key(
        "auth.keys",
        Kind::SecretMap,
        "API key = secret; the same on all nodes",
    ),
    key(
        "auth.anonymous_join",
        Kind::Switch,
        "whether a meeting link is enough to join",
    ),
    key(
        "auth.token_ttl",
        Kind::Text,
        "validity of tokens given to people without one",
    ),
    key(
        "log.level",
        Kind::Text,
        "error, warn, info, debug, trace, or by module",
    ),
    key("log.format", Kind::Text, "text or json"),
    key(
        "testing.simulate",
        Kind::Switch,
        "whether clients may ask for simulated faults; only where http.listen is a loopback address",
    ),
    key("metrics.listen", Kind::Text, "own TCP address for /metrics"),
];

/// Every key, limits included.
pub fn all() -> impl Iterator<Item = Key> {
    KEYS.iter().copied().chain(
        LIMITS
            .iter()
            .map(|limit| key(limit.path, limit.kind(), limit.help)),
    )
}

/// The key called `path`.
#[must_use]
pub fn find(path: &str) -> Option<Key> {
    all().find(|key| key.path == path)
}

/// Whether `path` is a table on the way to a key.
#[must_use]
pub fn is_section(path: &str) -> bool {
    all().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The environment variable of a key: `mesh.tls.ca` is `CAUSEWAY_MESH_TLS_CA`.
#[must_use]
pub fn variable(path: &str) -> String {
    format!("CAUSEWAY_{}", path.replace('.', "_").to_uppercase())
}

/// The valid name nearest to a wrong one.
#[must_use]
pub fn suggestion(wrong: &str) -> Option<&'static str> {
    nearest(wrong, all().map(|key| key.path))
}
