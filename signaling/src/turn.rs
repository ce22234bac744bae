//! Time-limited credentials for an operator's TURN server, as coturn checks them with `use-auth-secret` (the "REST API for
//! access to TURN services", draft-uberti-behave-turn-rest-00): nothing is stored or asked anywhere.
//!
//! The server knows the same secret. It takes a user name that begins with a time not yet past, and computes the password.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_proto::unit::UnixMillis;
use std::fmt;
use std::time::Duration;

/// Longest user name (RFC 8489 section 14.3: fewer than 509 bytes).
const MAX_USERNAME_BYTES: usize = 508;

/// The TURN servers of an operator. Debug output does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnServers {
    /// `turn:` and `turns:` URLs (RFC 7065); not empty.
    pub urls: Vec<String>,
    /// Shared with the servers.
    pub secret: String,
    /// How long a credential may be used to begin with; an allocation that exists goes on.
    pub ttl: Duration,
}

impl fmt::Debug for TurnServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnServers")
            .field("urls", &self.urls)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// Servers and a credential for one client. Debug output does not show the credential.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Where they are.
    pub urls: Vec<String>,
    /// `expiry:identity`, the expiry in seconds of Unix time.
    pub username: String,
    /// Base64 of HMAC-SHA1 of the user name under the shared secret.
    pub credential: String,
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl TurnServers {
    /// Default of [`ttl`](Self::ttl): longer than meetings are.
    pub const TTL: Duration = Duration::from_secs(24 * 60 * 60);

    /// What the client called `identity` gets at `now`. Costs a microsecond; once per join or resume.
    #[must_use]
    pub fn credentials(&self, identity: &str, now: UnixMillis) -> IceServer {
        let expiry_s = (now.0 / 1_000).saturating_add(self.ttl.as_secs());
        let mut username = format!("{expiry_s}:{identity}");
        username.truncate(username.floor_char_boundary(MAX_USERNAME_BYTES));
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.as_bytes());
        let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        IceServer {
            urls: self.urls.clone(),
            username,
            credential,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_999);

    fn servers() -> TurnServers {
        TurnServers {
            urls: vec!["turn:turn.example.org:3478".to_owned()],
            secret: "north north-west, by the lee".to_owned(),
            ttl: TurnServers::TTL,
        }
    }

    #[test]
    fn the_credential_is_what_another_implementation_computes() {
        // printf '1700086400:ada' | openssl dgst -sha1 -hmac 'north north-west, by the lee' -binary | base64
        let given = servers().credentials("ada", NOW);
        assert_eq!(given.username, "1700086400:ada");
        assert_eq!(given.credential, "lfigvEphADpfHU69nHZC+KgguyY=");
    }

    #[test]
    fn a_user_name_is_never_longer_than_a_server_takes() {
        let given = servers().credentials(&"ü".repeat(1_000), NOW);
        assert!((MAX_USERNAME_BYTES - 1..=MAX_USERNAME_BYTES).contains(&given.username.len()));
        assert!(given.username.starts_with("1700086400:ü"));
    }

    #[test]
    fn no_secret_is_printed() {
        let given = servers().credentials("ada", NOW);
        let printed = format!("{:?} {given:?}", servers());
        assert!(
            !printed.contains("north") && !printed.contains(&given.credential),
            "{printed}"
        );
    }
}
