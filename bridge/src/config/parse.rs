//! From raw values to [`Config`]: everything that must hold is checked here.

use super::layers::Layers;
use super::reader::{ConfigErrors, Reader};
use super::{
    AuthConfig, Config, GeoConfig, HttpConfig, HttpTls, LogConfig, MeshConfig, MeshIdentity, MetricsConfig,
    NodeConfig, TestingConfig, directory, limits, media, turn,
};
use crate::link::RateLimits;
use crate::link::tls::{CertificateFiles, MIN_SECRET_BYTES};
use crate::link::transport::{LARGEST_MTU, SMALLEST_MTU};
use geo::{Anchor, GeoPoint, Override};
use relay_proto::id::NodeName;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Value;

/// Where HTTP is served unless the operator says otherwise.
pub const DEFAULT_HTTP_LISTEN: &str = "127.0.0.1:7880";
/// Shorter than what service managers usually wait for (30 s in Kubernetes), with time left to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(20);
/// Longest node name: it stands in a certificate as one DNS label (RFC 1035).
const MAX_NAME_BYTES: usize = 63;
/// Shortest API secret accepted; signatures with less can be guessed.
const MIN_KEY_SECRET_BYTES: usize = 16;
/// Where a node stands that does not say: without peers it makes no difference.
const ANYWHERE: GeoPoint = match GeoPoint::new(0.0, 0.0) {
    Ok(point) => point,
    Err(_) => panic!("invariant: latitude and longitude 0 exist"),
};

/// The configuration in `layers`, and the effective raw values by key. `cores` gives the default number of shards.
///
/// # Errors
/// [`ConfigErrors`] with everything that is wrong at once.
pub fn parse(layers: Layers, cores: usize) -> Result<(Config, BTreeMap<String, Value>), ConfigErrors> {
    let mut reader = Reader::new(layers);
    let mesh = mesh(&mut reader);
    let node = node(
        &mut reader,
        mesh.as_ref().is_some_and(|mesh| !mesh.peers.is_empty()),
    );
    let http = http(&mut reader);
    let media = media::read(&mut reader, cores, &http);
    let config = Config {
        node,
        testing: testing(&mut reader, http.listen),
        http,
        media,
        turn: turn::read(&mut reader),
        directory: directory::read(&mut reader, mesh.is_some()),
        mesh,
        geo: geo(&mut reader),
        auth: auth(&mut reader),
        log: log(&mut reader),
        limits: limits::read(&mut reader),
        metrics: MetricsConfig {
            listen: reader.parsed("metrics.listen"),
        },
    };
    reader.finish().map(|effective| (config, effective))
}

/// Whether a node may be called so.
pub(crate) fn is_node_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(allowed)
}

fn node(reader: &mut Reader, has_peers: bool) -> NodeConfig {
    let name = reader.text_or("node.name", "node");
    if !is_node_name(&name) {
        reader.refuse(
            "node.name",
            format!("\"{name}\": 1 to {MAX_NAME_BYTES} lower-case letters, digits and hyphens are needed"),
        );
    }
    let region = reader.text_or("node.region", &name);
    let (latitude, longitude) = (reader.number("node.latitude"), reader.number("node.longitude"));
    let point = match (latitude, longitude) {
        (Some(latitude), Some(longitude)) => GeoPoint::new(latitude, longitude).map_err(|e| e.to_string()),
        (None, None) if !has_peers => Ok(ANYWHERE),
        _ => Err(
            "node.latitude and node.longitude are both needed: clients are sent to the nearest node".into(),
        ),
    };
    let point = point.unwrap_or_else(|why| {
        reader.refuse("node.latitude", why);
        ANYWHERE
    });
    NodeConfig {
        name: NodeName::from(name),
        region,
        point,
        data_dir: reader.text("node.data_dir").map(PathBuf::from),
        capacity: count_u32(reader, "node.capacity", signaling::SignalingConfig::NODE_CAPACITY),
        drain_within: reader.duration_or("node.drain_within", DRAIN_WITHIN),
    }
}

