//! Where a server is: the URL an operator gives, and the address behind it.

use std::net::{SocketAddr, ToSocketAddrs as _};

use tungstenite::http::Uri;

use super::SignallingError;
use super::message::write_inquiry;

/// A server's address, resolved once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// Name and port, as the `Host` header states them.
    pub host: String,
    /// What stands before `/rtc/v1`, without a slash at its end.
    path: String,
}

impl Endpoint {
    /// Reads a URL (`http`, `ws`) and resolves its name; that may take a while.
    ///
    /// # Errors
    /// [`SignallingError::Url`] for anything else, [`SignallingError::Unreachable`] for an unknown name.
    pub fn resolve(url: &str) -> Result<Self, SignallingError> {
        let refuse = |reason| SignallingError::Url {
            url: url.to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| refuse("it cannot be read"))?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") => {
                return Err(refuse(
                    "light clients speak no TLS; give the address behind the proxy",
                ));
            }
            _ => return Err(refuse("it has to begin with http:// or ws://")),
        }
        let name = uri.host().ok_or_else(|| refuse("it names no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let mut found = (bare, port)
            .to_socket_addrs()
            .map_err(|error| unreachable(name, &error))?;
        let address = found.next().ok_or_else(|| refuse("its name has no address"))?;
        Ok(Self {
            address,
            host: format!("{name}:{port}"),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Path and query that ask whether a token would be let in.
    #[must_use]
    pub fn validate_path(&self, token: &str) -> String {
        let request = write_inquiry();
        format!(
            "{}/rtc/v1/validate?access_token={token}&join_request={request}",
            self.path
        )
    }

    /// The URL of the upgrade with this query.
    #[must_use]
    pub fn upgrade_url(&self, query: &str) -> String {
        format!("ws://{}{}/rtc/v1?{query}", self.host, self.path)
    }
}

fn unreachable(name: &str, error: &std::io::Error) -> SignallingError {
    SignallingError::Unreachable {
        address: name.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_form_are_read() {
        let endpoint = Endpoint::resolve("http://127.0.0.1:7880/").unwrap();
        assert_eq!(endpoint.address, "127.0.0.1:7880".parse::<SocketAddr>().unwrap());
        assert_eq!(endpoint.upgrade_url("a=b"), "ws://127.0.0.1:7880/rtc/v1?a=b");
        let endpoint = Endpoint::resolve("ws://[::1]/sfu/").unwrap();
        assert_eq!(endpoint.address, "[::1]:80".parse::<SocketAddr>().unwrap());
        assert_eq!(endpoint.upgrade_url("q"), "ws://[::1]:80/sfu/rtc/v1?q");
    }

    #[test]
    fn what_cannot_be_reached_is_said() {
        for (url, part) in [
            ("meet.example", "begin with http"),
            ("ftp://host", "begin with http"),
            ("https://host", "TLS"),
            ("", "cannot be read"),
        ] {
            let error = Endpoint::resolve(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
