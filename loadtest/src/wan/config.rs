//! The configuration of the relay, and its TOML form (read in [`mod@super::file`]).
//!
//! ```toml
//! seed = 7                          # optional; equal seeds lose the same datagrams
//! control = "127.0.0.1:7999"        # optional; see `command` for what it understands
//!
//! [[links]]                         # one directed link; each needs its opposite
//! from = "fra"
//! to = "sin"
//! listen = "127.0.0.1:17001"        # node fra lists this address as its peer sin
//! forward_to = "127.0.0.1:7990"     # where node sin really listens
//! delay = "80ms"                    # from here on optional; without any the link is perfect
//! jitter = "2ms"                    # extra delay between 0 and this; order is kept
//! loss = "0.5%"
//! burst = 4                         # losses come in bursts of this mean length; else singly
//! reorder = "1%"                    # so many are held back and may be overtaken ...
//! reorder_by = "10ms"               # ... for so long
//! duplicate = "0.1%"                # so many arrive twice
//! rate = "100mbit"                  # or "unlimited"; IPv4 and UDP headers count
//! queue = "50ms"                    # what the queue holds, in time of the line; what does not fit is dropped
//! profile = "lte"                   # instead of all these, or before those that differ from it
//! ```

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use thiserror::Error;

use super::change::ChangeError;
use super::command::is_name;
use super::file::WanFile;
use super::model::LinkProperties;
use super::namespaces::config::MOST_REGIONS;
use super::profiles::ProfileError;

/// Most directed links of one emulator: a full mesh of 16 nodes has 240.
pub const MOST_LINKS: usize = 256;

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ConfigError {
    /// A link from one node to itself or twice the same.
    #[error("link {from} > {to} is given twice")]
    DuplicateLink {
        /// Sending node.
        from: String,
        /// Receiving node.
        to: String,
    },
    /// Two links on one address.
    #[error("two links listen on {0}")]
    DuplicateListen(SocketAddrV4),
    /// Nothing to emulate.
    #[error("a configuration needs between 1 and {MOST_LINKS} [[links]], not {0}")]
    LinkCount(usize),
    /// A link forwards into the emulator.
    #[error("link {from} > {to} forwards to {address}, where the emulator itself listens, or to port 0")]
    Loop {
        /// Sending node.
        from: String,
        /// Receiving node.
        to: String,
        /// The refused address.
        address: SocketAddrV4,
    },
    /// A link without its opposite.
    #[error("link {from} > {to} has no opposite {to} > {from}, which its answers would travel")]
    MissingOpposite {
        /// Sending node.
        from: String,
        /// Receiving node.
        to: String,
    },
    /// A bad name, or one node twice.
    #[error("link {from:?} > {to:?}: two different names of letters, digits, - _ and . are needed")]
    Names {
        /// Sending node.
        from: String,
        /// Receiving node.
        to: String,
    },
    /// A link of the relay without its addresses.
    #[error(
        "link {from} > {to} needs `listen` and `forward_to`; for network namespaces, where no link has them, add \
         [[regions]] or a matrix"
    )]
    NoAddresses {
        /// Sending node.
        from: String,
        /// Receiving node.
        to: String,
    },
    /// A file for namespaces where the relay was wanted.
    #[error(
        "the relay needs `listen` and `forward_to` on every link; this file describes network namespaces"
    )]
    OnlyNamespaces,
    /// A bad prefix, or one without namespaces.
    #[error(
        "`prefix` names network namespaces: it is a short name and needs [[regions]] or a matrix beside it"
    )]
    Prefix,
    /// An unknown profile or matrix.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A property that cannot be.
    #[error("link {from} > {to}: {source}")]
    Property {
        /// Sending node.
        from: String,
        /// Receiving node.
        to: String,
        /// What is wrong.
        source: ChangeError,
    },
    /// Too few or too many regions, or one of them twice.
    #[error("between 2 and {MOST_REGIONS} different regions are needed")]
    Regions,
    /// Not the TOML that is expected; the text names line, key and what is possible.
    #[error("{0}")]
    Toml(String),
    /// A region no link leads to.
    #[error("region {0} is joined to no other: add a link, or a matrix that has it")]
    Unjoined(String),
    /// A link of a region that does not exist.
    #[error("link {from} > {to} joins something that is no region of this file")]
    UnknownRegion {
        /// Sending region.
        from: String,
        /// Receiving region.
        to: String,
    },
}

/// One directed link of the relay.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkConfig {
    /// Name of the sending node.
    pub from: String,
    /// Name of the receiving node.
    pub to: String,
    /// Where the sending node sends to. Port 0 takes a free one.
    pub listen: SocketAddrV4,
    /// Where the receiving node listens.
    pub forward_to: SocketAddrV4,
    /// What the link does to datagrams.
    pub properties: LinkProperties,
}

/// All links of one emulator.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WanConfig {
    /// Where all randomness comes from.
    pub seed: u64,
    /// Where commands are accepted, if anywhere. Meant for loopback: there is no authentication.
    pub control: Option<SocketAddrV4>,
    /// The directed links.
    pub links: Vec<LinkConfig>,
}