fn http(reader: &mut Reader) -> HttpConfig {
    let listen = address_or(reader, "http.listen", DEFAULT_HTTP_LISTEN);
    let tls = http_tls(reader);
    let trusted_proxies = reader.parsed_list("http.trusted_proxies");
    if tls.is_none() && !listen.ip().is_loopback() && trusted_proxies.is_empty() {
        reader.refuse(
            "http.listen",
            format!(
                "plain HTTP on {listen} would be readable on the way; set http.tls.cert and http.tls.key, listen on \
                 127.0.0.1, or declare the proxy in front in http.trusted_proxies"
            ),
        );
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    if listen.ip().is_unspecified() && !reader.has("http.public_url") {
        reader.refuse(
            "http.public_url",
            "needed where http.listen is a wildcard: clients connect to it",
        );
    }
    let public_url = reader.text_or("http.public_url", &format!("{scheme}://{listen}"));
    if !(public_url.starts_with("http://") || public_url.starts_with("https://")) {
        reader.refuse(
            "http.public_url",
            format!("\"{public_url}\" must begin with http:// or https://"),
        );
    }
    HttpConfig {
        listen,
        public_url: public_url.trim_end_matches('/').to_owned(),
        tls,
        trusted_proxies,
    }
}

/// Simulated faults must not get into production by a copied file: they are taken only where nobody else gets in.
fn testing(reader: &mut Reader, http: SocketAddr) -> TestingConfig {
    let simulate = reader.switch_or("testing.simulate", false);
    if simulate && !http.ip().is_loopback() {
        reader.refuse(
            "testing.simulate",
            format!("is for tests on one machine; http.listen = {http} lets others in"),
        );
    }
    TestingConfig { simulate }
}

fn http_tls(reader: &mut Reader) -> Option<HttpTls> {
    match (reader.text("http.tls.cert"), reader.text("http.tls.key")) {
        (Some(certificate), Some(key)) => Some(HttpTls {
            certificate: certificate.into(),
            key: key.into(),
        }),
        (None, None) => None,
        (Some(_), None) => {
            reader.refuse("http.tls.key", "needed with http.tls.cert");
            None
        }
        (None, Some(_)) => {
            reader.refuse("http.tls.cert", "needed with http.tls.key");
            None
        }
    }
}

/// What [`MeshConfig::stretch`] is if nothing else is said.
const DEFAULT_STRETCH: f64 = 1.2;
/// What [`MeshConfig::steer_gain`] is if nothing else is said.
const DEFAULT_STEER_GAIN: Duration = Duration::from_millis(signaling::SignalingConfig::STEER_GAIN_MS as u64);

fn mesh(reader: &mut Reader) -> Option<MeshConfig> {
    let files = mesh_files(reader);
    let secret = reader.text("mesh.secret");
    let peers = reader.list("mesh.peers");
    let defaults = RateLimits::default();
    let rates = RateLimits {
        initial_bps: reader.rate_or("mesh.initial_rate", defaults.initial_bps),
        cap_bps: reader.rate_or("mesh.max_rate", defaults.cap_bps),
        ..defaults
    };
    if rates.cap_bps < rates.floor_bps {
        reader.refuse("mesh.max_rate", "less than audio needs (500kbit/s)");
    }
    let initial_mtu = reader.count_or("mesh.initial_mtu", u64::from(SMALLEST_MTU));
    let mtus = u64::from(SMALLEST_MTU)..=u64::from(LARGEST_MTU);
    if !mtus.contains(&initial_mtu) {
        reader.refuse(
            "mesh.initial_mtu",
            format!("{SMALLEST_MTU} to {LARGEST_MTU} bytes are possible"),
        );
    }
    let stretch = reader.number_or("mesh.stretch", DEFAULT_STRETCH);
    if !(1.0..=10.0).contains(&stretch) {
        reader.refuse("mesh.stretch", "1 to 10 are possible");
    }
    let unsigned_rows = reader.switch_or("mesh.unsigned_rows", false);
    let steer = reader.switch_or("mesh.steer", true);
    let steer_gain = reader.duration_or("mesh.steer_gain", DEFAULT_STEER_GAIN);
    for peer in &peers {
        if peer
            .rsplit_once(':')
            .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            reader.refuse("mesh.peers", format!("\"{peer}\" is not host:port"));
        }
    }
    let Some(listen) = reader.parsed("mesh.listen") else {
        if !peers.is_empty() {
            reader.refuse(
                "mesh.listen",
                "needed with mesh.peers, for example \"0.0.0.0:7890\"",
            );
        }
        return None;
    };
    let identity = mesh_identity(reader, secret, files)?;
    Some(MeshConfig {
        listen,
        identity,
        peers,
        rates,
        initial_mtu: initial_mtu as u16,
        stretch,
        unsigned_rows,
        steer,
        steer_gain,
    })
}

fn mesh_identity(
    reader: &mut Reader,
    secret: Option<String>,
    files: Option<CertificateFiles>,
) -> Option<MeshIdentity> {
    match (secret, files) {
        (Some(_), Some(_)) => {
            reader.refuse("mesh.secret", "either this or mesh.tls, not both");
            None
        }
        (None, None) => {
            reader.refuse(
                "mesh.secret",
                "needed with mesh.listen (or mesh.tls.cert, .key and .ca)",
            );
            None
        }
        (Some(secret), None) if secret.len() < MIN_SECRET_BYTES => {
            reader.refuse(
                "mesh.secret",
                format!(
                    "{} bytes; at least {MIN_SECRET_BYTES} are needed (`openssl rand -base64 32`)",
                    secret.len()
                ),
            );
            None
        }
        (Some(secret), None) => Some(MeshIdentity::Secret(secret)),
        (None, Some(files)) => Some(MeshIdentity::Files(files)),
    }
}

