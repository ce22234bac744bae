//! Access tokens: HS256 JSON Web Tokens with the grants LiveKit server SDKs write.
//!
//! The clock comes in as an argument and the algorithm is pinned: what a token says of itself never chooses how it is
//! checked. Which HTTP status an error becomes is the shell's business.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use relay_proto::id::{Identity, MAX_IDENTITY_BYTES, MAX_ROOM_NAME_BYTES, RoomName};
use relay_proto::room::{Permission, TrackSource};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// How far the clock of whoever mints tokens may be ahead, seconds.
const NOT_BEFORE_LEEWAY_S: u64 = 60;
/// Longest token that is looked at.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Kind number of whoever records or passes on a room.
pub(crate) const EGRESS: i32 = 2;

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// API key whose secret signs the token.
    pub iss: String,
    /// Identity of the participant.
    pub sub: String,
    /// The same under another name, where the subject is absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// End of validity, seconds since 1970.
    pub exp: u64,
    /// Start of validity, seconds since 1970; 0 means always.
    pub nbf: u64,
    /// Display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Free text of the application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// Key-value pairs of the application.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Kind of participant in words; empty means a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What it may do.
    pub video: Grants,
}

/// What a participant may do. Absent permissions to publish and subscribe mean yes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Grants {
    /// May join `room`.
    pub room_join: bool,
    /// The only room it may join.
    pub room: String,
    /// May send tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May receive tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data; absent means as for tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// The only sources it may publish, in lower case; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Is not shown to others.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// Records the room.
    #[serde(skip_serializing_if = "is_false")]
    pub recorder: bool,
    /// Is a program that acts for a person.
    #[serde(skip_serializing_if = "is_false")]
    pub agent: bool,
    /// May order about the node that the token names as its subject.
    #[serde(skip_serializing_if = "is_false")]
    pub node_admin: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the serialiser passes references"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Why a token does not let its bearer in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none.
    #[error("no access token; pass it as bearer or access_token")]
    Missing,
    /// It is no token.
    #[error("the access token is malformed")]
    Malformed,
    /// It is signed with another algorithm than HS256.
    #[error("the access token is not signed with HS256")]
    Algorithm,
    /// Its API key is not configured here.
    #[error("the API key of the access token is not known here; check auth.keys")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("the access token is forged: its signature does not match")]
    Forged,
    /// It is no longer valid.
    #[error("the access token has expired; get a new one")]
    Expired,
    /// It is not valid yet.
    #[error("the access token is not valid yet; check the clock of whoever made it")]
    NotYetValid,
    /// It names nobody.
    #[error("the access token names no participant, or one longer than {MAX_IDENTITY_BYTES} bytes")]
    Identity,
    /// It does not allow joining.
    #[error("the access token does not allow joining a room")]
    JoinNotGranted,
    /// It names no room.
    #[error("the access token names no room, or one longer than {MAX_ROOM_NAME_BYTES} bytes")]
    Room,
    /// It is for another room.
    #[error("the access token is for another room")]
    WrongRoom,
    /// It is not for operators of this node.
    #[error("the access token does not allow ordering this node about")]
    NotOperator,
}

impl TokenError {
    /// Whether the bearer is known but may not do this; everything else is a bearer who is not known.
    #[must_use]
    pub const fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::JoinNotGranted | Self::Room | Self::WrongRoom | Self::NotOperator
        )
    }

    /// Short name for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::Forged => "token_forged",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Identity => "token_without_identity",
            Self::JoinNotGranted => "token_without_join_grant",
            Self::Room => "token_without_room",
            Self::WrongRoom => "token_for_another_room",
            Self::NotOperator => "token_without_node_grant",
        }
    }
}

/// A token cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MintError {
    /// No API key is configured.
    #[error("no API key is configured; set auth.keys")]
    NoKey,
    /// The signature could not be made.
    #[error("the token could not be signed")]
    Signing,
}

/// Checks the signature and the time of `token` and returns what it says. `now_s` is in seconds since 1970.
///
/// # Errors
/// [`TokenError`], a different one per cause.
pub fn inspect(token: &str, keys: &BTreeMap<String, String>, now_s: u64) -> Result<Claims, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed);
    }
    let unverified: Claims =
        jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| TokenError::Malformed)?;
    let secret = keys.get(&unverified.iss).ok_or(TokenError::UnknownKey)?;
    let claims =
        jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(secret.as_bytes()), &pinned())
            .map_err(|error| match error.kind() {
                // Header and claims have been read by then: what is not base64 is the signature.
                ErrorKind::InvalidSignature | ErrorKind::Base64(_) => TokenError::Forged,
                ErrorKind::InvalidAlgorithm
                | ErrorKind::MissingAlgorithm
                | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
                _ => TokenError::Malformed,
            })?
            .claims;
    if claims.exp <= now_s {
        return Err(TokenError::Expired);
    }
    if claims.nbf > now_s + NOT_BEFORE_LEEWAY_S {
        return Err(TokenError::NotYetValid);
    }
    Ok(claims)
}

