//! Where a server is: the URL an operator gives, and the address behind it.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tungstenite::http::Uri;

use super::SignallingError;
use super::message::write_inquiry;
use super::stream::{Secure, Trust};

/// How long one of several addresses of a name may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A server's address, resolved once.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// Name and port, as the `Host` header states them.
    pub host: String,
    /// How it is known, if over TLS.
    pub secure: Option<Secure>,
    /// What stands before `/rtc/v1`, without a slash at its end.
    path: String,
}

impl Endpoint {
    /// Reads a URL (`http`, `ws`, `https`, `wss`) and resolves its name; that may take a while. Over TLS a server has to
    /// be known to `trust`, or else to this system.
    ///
    /// # Errors
    /// [`SignallingError::Url`] for anything else, [`SignallingError::Unreachable`] for an unknown name,
    /// [`SignallingError::Trust`] when there are no authorities to believe.
    pub fn resolve(url: &str, trust: Option<&Trust>) -> Result<Self, SignallingError> {
        let refuse = |reason| SignallingError::Url {
            url: url.to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| refuse("it cannot be read"))?;
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(refuse("it has to begin with http://, https://, ws:// or wss://")),
        };
        let name = uri.host().ok_or_else(|| refuse("it names no host"))?;
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let found = (bare, port)
            .to_socket_addrs()
            .map_err(|error| unreachable(name, &error))?;
        let address = best(&found.collect::<Vec<_>>()).ok_or_else(|| refuse("its name has no address"))?;
        let secure = tls.then(|| {
            let name = ServerName::try_from(bare.to_owned());
            Ok(Secure {
                name: name.map_err(|_| refuse("its name cannot be in a certificate"))?,
                trust: match trust {
                    Some(trust) => trust.clone(),
                    None => Trust::of_system().map_err(SignallingError::Trust)?,
                },
            })
        });
        Ok(Self {
            address,
            secure: secure.transpose()?,
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

    /// Its URL, as client SDKs take it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.secure.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.host, self.path)
    }

    /// The URL of the upgrade with this query.
    #[must_use]
    pub fn upgrade_url(&self, query: &str) -> String {
        format!("{}/rtc/v1?{query}", self.url())
    }
}

/// The first address that answers; if none does, whoever connects to the first will say so.
fn best(found: &[SocketAddr]) -> Option<SocketAddr> {
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, ANSWER_WITHIN).is_ok();
    match found {
        [] => None,
        [only] => Some(*only),
        [first, ..] => Some(*found.iter().find(answers).unwrap_or(first)),
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
        let endpoint = Endpoint::resolve("http://127.0.0.1:7880/", None).unwrap();
        assert_eq!(endpoint.address, "127.0.0.1:7880".parse::<SocketAddr>().unwrap());
        assert_eq!(endpoint.upgrade_url("a=b"), "ws://127.0.0.1:7880/rtc/v1?a=b");
        let endpoint = Endpoint::resolve("ws://[::1]/sfu/", None).unwrap();
        assert_eq!(endpoint.address, "[::1]:80".parse::<SocketAddr>().unwrap());
        assert_eq!(endpoint.upgrade_url("q"), "ws://[::1]:80/sfu/rtc/v1?q");
    }

    #[test]
    fn what_cannot_be_reached_is_said() {
        for (url, part) in [
            ("meet.example", "begin with http"),
            ("ftp://host", "begin with http"),
            ("", "cannot be read"),
        ] {
            let error = Endpoint::resolve(url, None).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
