//! The TOML form of a configuration, for both emulators.
//!
//! A file with `[[regions]]` or a `matrix` asks for network namespaces (see [`super::namespaces::config`]); any
//! other describes the relay (see [`super::config`]). When every link of a file for namespaces also says
//! `listen` and `forward_to`, the relay can stand in for them where namespaces are not possible.

use std::net::SocketAddrV4;

use serde::Deserialize;

use super::change::PropertyChange;
use super::config::{ConfigError, LinkConfig, WanConfig};
use super::model::LinkProperties;
use super::namespaces::config::{NamespacesConfig, RegionLink};
use super::profiles::Matrix;

/// What a file asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum WanFile {
    /// Regions as network namespaces.
    Namespaces {
        /// The regions and links.
        config: NamespacesConfig,
        /// What the relay can do instead, if the file gives every link its addresses.
        fallback: Option<WanConfig>,
    },
    /// The user-space relay.
    Relay(WanConfig),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    seed: u64,
    control: Option<SocketAddrV4>,
    prefix: Option<String>,
    matrix: Option<String>,
    #[serde(default)]
    regions: Vec<RawRegion>,
    #[serde(default)]
    links: Vec<RawLink>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegion {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLink {
    from: String,
    to: String,
    listen: Option<SocketAddrV4>,
    forward_to: Option<SocketAddrV4>,
    profile: Option<String>,
    delay: Option<String>,
    jitter: Option<String>,
    loss: Option<String>,
    burst: Option<f64>,
    reorder: Option<String>,
    reorder_by: Option<String>,
    duplicate: Option<String>,
    rate: Option<String>,
    queue: Option<String>,
}

impl WanFile {
    /// Reads and checks the TOML form. Unknown keys are refused.
    ///
    /// # Errors
    /// [`ConfigError`] names the line or link and what would be right.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let raw: RawFile = toml::from_str(text).map_err(|error| ConfigError::Toml(error.to_string()))?;
        if raw.regions.is_empty() && raw.matrix.is_none() {
            return raw.relay().map(Self::Relay);
        }
        raw.namespaces()
    }
}

impl RawFile {
    fn relay(self) -> Result<WanConfig, ConfigError> {
        if self.prefix.is_some() {
            return Err(ConfigError::Prefix);
        }
        let mut links = Vec::new();
        for link in &self.links {
            let properties = link.change()?.applied_to(&LinkProperties::default());
            links.push(link.with_addresses(properties)?);
        }
        self.checked_relay(links)
    }

    fn checked_relay(&self, links: Vec<LinkConfig>) -> Result<WanConfig, ConfigError> {
        let config = WanConfig {
            seed: self.seed,
            control: self.control,
            links,
        };
        config.check()?;
        Ok(config)
    }

    fn namespaces(self) -> Result<WanFile, ConfigError> {
        let matrix = self.matrix.as_deref().map(Matrix::named).transpose()?;
        let regions: Vec<String> = match matrix {
            Some(matrix) if self.regions.is_empty() => matrix.regions().map(str::to_owned).collect(),
            _ => self.regions.iter().map(|region| region.name.clone()).collect(),
        };
        let mut config = NamespacesConfig {
            seed: self.seed,
            control: self.control,
            links: matrix.map_or_else(Vec::new, |matrix| matrix_links(matrix, &regions)),
            regions,
            ..NamespacesConfig::default()
        };
        if let Some(prefix) = &self.prefix {
            config.prefix.clone_from(prefix);
        }
        self.add_links(&mut config)?;
        config.check()?;
        let fallback = self.fallback(&config)?;
        Ok(WanFile::Namespaces { config, fallback })
    }

    /// Adds the links of the file: what they say replaces what the matrix says. A link whose opposite is not in
    /// the file holds for both directions.
    fn add_links(&self, config: &mut NamespacesConfig) -> Result<(), ConfigError> {
        for (index, link) in self.links.iter().enumerate() {
            if self.links[..index]
                .iter()
                .any(|earlier| earlier.is(&link.from, &link.to))
            {
                let (from, to) = (link.from.clone(), link.to.clone());
                return Err(ConfigError::DuplicateLink { from, to });
            }
            let change = link.change()?;
            let has_opposite = self.links.iter().any(|other| other.is(&link.to, &link.from));
            config.change_link(&link.from, &link.to, &change);
            if !has_opposite {
                config.change_link(&link.to, &link.from, &change);
            }
        }
        Ok(())
    }

    /// The relay of this file, if any link has an address; then all of them need theirs.
    fn fallback(&self, config: &NamespacesConfig) -> Result<Option<WanConfig>, ConfigError> {
        let has_address = |link: &RawLink| link.listen.is_some() || link.forward_to.is_some();
        if !self.links.iter().any(has_address) {
            return Ok(None);
        }
        let mut links = Vec::new();
        for link in &self.links {
            let properties = config.properties(&link.from, &link.to).cloned();
            links.push(link.with_addresses(properties.unwrap_or_default())?);
        }
        self.checked_relay(links).map(Some)
    }
}

fn matrix_links(matrix: Matrix, regions: &[String]) -> Vec<RegionLink> {
    let pairs = regions
        .iter()
        .flat_map(|from| regions.iter().map(move |to| (from, to)));
    pairs
        .filter_map(|(from, to)| {
            Some(RegionLink {
                from: from.clone(),
                to: to.clone(),
                properties: LinkProperties {
                    delay: matrix.delay(from, to)?,
                    ..LinkProperties::default()
                },
            })
        })
        .collect()
}

impl RawLink {
    fn is(&self, from: &str, to: &str) -> bool {
        self.from == from && self.to == to
    }

