//! Records of the mesh as clients see them.

use crate::token::EGRESS;
use livekit_protocol as proto;
use relay_proto::room::{
    LayerRecord, LeaveCause, MediaKind, ParticipantRecord, ParticipantState, Permission, SpeakerLevel,
    TrackRecord, TrackSource,
};

/// What the keys of attributes begin with that only the server sets.
pub(crate) const SERVER_ATTRIBUTES: &str = "causeway.";
/// Attribute that holds the name of the participant's node.
pub(crate) const NODE_ATTRIBUTE: &str = "causeway.node";
/// Attribute that holds the region label of the participant's node.
pub(crate) const REGION_ATTRIBUTE: &str = "causeway.region";

pub(super) fn participant_info(
    record: &ParticipantRecord,
    left: Option<LeaveCause>,
) -> proto::ParticipantInfo {
    let state = match (left, record.state) {
        (Some(_), _) | (None, ParticipantState::Disconnected) => proto::participant_info::State::Disconnected,
        (None, ParticipantState::Joined) => proto::participant_info::State::Joined,
        (None, ParticipantState::Active) => proto::participant_info::State::Active,
    };
    let joined_ms = i64::try_from(record.joined_at.0).unwrap_or(i64::MAX);
    let region = record.attributes.iter().find(|(key, _)| key == REGION_ATTRIBUTE);
    proto::ParticipantInfo {
        sid: record.sid.0.clone(),
        identity: record.identity.0.clone(),
        state: state.into(),
        tracks: record.tracks.iter().map(track_info).collect(),
        metadata: record.metadata.clone(),
        joined_at: joined_ms / 1_000,
        joined_at_ms: joined_ms,
        name: record.name.clone(),
        version: record.version,
        permission: Some(permission(&record.permission, record.kind)),
        region: region.map(|(_, label)| label.clone()).unwrap_or_default(),
        is_publisher: !record.tracks.is_empty(),
        kind: record.kind,
        attributes: record.attributes.iter().cloned().collect(),
        disconnect_reason: left
            .map_or(proto::DisconnectReason::UnknownReason, told_to_others)
            .into(),
        client_protocol: record.client_protocol,
        capabilities: record.capabilities.clone(),
        ..proto::ParticipantInfo::default()
    }
}

/// Why somebody is gone, as the others are told.
const fn told_to_others(cause: LeaveCause) -> proto::DisconnectReason {
    match cause {
        LeaveCause::ClientLeft => proto::DisconnectReason::ClientInitiated,
        LeaveCause::ConnectionLost => proto::DisconnectReason::ConnectionTimeout,
        LeaveCause::DuplicateIdentity => proto::DisconnectReason::DuplicateIdentity,
        LeaveCause::Removed => proto::DisconnectReason::ParticipantRemoved,
        LeaveCause::NodeLost => proto::DisconnectReason::SignalClose,
        LeaveCause::NodeStopped => proto::DisconnectReason::ServerShutdown,
    }
}

#[expect(deprecated, reason = "clients still read recorder from this field")]
fn permission(permission: &Permission, kind: i32) -> proto::ParticipantPermission {
    proto::ParticipantPermission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: permission
            .sources
            .iter()
            .map(|source| track_source(*source).into())
            .collect(),
        hidden: permission.hidden,
        can_update_metadata: permission.can_update_metadata,
        recorder: kind == EGRESS,
        ..proto::ParticipantPermission::default()
    }
}

#[expect(
    deprecated,
    reason = "clients still read simulcast, layers, stereo and DTX from these fields"
)]
pub(super) fn track_info(track: &TrackRecord) -> proto::TrackInfo {
    let mime_type = track
        .codec
        .map(|codec| codec.mime().to_owned())
        .unwrap_or_default();
    let layers = video_layers(&track.layers);
    let codecs = match track.codec {
        Some(_) if track.kind == MediaKind::Video => vec![proto::SimulcastCodecInfo {
            mime_type: mime_type.clone(),
            layers: layers.clone(),
            ..proto::SimulcastCodecInfo::default()
        }],
        _ => Vec::new(),
    };
    proto::TrackInfo {
        sid: track.sid.0.clone(),
        r#type: match track.kind {
            MediaKind::Audio => proto::TrackType::Audio.into(),
            MediaKind::Video => proto::TrackType::Video.into(),
        },
        name: track.name.clone(),
        muted: track.muted,
        width: track.width,
        height: track.height,
        simulcast: track.simulcast,
        disable_dtx: track.client.dtx_disabled,
        source: track_source(track.source).into(),
        layers,
        mime_type,
        codecs,
        stereo: track.client.stereo,
        disable_red: track.client.red_disabled,
        encryption: i32::from(track.client.encryption),
        stream: track.stream.clone(),
        audio_features: track.client.audio_features.clone(),
        ..proto::TrackInfo::default()
    }
}

/// A single layer is a track's full picture and so of high quality; of several, the number says the quality.
fn video_layers(layers: &[LayerRecord]) -> Vec<proto::VideoLayer> {
    let quality = |layer: &LayerRecord| match (layers.len(), layer.layer.0) {
        (1, _) | (_, 2..) => proto::VideoQuality::High,
        (_, 1) => proto::VideoQuality::Medium,
        (_, 0) => proto::VideoQuality::Low,
    };
    layers
        .iter()
        .map(|layer| proto::VideoLayer {
            quality: quality(layer).into(),
            width: layer.width,
            height: layer.height,
            bitrate: u32::try_from(layer.bitrate.0).unwrap_or(u32::MAX),
            ..proto::VideoLayer::default()
        })
        .collect()
}

pub(super) const fn track_source(source: TrackSource) -> proto::TrackSource {
    match source {
        TrackSource::Unknown => proto::TrackSource::Unknown,
        TrackSource::Camera => proto::TrackSource::Camera,
        TrackSource::Microphone => proto::TrackSource::Microphone,
        TrackSource::ScreenShare => proto::TrackSource::ScreenShare,
        TrackSource::ScreenShareAudio => proto::TrackSource::ScreenShareAudio,
    }
}

pub(super) fn speaker_info(speaker: &SpeakerLevel) -> proto::SpeakerInfo {
    proto::SpeakerInfo {
        sid: speaker.participant.0.clone(),
        level: if speaker.active {
            speaker.level.linear().clamp(0.0, 1.0)
        } else {
            0.0
        },
        active: speaker.active,
    }
}
