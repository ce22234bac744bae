//! The join API: what a meeting link needs to become a connection. Checks a call and makes the token; which node is best
//! is [`placement`](crate::placement)'s.

use crate::config::SignalingConfig;
use crate::sid::{self, RandomSource};
use crate::token::{self, Claims, Grants, MintError, TokenError};
use geo::rank::{RankError, Ranking};
use relay_proto::id::{MAX_ROOM_NAME_BYTES, RoomName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Longest name a person may give, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Most nodes a call may exclude.
pub const MAX_EXCLUDED: usize = 64;

/// Body of a call.
#[derive(Clone, Debug, Deserialize)]
pub struct JoinCall {
    /// The conference.
    pub room: String,
    /// The person's name for others.
    pub name: String,
    /// Nodes the client could not reach.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// A token of an earlier call that is still valid: its identity is kept.
    #[serde(default)]
    pub previous_token: Option<String>,
}

/// Body of the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JoinAnswer {
    /// What an SDK connects to.
    pub url: String,
    /// The access token.
    pub token: String,
    /// Name of the node.
    pub node: String,
    /// Region label of the node.
    pub region: String,
    /// All nodes that can take the client, best first; the first is the one above.
    pub alternatives: Vec<Alternative>,
}

/// A node that can take the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alternative {
    /// Name of the node.
    pub node: String,
    /// Region label of the node.
    pub region: String,
    /// What an SDK connects to.
    pub url: String,
    /// Why it stands at this position, as sentences.
    pub reasons: Vec<String>,
}

/// A call that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidCall {
    /// The conference.
    pub room: RoomName,
    /// The cleaned name.
    pub name: String,
    /// Nodes the client could not reach.
    pub exclude: BTreeSet<String>,
    /// A token of an earlier call.
    pub previous_token: Option<String>,
}

/// Why a call is refused. The texts are for the person who joins.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum JoinRefusal {
    /// The body is not what it should be.
    #[error("the request is not valid JSON of the form {{\"room\": …, \"name\": …}}: {0}")]
    Body(String),
    /// The room's name cannot be used.
    #[error("choose a room name of 1 to {MAX_ROOM_NAME_BYTES} bytes without control characters")]
    Room,
    /// The person's name cannot be used.
    #[error("choose a name of 1 to {MAX_NAME_CHARS} characters")]
    Name,
    /// The list of excluded nodes is too long.
    #[error("at most {MAX_EXCLUDED} nodes can be excluded")]
    Exclude,
    /// The stated address is none.
    #[error("the stated address is not an IP address")]
    StatedAddress,
    /// People without a token are not let in.
    #[error(
        "joining without an invitation is switched off here; ask whoever runs this server for a link with a token"
    )]
    Anonymous,
    /// The previous token does not let its bearer in, and there is no other way in.
    #[error("the invitation cannot be used: {0}")]
    Previous(TokenError),
    /// No token can be made.
    #[error("this server cannot make tokens: {0}")]
    Mint(MintError),
    /// No node can take the client.
    #[error("no server can take you at this moment; try again in a few seconds")]
    NoNode(RankError),
}

impl JoinRefusal {
    /// HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Body(_) | Self::Room | Self::Name | Self::Exclude | Self::StatedAddress => 400,
            Self::Previous(error) if !error.is_forbidden() => 401,
            Self::Anonymous | Self::Previous(_) => 403,
            Self::Mint(_) => 500,
            Self::NoNode(_) => 503,
        }
    }

    /// Short name for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Body(_) => "invalid_request",
            Self::Room => "invalid_room",
            Self::Name => "invalid_name",
            Self::Exclude => "too_many_excluded",
            Self::StatedAddress => "invalid_address",
            Self::Anonymous => "anonymous_join_disabled",
            Self::Previous(error) => error.code(),
            Self::Mint(_) => "no_key",
            Self::NoNode(_) => "no_node",
        }
    }
}

/// Checks a call and cleans its name.
///
/// # Errors
/// [`JoinRefusal`] says what the person should do.
pub fn validated(call: JoinCall) -> Result<ValidCall, JoinRefusal> {
    let room = call.room.trim();
    if room.is_empty() || room.len() > MAX_ROOM_NAME_BYTES || room.chars().any(is_invisible) {
        return Err(JoinRefusal::Room);
    }
    let name = cleaned(&call.name);
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(JoinRefusal::Name);
    }
    if call.exclude.len() > MAX_EXCLUDED {
        return Err(JoinRefusal::Exclude);
    }
    Ok(ValidCall {
        room: RoomName::from(room),
        name,
        exclude: call.exclude.into_iter().collect(),
        previous_token: call.previous_token.filter(|token| !token.is_empty()),
    })
}

/// `name` without invisible characters, with single spaces.
fn cleaned(name: &str) -> String {
    let spaced: String = name
        .chars()
        .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
        .filter(|letter| !is_invisible(*letter))
        .collect();
    spaced
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Control characters, and those that turn the direction of writing around: a name must not rearrange what stands
/// beside it.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The token for a valid call: the previous one's identity and grants where that is still valid for the room, else a new
/// person's. `now_s` is in seconds since 1970.
///
/// # Errors
/// [`JoinRefusal`] when people without a token are not let in, or no token can be made.
pub fn token_for(
    call: &ValidCall,
    config: &SignalingConfig,
    random: &mut dyn RandomSource,
    now_s: u64,
) -> Result<String, JoinRefusal> {
    let previous = call
        .previous_token
        .as_deref()
        .map(|token| token::admit_to(token, &call.room, &config.keys, now_s));
    let claims = match previous {
        Some(Ok(previous)) => renamed(previous, &call.name),
        // An unusable earlier token costs an anonymous person only the earlier identity.
        None | Some(Err(_)) if config.anonymous_join => anonymous(call, config, random, now_s),
        Some(Err(error)) => return Err(JoinRefusal::Previous(error)),
        None => return Err(JoinRefusal::Anonymous),
    };
    token::mint(claims, &config.keys).map_err(JoinRefusal::Mint)
}

/// The same bearer with the same rights for the same time; with the new name where it may choose its name.
fn renamed(previous: Claims, name: &str) -> Claims {
    if previous.permission().can_update_metadata {
        Claims {
            name: name.to_owned(),
            ..previous
        }
    } else {
        previous
    }
}

fn anonymous(
    call: &ValidCall,
    config: &SignalingConfig,
    random: &mut dyn RandomSource,
    now_s: u64,
) -> Claims {
    Claims {
        sub: format!("guest-{}", sid::letters(random)),
        name: call.name.clone(),
        nbf: now_s,
        exp: now_s.saturating_add(config.token_ttl.as_secs()),
        video: Grants {
            room_join: true,
            room: call.room.0.clone(),
            can_publish: Some(true),
            can_subscribe: Some(true),
            can_publish_data: Some(true),
            can_update_own_metadata: Some(true),
            ..Grants::default()
        },
        ..Claims::default()
    }
}

/// The answer of a ranking and a token.
#[must_use]
pub fn answer_of(ranking: &Ranking, token: String) -> JoinAnswer {
    let best = ranking.best();
    JoinAnswer {
        url: best.url.clone(),
        token,
        node: best.name.clone(),
        region: best.region.clone(),
        alternatives: ranking
            .ordered
            .iter()
            .map(|node| Alternative {
                node: node.name.clone(),
                region: node.region.clone(),
                url: node.url.clone(),
                reasons: node.sentences(),
            })
            .collect(),
    }
}
