//! What a client decides about itself: its name, metadata and attributes, and who may receive its tracks.

use super::opening::attributes_fit;
use super::requests::refused;
use super::{Around, Effect, Session};
use crate::protocol::{AudienceRequest, GrantRequest, MetadataChange, Refusal, SERVER_ATTRIBUTES};
use crate::room::Room;
use relay_proto::id::{Identity, MAX_IDENTITY_BYTES};
use relay_proto::room::{Audience, AudienceGrant};
use relay_proto::session::SessionCommand;
use std::collections::BTreeMap;

impl Session {
    pub(super) fn update_metadata(
        &mut self,
        change: MetadataChange,
        around: Around<'_>,
        out: &mut Vec<Effect>,
    ) {
        if let Err((refusal, message)) = self.may_change(&change, around) {
            refused(around.site);
            self.done(change.request_id, refusal, message, out);
            return;
        }
        self.note_in_token(&change, around.now);
        let MetadataChange {
            request_id,
            name,
            metadata,
            attributes,
        } = change;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        self.command(
            SessionCommand::UpdateParticipant {
                session: self.id,
                name: given(name),
                metadata: given(metadata),
                attributes,
            },
            out,
        );
        self.done(request_id, Refusal::None, "", out);
    }

    fn may_change(&self, change: &MetadataChange, around: Around<'_>) -> Result<(), (Refusal, &'static str)> {
        let MetadataChange {
            name,
            metadata,
            attributes,
            ..
        } = change;
        let limits = &around.site.limits;
        let own = around
            .room
            .participant(&self.sid)
            .map(|own| own.attributes.as_slice())
            .unwrap_or_default();
        let mut merged: BTreeMap<String, String> = own.iter().chain(attributes).cloned().collect();
        // An empty value removes its key.
        merged.retain(|_, value| !value.is_empty());
        if !self.permission.can_update_metadata {
            Err((
                Refusal::NotAllowed,
                "the access token does not allow changing name, metadata and attributes",
            ))
        } else if attributes
            .iter()
            .any(|(key, _)| key.starts_with(SERVER_ATTRIBUTES))
        {
            Err((
                Refusal::NotAllowed,
                "attributes that begin with causeway. are set by the server",
            ))
        } else if name.len() > limits.name_bytes {
            Err((Refusal::LimitExceeded, "the name is too long"))
        } else if metadata.len() > limits.metadata_bytes {
            Err((Refusal::LimitExceeded, "the metadata is too long"))
        } else if !attributes_fit(&merged, limits) {
            Err((Refusal::LimitExceeded, "the attributes are too many or too long"))
        } else {
            Ok(())
        }
    }

    pub(super) fn set_audience(&self, request: AudienceRequest, around: Around<'_>, out: &mut Vec<Effect>) {
        let audience = match self.audience_from(request, around) {
            Ok(audience) => audience,
            Err((refusal, message)) => {
                refused(around.site);
                tracing::warn!(session = %self.id, room = %self.room, message, "audience refused");
                self.done(0, refusal, message, out);
                return;
            }
        };
        self.command(
            SessionCommand::SetAudience {
                session: self.id,
                audience,
            },
            out,
        );
    }

    fn audience_from(
        &self,
        request: AudienceRequest,
        around: Around<'_>,
    ) -> Result<Audience, (Refusal, &'static str)> {
        let limits = &around.site.limits;
        if !self.permission.can_publish {
            return Err((
                Refusal::NotAllowed,
                "the access token does not allow publishing, so nobody receives anything",
            ));
        }
        if request.everybody {
            return Ok(Audience::Everybody);
        }
        let bytes: usize = request.grants.iter().map(grant_bytes).sum();
        let fits = |grant: &GrantRequest| {
            let tracks = grant.tracks.as_ref().map_or(0, Vec::len);
            tracks <= limits.tracks_per_participant && grant.identity.as_str().len() <= MAX_IDENTITY_BYTES
        };
        if request.grants.len() > limits.audience_grants
            || bytes > limits.audience_bytes
            || !request.grants.iter().all(fits)
        {
            return Err((
                Refusal::LimitExceeded,
                "too many people or tracks are named; nothing has changed",
            ));
        }
        let grants = request
            .grants
            .into_iter()
            .filter_map(|grant| granted(grant, around.room));
        Ok(Audience::Only(grants.collect()))
    }
}

fn grant_bytes(grant: &GrantRequest) -> usize {
    let tracks = grant.tracks.iter().flatten();
    // By id: the identity that stands for it may be as long as any.
    let viewer = match grant.identity.as_str().len() {
        0 => MAX_IDENTITY_BYTES,
        known => known,
    };
    viewer + tracks.map(|track| track.as_str().len()).sum::<usize>()
}

/// Whoever is named by an id nobody has is granted nothing.
fn granted(grant: GrantRequest, room: &Room) -> Option<AudienceGrant> {
    let named = Some(grant.identity).filter(|identity: &Identity| !identity.as_str().is_empty());
    Some(AudienceGrant {
        viewer: named.or_else(|| room.identity(&grant.participant).cloned())?,
        tracks: grant.tracks,
    })
}