impl WanConfig {
    /// Two nodes of which only `from` dials: `there` is the link to `forward_to`, `back` carries the answers. Ports
    /// are free ones; no control socket.
    pub fn dialled(
        (from, to): (&str, &str),
        forward_to: SocketAddrV4,
        there: LinkProperties,
        back: LinkProperties,
    ) -> Self {
        /// RFC 863: what `to` sent by itself would be discarded.
        const DISCARD_PORT: u16 = 9;
        let link = |from: &str, to: &str, forward_to, properties| LinkConfig {
            from: from.to_owned(),
            to: to.to_owned(),
            listen: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            forward_to,
            properties,
        };
        let discard = SocketAddrV4::new(Ipv4Addr::LOCALHOST, DISCARD_PORT);
        Self {
            seed: 0,
            control: None,
            links: vec![link(from, to, forward_to, there), link(to, from, discard, back)],
        }
    }

    /// Reads and checks the TOML form. Unknown keys are refused. From a file for namespaces it takes what the
    /// relay can do in their stead.
    ///
    /// # Errors
    /// [`ConfigError`] names the line or link and what would be right.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        match WanFile::from_toml(text)? {
            WanFile::Relay(config) => Ok(config),
            WanFile::Namespaces { fallback, .. } => fallback.ok_or(ConfigError::OnlyNamespaces),
        }
    }

    /// Checks what holds between links; [`Self::from_toml`] and the emulator's start do it by themselves.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.links.is_empty() || self.links.len() > MOST_LINKS {
            return Err(ConfigError::LinkCount(self.links.len()));
        }
        let mut pairs = BTreeSet::new();
        let mut listens = BTreeSet::new();
        for link in &self.links {
            let (from, to) = (link.from.clone(), link.to.clone());
            if !is_name(&from) || !is_name(&to) || from == to {
                return Err(ConfigError::Names { from, to });
            }
            if link.listen.port() != 0 && !listens.insert(link.listen) {
                return Err(ConfigError::DuplicateListen(link.listen));
            }
            if !pairs.insert((&link.from, &link.to)) {
                return Err(ConfigError::DuplicateLink { from, to });
            }
        }
        for link in &self.links {
            let (from, to) = (link.from.clone(), link.to.clone());
            if !pairs.contains(&(&link.to, &link.from)) {
                return Err(ConfigError::MissingOpposite { from, to });
            }
            let address = link.forward_to;
            if address.port() == 0 || listens.contains(&address) {
                return Err(ConfigError::Loop { from, to, address });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wan::model::{BitRate, Loss};

    const PAIR: &str = r#"
        [[links]]
        from = "fra"
        to = "sin"
        listen = "127.0.0.1:17001"
        forward_to = "127.0.0.1:7990"
        delay = "80ms"
        [[links]]
        from = "sin"
        to = "fra"
        listen = "127.0.0.1:17002"
        forward_to = "127.0.0.1:7890"
    "#;

    #[test]
    fn a_full_configuration_is_read() {
        let text = format!("seed = 7\ncontrol = \"127.0.0.1:7999\"\n{PAIR}");
        let full = "jitter = \"2ms\"\nloss = \"0.5%\"\nburst = 4\nrate = \"100mbit\"\nqueue = \"30ms\"";
        let config = WanConfig::from_toml(&(text + full)).unwrap();
        assert_eq!(
            (config.seed, config.control),
            (7, Some("127.0.0.1:7999".parse().unwrap()))
        );
        assert_eq!(config.links[0].properties.delay, Duration::from_millis(80));
        let second = &config.links[1].properties;
        assert_eq!(
            (second.jitter, second.queue),
            (Duration::from_millis(2), Duration::from_millis(30))
        );
        assert_eq!(second.rate, BitRate::from_bps(100_000_000));
        assert!(matches!(second.loss, Loss::Bursts(_)));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_possible_ones() {
        for text in [format!("sed = 7\n{PAIR}"), format!("{PAIR}\nlatency = \"1ms\"")] {
            let error = WanConfig::from_toml(&text).unwrap_err().to_string();
            assert!(
                error.contains("unknown field") && error.contains("expected one of"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let swap = |from: &str, to: &str| WanConfig::from_toml(&PAIR.replace(from, to)).unwrap_err();
        assert!(matches!(WanConfig::from_toml(""), Err(ConfigError::LinkCount(0))));
        assert!(matches!(swap("17002", "17001"), ConfigError::DuplicateListen(_)));
        assert!(matches!(swap("7890", "17001"), ConfigError::Loop { .. }));
        assert!(matches!(swap("7890", "0"), ConfigError::Loop { .. }));
        assert!(matches!(
            swap("to = \"fra\"", "to = \"syd\""),
            ConfigError::MissingOpposite { .. }
        ));
        assert!(matches!(
            swap("to = \"fra\"", "to = \"sin\""),
            ConfigError::Names { .. }
        ));
        assert!(matches!(swap("\"fra\"", "\"f>a\""), ConfigError::Names { .. }));
        assert!(matches!(swap("80ms", "80"), ConfigError::Property { .. }));
        assert!(matches!(
            swap("127.0.0.1:7990", "[::1]:7990"),
            ConfigError::Toml(_)
        ));
        let twice = format!("{PAIR}{}", PAIR.replace("1700", "1800"));
        assert!(matches!(
            WanConfig::from_toml(&twice),
            Err(ConfigError::DuplicateLink { .. })
        ));
    }
}
