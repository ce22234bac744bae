//! Access tokens as LiveKit's server SDKs write them: HS256, the grants in camel case.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::SignallingError;

/// Key and secret that the server under test knows.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Name of the key.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.key)
    }
}

/// Whom a token lets in, and where.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'p> {
    /// Identity; also the name shown.
    pub identity: &'p str,
    /// The room.
    pub room: &'p str,
    /// Whether it may send.
    pub publish: bool,
}

#[derive(Serialize)]
struct Claims<'p> {
    iss: &'p str,
    sub: &'p str,
    name: &'p str,
    nbf: u64,
    exp: u64,
    video: Grants<'p>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Grants<'p> {
    room_join: bool,
    room: &'p str,
    can_publish: bool,
    can_subscribe: bool,
}

/// Signs a token that is valid from a minute before `now_s` (seconds since 1970) for `lifetime`.
///
/// # Errors
/// [`SignallingError::Token`] when the secret cannot sign.
pub fn mint(api: &ApiKey, pass: Pass<'_>, now_s: u64, lifetime: Duration) -> Result<String, SignallingError> {
    let claims = Claims {
        iss: &api.key,
        sub: pass.identity,
        name: pass.identity,
        nbf: now_s.saturating_sub(60),
        exp: now_s + lifetime.as_secs(),
        video: Grants {
            room_join: true,
            room: pass.room,
            can_publish: pass.publish,
            can_subscribe: true,
        },
    };
    let key = EncodingKey::from_secret(api.secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| SignallingError::Token(error.to_string()))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    #[test]
    fn a_token_says_who_may_enter_what() {
        let api = ApiKey {
            key: "dev".to_owned(),
            secret: "a secret of some length, as servers ask for".to_owned(),
        };
        let pass = Pass {
            identity: "p7",
            room: "room",
            publish: false,
        };
        let now_s = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let token = mint(&api, pass, now_s, Duration::from_secs(60)).unwrap();
        let key = DecodingKey::from_secret(api.secret.as_bytes());
        let read =
            jsonwebtoken::decode::<serde_json::Value>(&token, &key, &Validation::new(Algorithm::HS256));
        let claims = read.unwrap().claims;
        assert_eq!(
            (claims["iss"].as_str(), claims["sub"].as_str()),
            (Some("dev"), Some("p7"))
        );
        assert_eq!(claims["video"]["room"], "room");
        assert_eq!(claims["video"]["canPublish"], false);
        assert!(!format!("{api:?}").contains("secret of"));
    }
}