/// Checks `token` as [`inspect`] does and that it lets its bearer join a room: the room it names.
///
/// # Errors
/// [`TokenError`], a different one per cause.
pub fn admit(token: &str, keys: &BTreeMap<String, String>, now_s: u64) -> Result<Claims, TokenError> {
    let claims = inspect(token, keys, now_s)?;
    let identity = claims.identity();
    if identity.as_str().is_empty() || identity.as_str().len() > MAX_IDENTITY_BYTES {
        return Err(TokenError::Identity);
    }
    if !claims.video.room_join {
        return Err(TokenError::JoinNotGranted);
    }
    if claims.video.room.is_empty() || claims.video.room.len() > MAX_ROOM_NAME_BYTES {
        return Err(TokenError::Room);
    }
    Ok(claims)
}

/// Checks `token` as [`admit`] does and that it is for `room`.
///
/// # Errors
/// [`TokenError`], a different one per cause.
pub fn admit_to(
    token: &str,
    room: &RoomName,
    keys: &BTreeMap<String, String>,
    now_s: u64,
) -> Result<Claims, TokenError> {
    let claims = admit(token, keys, now_s)?;
    if claims.video.room == room.as_str() {
        Ok(claims)
    } else {
        Err(TokenError::WrongRoom)
    }
}

/// Checks `token` as [`inspect`] does and that it is for operators of `node`.
///
/// # Errors
/// [`TokenError`], a different one per cause.
pub fn admit_operator(
    token: &str,
    node: &str,
    keys: &BTreeMap<String, String>,
    now_s: u64,
) -> Result<(), TokenError> {
    let claims = inspect(token, keys, now_s)?;
    if claims.video.node_admin && claims.sub == node {
        Ok(())
    } else {
        Err(TokenError::NotOperator)
    }
}

/// The keys that sign tokens: API key to secret. Debug output leaves the secrets out.
#[derive(Clone, Default)]
pub struct TokenKeys(pub std::sync::Arc<BTreeMap<String, String>>);

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Signs `claims` with the first of `keys`, whose name becomes the issuer.
///
/// # Errors
/// [`MintError`] without a key.
pub fn mint(mut claims: Claims, keys: &BTreeMap<String, String>) -> Result<String, MintError> {
    let (key, secret) = keys.first_key_value().ok_or(MintError::NoKey)?;
    claims.iss.clone_from(key);
    jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .map_err(|_| MintError::Signing)
}

/// Only HS256. Times are checked by [`inspect`], which is told the time.
fn pinned() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl Claims {
    /// Who the bearer is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let subject = if self.sub.is_empty() {
            &self.identity
        } else {
            &self.sub
        };
        Identity(subject.clone())
    }

    /// The room the bearer may join.
    #[must_use]
    pub fn room(&self) -> RoomName {
        RoomName(self.video.room.clone())
    }

    /// What the bearer may do.
    #[must_use]
    pub fn permission(&self) -> Permission {
        let can_publish = self.video.can_publish.unwrap_or(true);
        Permission {
            can_publish,
            can_subscribe: self.video.can_subscribe.unwrap_or(true),
            can_publish_data: self.video.can_publish_data.unwrap_or(can_publish),
            can_update_metadata: self.video.can_update_own_metadata.unwrap_or(false),
            hidden: self.video.hidden,
            sources: self
                .video
                .can_publish_sources
                .iter()
                .map(|source| source_named(source))
                .collect(),
        }
    }

    /// Kind number of the client protocol.
    #[must_use]
    pub fn kind_number(&self) -> i32 {
        match self.kind.as_str() {
            "ingress" => 1,
            "egress" => EGRESS,
            "sip" => 3,
            "agent" => 4,
            _ if self.video.agent => 4,
            _ if self.video.recorder => EGRESS,
            _ => 0,
        }
    }
}

/// A source by its name in grants. An unknown one allows the unknown source only, never everything.
fn source_named(name: &str) -> TrackSource {
    match name.to_ascii_lowercase().as_str() {
        "camera" => TrackSource::Camera,
        "microphone" => TrackSource::Microphone,
        "screen_share" => TrackSource::ScreenShare,
        "screen_share_audio" => TrackSource::ScreenShareAudio,
        _ => TrackSource::Unknown,
    }
}
