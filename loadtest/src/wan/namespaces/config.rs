//! The configuration of regions as network namespaces.
//!
//! ```toml
//! seed = 7                          # optional; equal seeds lose the same packets
//! control = "127.0.0.1:7999"        # optional; on the host, outside of the regions
//! prefix = "cw"                     # optional; namespaces are called PREFIX-PROCESS-REGION
//! matrix = "five-continents"        # optional; delays between the regions it knows, all of them unless ...
//!
//! [[regions]]                       # ... regions are given
//! name = "fra"
//! [[regions]]
//! name = "sin"
//!
//! [[links]]                         # needed without a matrix; with one it replaces what it names
//! from = "fra"
//! to = "sin"                        # holds for both directions unless the opposite is also given
//! profile = "transoceanic"          # and the other keys of a link, see `config` of the relay
//! delay = "80ms"
//! ```
//!
//! Regions that no link and no matrix joins cannot reach each other. Region number n (from 1, in this order) has
//! the network 198.18.n.0/24 (RFC 2544, section C.2.2: addresses for benchmarks), of which every address is local
//! to it, and the address 198.18.n.1.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::wan::change::PropertyChange;
use crate::wan::command::is_name;
use crate::wan::config::ConfigError;
use crate::wan::model::LinkProperties;

/// Most regions: 16 have 240 directed links.
pub const MOST_REGIONS: usize = 16;

/// How the names of namespaces begin if nothing else is said.
pub const DEFAULT_PREFIX: &str = "cw";

/// One directed link between regions.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionLink {
    /// Name of the sending region.
    pub from: String,
    /// Name of the receiving region.
    pub to: String,
    /// What the link does to packets.
    pub properties: LinkProperties,
}

/// Regions and the links between them.
#[derive(Debug, Clone, PartialEq)]
pub struct NamespacesConfig {
    /// Where all randomness comes from.
    pub seed: u64,
    /// Where commands are accepted, if anywhere. Meant for loopback: there is no authentication.
    pub control: Option<SocketAddrV4>,
    /// How the names of the namespaces begin; two emulators of one process need two.
    pub prefix: String,
    /// Names of the regions, at least 2.
    pub regions: Vec<String>,
    /// The directed links; each needs its opposite.
    pub links: Vec<RegionLink>,
}

impl Default for NamespacesConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            control: None,
            prefix: DEFAULT_PREFIX.to_owned(),
            regions: Vec::new(),
            links: Vec::new(),
        }
    }
}

impl NamespacesConfig {
    /// The properties of one directed link.
    pub fn properties(&self, from: &str, to: &str) -> Option<&LinkProperties> {
        let link = self
            .links
            .iter()
            .find(|link| link.from == from && link.to == to)?;
        Some(&link.properties)
    }

    /// Changes one directed link, or adds it: what the change leaves open is then perfect.
    pub fn change_link(&mut self, from: &str, to: &str, change: &PropertyChange) {
        let is_meant = |link: &&mut RegionLink| link.from == from && link.to == to;
        if let Some(link) = self.links.iter_mut().find(is_meant) {
            link.properties = change.applied_to(&link.properties);
            return;
        }
        self.links.push(RegionLink {
            from: from.to_owned(),
            to: to.to_owned(),
            properties: change.applied_to(&LinkProperties::default()),
        });
    }

    /// Two regions with the same link in both directions; a start for tests and measurements.
    pub fn pair(prefix: &str, (one, other): (&str, &str), properties: &LinkProperties) -> Self {
        let change = PropertyChange::to_exactly(properties);
        let mut config = Self {
            prefix: prefix.to_owned(),
            regions: vec![one.to_owned(), other.to_owned()],
            ..Self::default()
        };
        config.change_link(one, other, &change);
        config.change_link(other, one, &change);
        config
    }

    /// Checks names and links; creating namespaces does it by itself.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !is_name(&self.prefix) {
            return Err(ConfigError::Prefix);
        }
        let regions: BTreeSet<&String> = self.regions.iter().collect();
        if !(2..=MOST_REGIONS).contains(&self.regions.len()) || regions.len() != self.regions.len() {
            return Err(ConfigError::Regions);
        }
        let mut pairs = BTreeSet::new();
        for link in &self.links {
            let (from, to) = (link.from.clone(), link.to.clone());
            if !is_name(&from) || !is_name(&to) || from == to {
                return Err(ConfigError::Names { from, to });
            }
            if !regions.contains(&from) || !regions.contains(&to) {
                return Err(ConfigError::UnknownRegion { from, to });
            }
            if !pairs.insert((&link.from, &link.to)) {
                return Err(ConfigError::DuplicateLink { from, to });
            }
        }
        if let Some((from, to)) = pairs.iter().find(|(from, to)| !pairs.contains(&(*to, *from))) {
            let (from, to) = ((*from).clone(), (*to).clone());
            return Err(ConfigError::MissingOpposite { from, to });
        }
        let is_joined = |region: &String| pairs.iter().any(|(from, _)| *from == region);
        match self.regions.iter().find(|region| !is_joined(region)) {
            Some(region) => Err(ConfigError::Unjoined(region.clone())),
            None => Ok(()),
        }
    }
}

/// The address of the region with this index; its network are all addresses that differ in the last byte alone.
pub(super) fn address_of(index: usize) -> Ipv4Addr {
    let number = u8::try_from(index + 1).expect("invariant: there are at most MOST_REGIONS regions");
    Ipv4Addr::new(198, 18, number, 1)
}

/// The index of the region an address belongs to; the inverse of [`address_of`] for all of its network.
pub(super) fn region_of(address: Ipv4Addr) -> Option<usize> {
    match address.octets() {
        [198, 18, number, _] => usize::from(number).checked_sub(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_a_network_of_its_own() {
        for index in 0..MOST_REGIONS {
            let [a, b, c, _] = address_of(index).octets();
            assert_eq!(region_of(address_of(index)), Some(index));
            assert_eq!(region_of(Ipv4Addr::new(a, b, c, 200)), Some(index));
        }
        assert_eq!(region_of(Ipv4Addr::new(198, 18, 0, 1)), None);
        assert_eq!(region_of(Ipv4Addr::new(198, 19, 1, 1)), None);
    }
}