fn mesh_files(reader: &mut Reader) -> Option<CertificateFiles> {
    const PATHS: [&str; 3] = ["mesh.tls.cert", "mesh.tls.key", "mesh.tls.ca"];
    let [certificate, key, authority] = PATHS.map(|path| reader.text(path));
    if certificate.is_none() && key.is_none() && authority.is_none() {
        return None;
    }
    for (path, value) in PATHS.iter().zip([&certificate, &key, &authority]) {
        if value.is_none() {
            reader.refuse(path, "mesh.tls needs cert, key and ca");
        }
    }
    Some(CertificateFiles {
        certificate: certificate?.into(),
        key: key?.into(),
        authority: authority?.into(),
    })
}

fn geo(reader: &mut Reader) -> GeoConfig {
    const NETWORKS: &str = "geo.overrides.networks";
    let mut networks = Vec::new();
    for (net, place) in reader.map(NETWORKS) {
        match (net.parse(), anchor(&place)) {
            (Ok(net), Ok(anchor)) => networks.push(Override { net, anchor }),
            (Err(error), _) => reader.refuse(NETWORKS, format!("\"{net}\": {error}")),
            (_, Err(error)) => reader.refuse(NETWORKS, format!("\"{place}\": {error}")),
        }
    }
    GeoConfig {
        databases: reader
            .list("geo.databases")
            .into_iter()
            .map(PathBuf::from)
            .collect(),
        default_region: reader.text("geo.default_region"),
        networks,
        query_parameter: reader.text("geo.overrides.query_parameter"),
        header: reader.text("geo.overrides.header"),
    }
}

fn anchor(text: &str) -> Result<Anchor, String> {
    const FORMS: &str = "expected \"node:NAME\", \"region:LABEL\" or \"LATITUDE,LONGITUDE\"";
    if let Some(node) = text.strip_prefix("node:") {
        return Ok(Anchor::Node(node.to_owned()));
    }
    if let Some(region) = text.strip_prefix("region:") {
        return Ok(Anchor::Region(region.to_owned()));
    }
    let (latitude, longitude) = text.split_once(',').ok_or(FORMS)?;
    let degrees = |text: &str| text.trim().parse::<f64>().map_err(|_| FORMS);
    let point = GeoPoint::new(degrees(latitude)?, degrees(longitude)?).map_err(|e| e.to_string())?;
    Ok(Anchor::Point(point))
}

fn auth(reader: &mut Reader) -> AuthConfig {
    let keys = reader.map("auth.keys");
    let anonymous_join = reader.switch_or("auth.anonymous_join", true);
    if keys.is_empty() {
        reader.refuse(
            "auth.keys",
            "at least one API key is needed, for example [auth.keys] meetings = \"…\"",
        );
    }
    for (name, secret) in &keys {
        if name.is_empty() || secret.len() < MIN_KEY_SECRET_BYTES {
            reader.refuse(
                "auth.keys",
                format!(
                    "the secret of key \"{name}\" has {} bytes; {MIN_KEY_SECRET_BYTES} are needed",
                    secret.len()
                ),
            );
        }
    }
    let token_ttl = reader.duration_or("auth.token_ttl", signaling::SignalingConfig::TOKEN_TTL);
    AuthConfig {
        keys,
        anonymous_join,
        token_ttl,
    }
}

fn log(reader: &mut Reader) -> LogConfig {
    let level = reader.text_or("log.level", "info");
    if let Err(error) = level.parse::<tracing_subscriber::filter::EnvFilter>() {
        reader.refuse("log.level", format!("\"{level}\": {error}"));
    }
    let format = reader.text_or("log.format", "text");
    if !["text", "json"].contains(&format.as_str()) {
        reader.refuse("log.format", format!("\"{format}\": text or json are possible"));
    }
    LogConfig {
        level,
        json: format == "json",
    }
}

pub(super) fn address_or(reader: &mut Reader, path: &str, default: &'static str) -> SocketAddr {
    let default = default
        .parse()
        .expect("invariant: the defaults of this file are addresses");
    address_or_same(reader, path, default)
}

/// As [`address_or`], where the default is another key's value.
pub(super) fn address_or_same(reader: &mut Reader, path: &str, default: SocketAddr) -> SocketAddr {
    if !reader.has(path) {
        reader.text_or(path, &format!("{default}"));
    }
    reader.parsed(path).unwrap_or(default)
}

fn count_u32(reader: &mut Reader, path: &str, default: u32) -> u32 {
    let count = reader.count_or(path, u64::from(default));
    u32::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .unwrap_or_else(|| {
            reader.refuse(path, format!("{count}: 1 to {} are possible", u32::MAX));
            default
        })
}
