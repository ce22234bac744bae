//! What the operator says of the room directory.

use bridge_core::mesh::directory::DirectoryUse;
use std::path::PathBuf;
use std::time::Duration;

/// What the directory may take up of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Rooms watched only because somebody wants to join them. Default 4,096: as many joins in half a minute.
    pub questions: usize,
}

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self { questions: 4_096 }
    }
}

/// `[directory]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryConfig {
    /// The mesh itself: every node is told of every room.
    Rows,
    /// etcd: whoever has to do with a room asks.
    Etcd(Box<EtcdConfig>),
}

impl DirectoryConfig {
    /// Where the core tells of its rooms.
    #[must_use]
    pub fn uses(&self) -> DirectoryUse {
        match self {
            Self::Rows => DirectoryUse::ROWS,
            Self::Etcd(etcd) => DirectoryUse {
                rows: etcd.rows,
                ..DirectoryUse::OUTSIDE
            },
        }
    }
}

/// How etcd is reached and what is written there. Debug output does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// Its members, in the order in which they are tried.
    pub endpoints: Vec<Endpoint>,
    /// What all keys begin with; the same on all nodes of a mesh, and another one for each mesh.
    pub prefix: String,
    /// How long what a node has said outlives it; whole seconds.
    pub lease: Duration,
    /// Whether rooms are told in rows, too: while nodes change over.
    pub rows: bool,
    /// For etcd with authentication.
    pub user: Option<(String, String)>,
    /// For endpoints with `https`.
    pub tls: Option<EtcdTls>,
}

impl std::fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("lease", &self.lease)
            .field("rows", &self.rows)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("tls", &self.tls)
            .finish()
    }
}

/// One member of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it is spoken to by TLS.
    pub secure: bool,
    /// Its name or address; an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl std::str::FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected http://HOST:PORT or https://HOST:PORT";
        let (secure, place) = match text.split_once("://") {
            Some(("http", place)) => (false, place),
            Some(("https", place)) => (true, place),
            _ => return Err(EXPECTED),
        };
        let (host, port) = place.rsplit_once(':').ok_or(EXPECTED)?;
        let port = port.parse().map_err(|_| EXPECTED)?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let valid = match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(allowed),
        };
        if !valid {
            return Err(EXPECTED);
        }
        let host = host.to_owned();
        Ok(Self { secure, host, port })
    }
}

/// PEM files for etcd with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdTls {
    /// The authority that etcd's certificates come from.
    pub authority: PathBuf,
    /// Certificate and key of this node, where etcd wants them.
    pub own: Option<(PathBuf, PathBuf)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_operators_know_them_from_etcd() {
        for good in [
            "http://127.0.0.1:2379",
            "https://etcd-0.example.org:2379",
            "http://[::1]:2379",
        ] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
        }
        for bad in [
            "127.0.0.1:2379",
            "http://etcd",
            "http://etcd:x",
            "ftp://etcd:1",
            "http://:1",
            "http://a/b:1",
            "http://[x]:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
