//! The token a client comes back with: replaced before it ends, with the rights of the first one.

use super::{Effect, Now, Session, Site};
use crate::limits::{TOKEN_REFRESH_BEFORE, TOKEN_REFRESH_TTL};
use crate::protocol::{MetadataChange, Reply, SERVER_ATTRIBUTES};
use crate::token::{self, Claims, MAX_TOKEN_BYTES};
use relay_proto::room::ParticipantRecord;
use std::time::{Duration, Instant};

/// A change of name or attributes is written into a new token after this time: several make one token.
const GATHER: Duration = Duration::from_secs(1);

/// What the next token says, and when it is due.
#[derive(Debug)]
pub(super) struct Renewal {
    claims: Claims,
    due: Option<Instant>,
}

impl Renewal {
    pub(super) fn of(claims: Claims, participant: &ParticipantRecord, now: Now) -> Self {
        let due = due_for(claims.exp, now);
        let own = participant
            .attributes
            .iter()
            .filter(|(key, _)| !key.starts_with(SERVER_ATTRIBUTES));
        Self {
            claims: Claims {
                name: participant.name.clone(),
                metadata: participant.metadata.clone(),
                attributes: own.cloned().collect(),
                ..claims
            },
            due,
        }
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }
}

/// None for a token that ends so late that no clock gets there.
fn due_for(exp_s: u64, now: Now) -> Option<Instant> {
    let left = Duration::from_secs(exp_s.saturating_sub(now.wall.0 / 1_000));
    now.monotonic
        .checked_add(left.saturating_sub(TOKEN_REFRESH_BEFORE))
}

impl Session {
    /// What a client has changed of itself stands in its next token, so that it is still so when it comes back.
    pub(super) fn note_in_token(&mut self, change: &MetadataChange, now: Now) {
        let claims = &mut self.renewal.claims;
        if !change.name.is_empty() {
            claims.name.clone_from(&change.name);
        }
        if !change.metadata.is_empty() {
            claims.metadata.clone_from(&change.metadata);
        }
        claims.attributes.extend(change.attributes.iter().cloned());
        claims.attributes.retain(|_, value| !value.is_empty());
        let soon = now.monotonic + GATHER;
        self.renewal.due = Some(self.renewal.due.map_or(soon, |due| due.min(soon)));
    }

    pub(super) fn renew_token(&mut self, now: Now, site: &Site, out: &mut Vec<Effect>) {
        if self.renewal.due.is_none_or(|due| due > now.monotonic) {
            return;
        }
        let claims = &mut self.renewal.claims;
        // Never shorter than the one it replaces.
        claims.exp = claims
            .exp
            .max((now.wall.0 / 1_000).saturating_add(TOKEN_REFRESH_TTL.as_secs()));
        self.renewal.due = due_for(claims.exp, now);
        match token::mint(claims.clone(), &site.keys.0) {
            Ok(token) if token.len() <= MAX_TOKEN_BYTES => self.tell(Reply::RefreshToken(token), out),
            Ok(token) => {
                let bytes = token.len();
                tracing::debug!(session = %self.id, bytes, "no new token: with its metadata it would be too long");
            }
            Err(error) => tracing::warn!(session = %self.id, %error, "no new token"),
        }
    }
}