    fn change(&self) -> Result<PropertyChange, ConfigError> {
        let burst = self.burst.map(|burst| burst.to_string());
        let given = [
            ("profile", &self.profile),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("loss", &self.loss),
            ("burst", &burst),
            ("reorder", &self.reorder),
            ("reorder_by", &self.reorder_by),
            ("duplicate", &self.duplicate),
            ("rate", &self.rate),
            ("queue", &self.queue),
        ];
        let pairs = given
            .iter()
            .filter_map(|(key, value)| Some((*key, value.as_deref()?)));
        PropertyChange::parse(pairs).map_err(|source| ConfigError::Property {
            from: self.from.clone(),
            to: self.to.clone(),
            source,
        })
    }

    fn with_addresses(&self, properties: LinkProperties) -> Result<LinkConfig, ConfigError> {
        let (Some(listen), Some(forward_to)) = (self.listen, self.forward_to) else {
            return Err(ConfigError::NoAddresses {
                from: self.from.clone(),
                to: self.to.clone(),
            });
        };
        Ok(LinkConfig {
            from: self.from.clone(),
            to: self.to.clone(),
            listen,
            forward_to,
            properties,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wan::profiles;

    const TWO: &str = "[[regions]]\nname = \"fra\"\n[[regions]]\nname = \"sin\"\n";
    const LINK: &str = "[[links]]\nfrom = \"fra\"\nto = \"sin\"\n";

    fn namespaces(text: &str) -> NamespacesConfig {
        match WanFile::from_toml(text).unwrap() {
            WanFile::Namespaces { config, .. } => config,
            WanFile::Relay(_) => panic!("a relay"),
        }
    }

    fn delay_ms(config: &NamespacesConfig, from: &str, to: &str) -> u128 {
        config.properties(from, to).unwrap().delay.as_millis()
    }

    #[test]
    fn a_matrix_alone_joins_all_its_regions() {
        let config = namespaces("matrix = \"five-continents\"");
        assert_eq!((config.regions.len(), config.links.len()), (5, 20));
        assert_eq!(delay_ms(&config, "fra", "sin"), 77);
        let error = WanFile::from_toml("matrix = \"mars\"").unwrap_err().to_string();
        assert!(error.contains("is not a matrix"), "{error}");
    }

    #[test]
    fn links_of_the_file_replace_those_of_the_matrix_and_hold_for_both_directions() {
        let text = format!("matrix = \"five-continents\"\n{TWO}{LINK}loss = \"1%\"");
        let config = namespaces(&text);
        assert_eq!((config.regions.len(), config.links.len()), (2, 2));
        for (from, to) in [("fra", "sin"), ("sin", "fra")] {
            assert_eq!(delay_ms(&config, from, to), 77);
            assert_ne!(config.properties(from, to).unwrap().loss, crate::wan::Loss::None);
        }
    }

    #[test]
    fn a_link_with_its_opposite_holds_for_one_direction() {
        let back = "[[links]]\nfrom = \"sin\"\nto = \"fra\"\nprofile = \"lte\"\ndelay = \"1ms\"";
        let config = namespaces(&format!("prefix = \"x\"\n{TWO}{LINK}delay = \"9ms\"\n{back}"));
        assert_eq!(config.prefix, "x");
        assert_eq!(delay_ms(&config, "fra", "sin"), 9);
        let expected = LinkProperties {
            delay: Duration::from_millis(1),
            ..profiles::profile("lte").unwrap()
        };
        assert_eq!(config.properties("sin", "fra"), Some(&expected));
    }

    #[test]
    fn the_relay_can_stand_in_when_every_link_has_its_addresses() {
        let addressed = |from: &str, to: &str, port: u16| {
            format!(
                "[[links]]\nfrom = \"{from}\"\nto = \"{to}\"\nlisten = \"127.0.0.1:0\"\n\
                 forward_to = \"127.0.0.1:{port}\"\ndelay = \"8ms\"\n"
            )
        };
        let both = addressed("fra", "sin", 1) + &addressed("sin", "fra", 2);
        let relay = WanFile::from_toml(&both).unwrap();
        assert!(matches!(relay, WanFile::Relay(_)));
        let WanFile::Namespaces { config, fallback } = WanFile::from_toml(&format!("{TWO}{both}")).unwrap()
        else {
            panic!("not namespaces");
        };
        assert_eq!(WanFile::Relay(fallback.unwrap()), relay);
        assert_eq!(delay_ms(&config, "fra", "sin"), 8);
        let half = format!("{TWO}{}", addressed("fra", "sin", 1));
        assert!(matches!(
            WanFile::from_toml(&half),
            Err(ConfigError::MissingOpposite { .. })
        ));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (text, part) in [
            (LINK.to_owned(), "needs `listen` and `forward_to`"),
            (format!("prefix = \"x\"\n{LINK}"), "needs [[regions]]"),
            (format!("prefix = \"a b\"\n{TWO}{LINK}"), "`prefix` names"),
            (format!("{TWO}{LINK}{LINK}"), "given twice"),
            (TWO.to_owned(), "region fra is joined to no other"),
            (format!("{TWO}{TWO}{LINK}"), "different regions"),
            ("[[regions]]\nname = \"fra\"".to_owned(), "between 2 and 16"),
            (
                format!("{TWO}{}", LINK.replace("sin", "syd")),
                "no region of this file",
            ),
            (
                format!("{TWO}{}", LINK.replace("sin", "fra")),
                "two different names",
            ),
            (format!("{TWO}{LINK}profile = \"5g\""), "is not a profile"),
            (format!("{TWO}{LINK}dalay = \"1ms\""), "unknown field `dalay`"),
            (
                format!("{TWO}address = \"198.18.0.1\""),
                "unknown field `address`",
            ),
        ] {
            let error = WanFile::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
