//! A server that is there already.

use super::{TargetError, http};
use crate::signalling::token::{ApiKey, Pass, mint};
use crate::signalling::{Endpoint, Trust};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A server given by its URL.
#[derive(Clone, Debug)]
pub struct Attached {
    /// As given.
    pub url: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// What tokens are signed with.
    pub api: ApiKey,
}

impl Attached {
    /// Resolves the name (over TLS the server has to be known to `trust`, or else to this system) and asks the server whether it takes our tokens.
    ///
    /// # Errors
    /// [`TargetError::Server`] when it cannot be reached, does not speak the protocol or refuses the key.
    pub fn check(url: &str, api: ApiKey, trust: Option<&Trust>) -> Result<Self, TargetError> {
        let refuse = |reason: String| TargetError::Server {
            url: url.to_owned(),
            reason,
        };
        let endpoint = Endpoint::resolve(url, trust).map_err(|error| refuse(error.to_string()))?;
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let pass = Pass {
            identity: "loadtest-check",
            room: "loadtest-check",
            publish: false,
        };
        let token =
            mint(&api, pass, now_s, Duration::from_secs(60)).map_err(|error| refuse(error.to_string()))?;
        let path = endpoint.validate_path(&token);
        let answer = http::get_of(&endpoint, &path)
            .map_err(|error| refuse(format!("it cannot be reached: {error}")))?;
        match answer.status {
            200 => {}
            401 | 403 => {
                return Err(refuse(format!(
                    "it refuses the API key {:?}: {}",
                    api.key,
                    line(&answer.body)
                )));
            }
            404 => {
                return Err(refuse(
                    "it does not speak the client protocol (no /rtc/v1)".to_owned(),
                ));
            }
            other => {
                return Err(refuse(format!(
                    "it answered with HTTP {other}: {}",
                    line(&answer.body)
                )));
            }
        }
        Ok(Self {
            url: url.to_owned(),
            endpoint,
            api,
        })
    }
}

fn line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(120)
        .collect()
}
