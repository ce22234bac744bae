//! `[media]`: where media comes in, and what clients are told about it.

use super::parse::{address_or, address_or_same};
use super::reader::Reader;
use super::{HttpConfig, MediaConfig};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;

/// Most media threads by default; more must be asked for.
const MAX_DEFAULT_SHARDS: u64 = 8;
/// Most addresses clients are told. Each is a candidate that every client checks, and the eighth is already more than a
/// node has ways in (two families, public and private, two providers).
const MAX_ADVERTISED_ADDRESSES: usize = 8;
const ADVERTISE: &str = "media.advertise";
const UDP_LISTEN: &str = "media.udp_listen";
const TCP_LISTEN: &str = "media.tcp_listen";
const TCP_BESIDE_HTTPS: &str = "media.tcp_beside_https";

pub(super) fn read(reader: &mut Reader, cores: usize, http: &HttpConfig) -> MediaConfig {
    let mut advertise: Vec<IpAddr> = reader.parsed_list(ADVERTISE);
    // Who tells clients an IPv6 address wants it to be answered.
    let default = if advertise.iter().any(IpAddr::is_ipv6) {
        "[::]:7882"
    } else {
        "0.0.0.0:7882"
    };
    let udp_listen = address_or(reader, UDP_LISTEN, default);
    if advertise.is_empty() {
        if udp_listen.ip().is_unspecified() {
            reader.refuse(
                ADVERTISE,
                "needed where media.udp_listen is a wildcard: the public IP addresses of this node",
            );
        }
        advertise.push(udp_listen.ip());
    } else {
        check_advertised(reader, &advertise, udp_listen);
    }
    let (tcp_listen, tcp_beside_https) = tcp(reader, udp_listen, http);
    MediaConfig {
        udp_listen,
        advertise,
        tcp_listen,
        tcp_beside_https,
        estimates_paths: reader.switch_or("media.estimate_paths", true),
        shards: shards(reader, cores, udp_listen),
    }
}

/// Where clients are served by TCP: an address of their own, and whether the HTTPS listener's, too. A port that is the
/// HTTPS listener's already means the latter.
fn tcp(reader: &mut Reader, udp_listen: SocketAddr, http: &HttpConfig) -> (Option<SocketAddr>, bool) {
    let is_stated = reader.has(TCP_LISTEN);
    let is_wanted = reader.switch_or("media.tcp", true);
    let listen = address_or_same(reader, TCP_LISTEN, udp_listen);
    let beside_https = reader.switch_or(TCP_BESIDE_HTTPS, http.tls.is_some());
    if !is_wanted {
        return (None, false);
    }
    if beside_https && http.tls.is_none() {
        reader.refuse(
            TCP_BESIDE_HTTPS,
            "needs http.tls.cert and http.tls.key: what comes in beside plain HTTP belongs to the proxy in front",
        );
    }
    let is_https_too = listen.port() != 0 && listen.port() == http.listen.port();
    if is_https_too && is_stated && !beside_https {
        reader.refuse(
            TCP_LISTEN,
            format!("the port of http.listen, which shares it with {TCP_BESIDE_HTTPS} only"),
        );
    }
    (Some(listen).filter(|_| !is_https_too), beside_https)
}

/// The addresses of `advertise` at which a client reaches a TCP listener, less those that browsers refuse.
pub(crate) fn reached_by_tcp(advertise: &[IpAddr], listener: SocketAddr) -> Vec<SocketAddr> {
    let of_one_machine = listener.ip().is_loopback();
    let reached = advertise
        .iter()
        .filter(|ip| hears(**ip, listener) && (!of_one_machine || ip.is_loopback()))
        .map(|ip| SocketAddr::new(*ip, listener.port()));
    reached.filter(|address| taken_by_browsers(*address)).collect()
}

/// Whether libwebrtc, which all browsers but Firefox and all native SDKs have, takes a candidate: of the ports below 1024
/// only 80 and 443, and those of public addresses only (measured: Chromium 156 opens no connection to 10.0.0.1:443).
fn taken_by_browsers(address: SocketAddr) -> bool {
    let is_private = match address.ip() {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    };
    match address.port() {
        80 | 443 => !is_private,
        port => port >= 1_024,
    }
}

/// Whether what a client sends to `ip` may come in at `listener`, by its family.
fn hears(ip: IpAddr, listener: SocketAddr) -> bool {
    listener.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || ip.is_ipv6() == listener.is_ipv6()
}

fn shards(reader: &mut Reader, cores: usize, udp_listen: SocketAddr) -> NonZeroU8 {
    let cores = u64::try_from(cores).unwrap_or(1).clamp(1, MAX_DEFAULT_SHARDS);
    let shards = reader.count_or("media.shards", cores);
    let room = u64::from(u16::MAX - udp_listen.port()) + 1;
    match u8::try_from(shards).ok().and_then(NonZeroU8::new) {
        Some(shards) if u64::from(shards.get()) <= room || udp_listen.port() == 0 => shards,
        _ => {
            reader.refuse("media.shards", "1 to 255 are possible, one UDP port each");
            NonZeroU8::MIN
        }
    }
}

fn check_advertised(reader: &mut Reader, advertise: &[IpAddr], udp_listen: SocketAddr) {
    if advertise.len() > MAX_ADVERTISED_ADDRESSES {
        let stated = advertise.len();
        reader.refuse(
            ADVERTISE,
            format!("{stated} addresses; clients are told at most {MAX_ADVERTISED_ADDRESSES}"),
        );
    }
    let mut seen = BTreeSet::new();
    for ip in advertise {
        if let Some(why) = unfit(*ip).or_else(|| unheard(*ip, udp_listen)) {
            reader.refuse(ADVERTISE, format!("{ip} {why}"));
        } else if !seen.insert(ip) {
            reader.refuse(ADVERTISE, format!("{ip} stands there twice"));
        }
    }
}

/// Why no client could send to `ip`.
fn unfit(ip: IpAddr) -> Option<String> {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_unspecified() || ip.is_multicast() || broadcast {
        return Some("is no address of a node".to_owned());
    }
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("means another node on every link; state a global or unique local address".to_owned())
        }
        IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map(|v4| format!("is an IPv4 address in disguise; state \"{v4}\"")),
        IpAddr::V4(_) => None,
    }
}

/// Why nothing a client sends to `ip` would come in at `udp_listen`.
fn unheard(ip: IpAddr, udp_listen: SocketAddr) -> Option<String> {
    if hears(ip, udp_listen) {
        return None;
    }
    let port = udp_listen.port();
    Some(format!(
        "does not reach {UDP_LISTEN} = \"{udp_listen}\"; \"[::]:{port}\" takes IPv6 and IPv4"
    ))
}
