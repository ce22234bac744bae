//! Networks in CIDR notation, for overrides and lists of trusted proxies.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An IPv4 or IPv6 network such as `203.0.113.0/24`; a bare address is a network of one.
///
/// Host bits are zero: `10.1.2.3/8` is refused, because it is nearly always a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CidrError {
    /// The part before the slash is no IP address.
    #[error("{0:?} is not a network: expected an IP address with a prefix length, such as 203.0.113.0/24")]
    Address(String),
    /// The part after the slash is no prefix length of this family.
    #[error("{text:?} is not a network: the prefix length must be 0 to {max_bits}")]
    Prefix {
        /// What was given, cut at 64 characters.
        text: String,
        /// 32 for IPv4, 128 for IPv6.
        max_bits: u8,
    },
    /// Bits after the prefix are set.
    #[error("{text:?} has bits set after its prefix; did you mean {meant}?")]
    HostBits {
        /// What was given, cut at 64 characters.
        text: String,
        /// The network that contains it.
        meant: Cidr,
    },
}

impl Cidr {
    /// Whether `address` is in this network. IPv4 in IPv6 form (`::ffff:192.0.2.1`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(host)) => mask_v4(host, self.prefix_bits) == net,
            (IpAddr::V6(net), IpAddr::V6(host)) => mask_v6(host, self.prefix_bits) == net,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Length of the prefix: 0 to 32 (IPv4) or 128 (IPv6).
    #[must_use]
    pub const fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }
}

fn mask_v4(address: Ipv4Addr, prefix_bits: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix_bits)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

fn mask_v6(address: Ipv6Addr, prefix_bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix_bits)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let shown = || text.chars().take(64).collect::<String>();
        let (address_text, prefix_text) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address_text.parse().map_err(|_| CidrError::Address(shown()))?;
        let max_bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix_text {
            None => max_bits,
            Some(digits) => digits
                .parse::<u8>()
                .ok()
                .filter(|bits| *bits <= max_bits && digits.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| CidrError::Prefix {
                    text: shown(),
                    max_bits,
                })?,
        };
        let network = match address {
            IpAddr::V4(v4) => IpAddr::V4(mask_v4(v4, prefix_bits)),
            IpAddr::V6(v6) => IpAddr::V6(mask_v6(v6, prefix_bits)),
        };
        let meant = Self {
            address: network,
            prefix_bits,
        };
        if network == address {
            Ok(meant)
        } else {
            Err(CidrError::HostBits { text: shown(), meant })
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn contains_exactly_its_range() {
        assert!(net("10.0.0.0/8").contains("10.255.255.255".parse().unwrap()));
        assert!(!net("10.0.0.0/8").contains("11.0.0.0".parse().unwrap()));
        assert!(net("2001:db8::/32").contains("2001:db8:ffff::1".parse().unwrap()));
        assert!(!net("2001:db8::/32").contains("2001:db9::".parse().unwrap()));
        assert!(net("127.0.0.1").contains("::ffff:127.0.0.1".parse().unwrap()));
        assert!(net("0.0.0.0/0").contains("203.0.113.9".parse().unwrap()));
        assert!(!net("0.0.0.0/0").contains("2001:db8::1".parse().unwrap()));
        assert!(net("::/0").contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn bad_networks_are_refused_with_what_was_meant() {
        assert!(matches!("example".parse::<Cidr>(), Err(CidrError::Address(_))));
        for text in [
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "10.0.0.0/8/9",
        ] {
            assert!(
                matches!(text.parse::<Cidr>(), Err(CidrError::Prefix { .. })),
                "{text}"
            );
        }
        let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
        assert!(error.to_string().ends_with("did you mean 10.0.0.0/8?"), "{error}");
    }
}
