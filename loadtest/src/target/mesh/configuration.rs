//! What a node is told in its configuration file. Pure but for the secret.

use std::net::Ipv4Addr;
use std::path::Path;

use super::NodeSpec;
use super::layout::NodePorts;
use crate::signalling::token::ApiKey;

const API_KEY: &str = "loadtest";

/// The key of a mesh, with a secret of its own for each run: two runs on one machine must not join.
pub(super) fn api(seed: u64) -> ApiKey {
    let mut random = [0; 16];
    // Without randomness the process number has to do: these nodes only ever listen on loopback.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        random[..4].copy_from_slice(&std::process::id().to_be_bytes());
        random[8..].copy_from_slice(&seed.to_be_bytes());
    }
    ApiKey {
        key: API_KEY.to_owned(),
        secret: random.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The file of one node.
pub(super) fn text(
    node: &NodeSpec,
    api: &ApiKey,
    address: Ipv4Addr,
    ports: NodePorts,
    peers: &[String],
    shards: Option<u16>,
    data: &Path,
) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let (name, region) = (quoted(&node.name), quoted(&node.region));
    let (latitude, longitude) = (node.latitude, node.longitude);
    let data = quoted(&data.to_string_lossy());
    let NodePorts { http, media, mesh } = ports;
    let ApiKey { key, secret } = api;
    let shards = shards.map_or_else(String::new, |shards| format!("shards = {shards}\n"));
    // A node serves plain HTTP off loopback only behind a proxy: declared is the network of namespaces, which none leaves.
    let proxies = if address.is_loopback() {
        ""
    } else {
        "trusted_proxies = [\"198.18.0.0/15\"]\n"
    };
    let peers: Vec<String> = peers.iter().map(|peer| quoted(peer)).collect();
    let peers = peers.join(", ");
    format!(
        "[node]\nname = {name}\nregion = {region}\nlatitude = {latitude:?}\nlongitude = {longitude:?}\n\
         data_dir = {data}\n\n\
         [http]\nlisten = \"{address}:{http}\"\npublic_url = \"http://{address}:{http}\"\n{proxies}\n\
         [media]\nudp_listen = \"{address}:{media}\"\nadvertise = [\"{address}\"]\n{shards}\n\
         [mesh]\nlisten = \"{address}:{mesh}\"\nsecret = \"{secret}\"\npeers = [{peers}]\n\n\
         [auth]\nanonymous_join = false\n\n[auth.keys]\n{key} = \"{secret}\"\n"
    )
}
