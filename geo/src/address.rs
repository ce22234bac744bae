//! What kind of address a client has: only public ones can be found in a database.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of an IP address, as far as finding its place is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// Routed on the public internet.
    Public,
    /// 127.0.0.0/8 and ::1.
    Loopback,
    /// RFC 1918 networks and fc00::/7.
    Private,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// 100.64.0.0/10, behind a carrier's address translation (RFC 6598).
    CarrierShared,
    /// Set aside for examples: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737), 2001:db8::/32 (RFC 3849),
    /// 3fff::/20 (RFC 9637).
    Documentation,
    /// Multicast or broadcast; never a client.
    Multicast,
    /// 0.0.0.0/8, 240.0.0.0/4, 198.18.0.0/15 (benchmarks), 192.0.0.0/24 and ::.
    Reserved,
}

impl AddressKind {
    /// Classifies `address`; IPv4 in IPv6 form counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v4(v4: Ipv4Addr) -> Self {
        let octets = v4.octets();
        match octets {
            _ if v4.is_loopback() => Self::Loopback,
            _ if v4.is_private() => Self::Private,
            _ if v4.is_link_local() => Self::LinkLocal,
            _ if v4.is_documentation() => Self::Documentation,
            _ if v4.is_multicast() || v4.is_broadcast() => Self::Multicast,
            [100, 64..=127, ..] => Self::CarrierShared,
            [0 | 240..=255, ..] | [198, 18 | 19, ..] | [192, 0, 0, _] => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Self {
        let segments = v6.segments();
        match segments {
            _ if v6.is_loopback() => Self::Loopback,
            _ if v6.is_unspecified() => Self::Reserved,
            _ if v6.is_unique_local() => Self::Private,
            _ if v6.is_unicast_link_local() => Self::LinkLocal,
            _ if v6.is_multicast() => Self::Multicast,
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Self::Documentation,
            _ => Self::Public,
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::CarrierShared => "carrier-shared",
            Self::Documentation => "documentation",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_from_public_ones() {
        for (text, kind) in [
            ("127.0.0.1", AddressKind::Loopback),
            ("::1", AddressKind::Loopback),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("10.1.2.3", AddressKind::Private),
            ("172.16.0.1", AddressKind::Private),
            ("192.168.1.1", AddressKind::Private),
            ("fd00::1", AddressKind::Private),
            ("169.254.0.1", AddressKind::LinkLocal),
            ("fe80::1", AddressKind::LinkLocal),
            ("100.64.0.1", AddressKind::CarrierShared),
            ("100.128.0.1", AddressKind::Public),
            ("192.0.2.1", AddressKind::Documentation),
            ("2001:db8::1", AddressKind::Documentation),
            ("3fff::1", AddressKind::Documentation),
            ("224.0.0.1", AddressKind::Multicast),
            ("255.255.255.255", AddressKind::Multicast),
            ("ff02::1", AddressKind::Multicast),
            ("0.0.0.0", AddressKind::Reserved),
            ("240.0.0.1", AddressKind::Reserved),
            ("198.19.0.1", AddressKind::Reserved),
            ("::", AddressKind::Reserved),
            ("8.8.8.8", AddressKind::Public),
            ("2a00:1450::1", AddressKind::Public),
        ] {
            assert_eq!(AddressKind::of(text.parse().unwrap()), kind, "{text}");
        }
    }
}
