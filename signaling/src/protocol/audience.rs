//! Who may receive what a client publishes, as the client says it and as others are told.

use livekit_protocol as proto;
use relay_proto::id::{Identity, ParticipantSid, TrackSid};
use relay_proto::room::ConnectionQuality;

/// Who may receive a client's tracks, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceRequest {
    /// Everybody may; what is granted then does not matter.
    pub everybody: bool,
    /// What single people may.
    pub grants: Vec<GrantRequest>,
}

/// What one person may receive, named by identity or, where that is empty, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// Identity; may be of somebody who is not there.
    pub identity: Identity,
    /// Id of somebody who is there.
    pub participant: ParticipantSid,
    /// The only tracks; none means all.
    pub tracks: Option<Vec<TrackSid>>,
}

pub(super) fn audience_of(permission: proto::SubscriptionPermission) -> AudienceRequest {
    let grant = |of: proto::TrackPermission| GrantRequest {
        identity: Identity(of.participant_identity),
        participant: ParticipantSid(of.participant_sid),
        tracks: (!of.all_tracks).then(|| of.track_sids.into_iter().map(TrackSid).collect()),
    };
    AudienceRequest {
        everybody: permission.all_participants,
        grants: permission.track_permissions.into_iter().map(grant).collect(),
    }
}

/// Clients take the score for the finer of the two; ours has no more steps than the quality.
pub(super) fn quality_info(
    participant: &ParticipantSid,
    quality: ConnectionQuality,
) -> proto::ConnectionQualityInfo {
    let (quality, score) = match quality {
        ConnectionQuality::Lost => (proto::ConnectionQuality::Lost, 0.0),
        ConnectionQuality::Poor => (proto::ConnectionQuality::Poor, 2.0),
        ConnectionQuality::Good => (proto::ConnectionQuality::Good, 3.5),
        ConnectionQuality::Excellent => (proto::ConnectionQuality::Excellent, 4.5),
    };
    proto::ConnectionQualityInfo {
        participant_sid: participant.0.clone(),
        quality: quality.into(),
        score,
    }
}
