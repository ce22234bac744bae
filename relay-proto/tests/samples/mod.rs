//! One named example of every message and datagram. The golden bytes pin them, the fuzz runner starts from them.
//! A new variant makes `name_of` fail to compile; a variant without an example fails the coverage test.

pub(crate) mod datagram;
pub(crate) mod mesh;
pub(crate) mod session;

use relay_proto::control::{ControlMessage, GoodbyeCause};
use relay_proto::room::{RoomEvent, TrackRecord};
use relay_proto::row::RowValue;
use relay_proto::session::{EndCause, RoomChange, SessionCommand, SessionFact};
use relay_proto::steering::{SteeringMessage, SteeringStep};
use relay_proto::version::Features;

/// Every example of a control message.
pub(crate) fn messages() -> Vec<ControlMessage> {
    let mut all = mesh::messages();
    all.extend(session::commands());
    all.extend(session::facts());
    all.extend(session::steering());
    all
}

/// The names of all variants, sorted: what `messages` must cover.
#[allow(
    dead_code,
    reason = "the fuzz runner shares this module and has no coverage test"
)]
pub(crate) const NAMES: [&str; 72] = [
    "command-add-candidate",
    "command-announce-track",
    "command-apply-answer",
    "command-apply-offer",
    "command-close-session",
    "command-offer-to-client",
    "command-open-elsewhere",
    "command-open-session",
    "command-replay-data",
    "command-send-data",
    "command-send-reliable",
    "command-set-audience",
    "command-set-subscription",
    "command-set-track-muted",
    "command-set-track-wish",
    "command-update-participant",
    "demand",
    "detour",
    "digest",
    "fact-data-received",
    "fact-offer-answered",
    "fact-offer-made",
    "fact-layers-wanted",
    "fact-offer-rejected",
    "fact-pictures-paused",
    "fact-room-audience-changed",
    "fact-room-changed-elsewhere",
    "fact-room-participant-left",
    "fact-room-participant-upserted",
    "fact-room-quality-changed",
    "fact-room-participant-replaced",
    "fact-room-speakers-changed",
    "fact-sections-required",
    "fact-session-ended-consent-expired",
    "fact-session-ended-fingerprint-mismatch",
    "fact-session-ended-handshake-timed-out",
    "fact-session-ended-left",
    "fact-session-ended-limit-reached",
    "fact-session-ended-not-serving",
    "fact-session-opened",
    "fact-track-announced",
    "fact-track-refused",
    "fact-track-subscribed",
    "fact-track-unpublished",
    "fact-transport-connected",
    "goodbye-duplicate-link",
    "goodbye-name-taken",
    "goodbye-protocol-violation",
    "goodbye-stopping",
    "goodbye-version-mismatch",
    "hello",
    "room-audience-changed",
    "room-data-sent",
    "room-participant-left",
    "room-participant-upserted",
    "room-participant-upserted-codecs",
    "room-quality-changed",
    "room-reliable-sent",
    "room-snapshot",
    "row-gone",
    "row-host",
    "row-link",
    "row-node",
    "row-several",
    "row-transit",
    "rows-none",
    "rows-signed",
    "summary",
    "steering-command",
    "steering-fact",
    "steering-standing",
    "transit-demand",
];

/// The name of a message's variant, down to the variants inside it.
pub(crate) fn name_of(message: &ControlMessage) -> &'static str {
    match message {
        ControlMessage::Hello(_) => "hello",
        ControlMessage::RowDigest(_) => "digest",
        ControlMessage::Rows(rows) => match rows.as_slice() {
            [] => "rows-none",
            [row] => name_of_row(&row.value),
            _ => "row-several",
        },
        ControlMessage::Room(room) => name_of_event(&room.event),
        ControlMessage::Demand { .. } => "demand",
        ControlMessage::Goodbye(cause) => name_of_goodbye(*cause),
        ControlMessage::Command { command, .. } => name_of_command(command),
        ControlMessage::Fact(fact) => name_of_fact(fact),
        ControlMessage::TransitDemand { .. } => "transit-demand",
        ControlMessage::Detour(_) => "detour",
        ControlMessage::SignedRows(_) => "rows-signed",
        ControlMessage::RowSummary { .. } => "summary",
        ControlMessage::Steering(SteeringMessage::Standing { .. }) => "steering-standing",
        ControlMessage::Steering(SteeringMessage::Step { step, .. }) => match step {
            SteeringStep::Command(_) => "steering-command",
            SteeringStep::Fact(_) => "steering-fact",
        },
    }
}

fn name_of_row(value: &RowValue) -> &'static str {
    match value {
        RowValue::Node(_) => "row-node",
        RowValue::Link(_) => "row-link",
        RowValue::Host(_) => "row-host",
        RowValue::Gone => "row-gone",
        RowValue::Transit(_) => "row-transit",
        RowValue::Identity(_) => "row-identity",
    }
}

/// Whether only peers with the feature bit of newer codecs are told of it.
fn needs_codecs(track: &TrackRecord) -> bool {
    track
        .codec
        .is_some_and(|codec| codec.needed().has(Features::CODECS))
}

fn name_of_event(event: &RoomEvent) -> &'static str {
    match event {
        RoomEvent::Snapshot { .. } => "room-snapshot",
        RoomEvent::ParticipantUpserted(record) if record.tracks.iter().any(needs_codecs) => {
            "room-participant-upserted-codecs"
        }
        RoomEvent::ParticipantUpserted(_) => "room-participant-upserted",
        RoomEvent::ParticipantLeft { .. } => "room-participant-left",
        RoomEvent::DataSent(_) => "room-data-sent",
        RoomEvent::AudienceChanged { .. } => "room-audience-changed",
        RoomEvent::QualityChanged { .. } => "room-quality-changed",
        RoomEvent::ReliableSent { .. } => "room-reliable-sent",
    }
}

fn name_of_goodbye(cause: GoodbyeCause) -> &'static str {
    match cause {
        GoodbyeCause::Stopping => "goodbye-stopping",
        GoodbyeCause::VersionMismatch => "goodbye-version-mismatch",
        GoodbyeCause::NameTaken => "goodbye-name-taken",
        GoodbyeCause::DuplicateLink => "goodbye-duplicate-link",
        GoodbyeCause::ProtocolViolation => "goodbye-protocol-violation",
    }
}

fn name_of_command(command: &SessionCommand) -> &'static str {
    match command {
        SessionCommand::OpenSession(_) => "command-open-session",
        SessionCommand::ApplyOffer { .. } => "command-apply-offer",
        SessionCommand::AddCandidate { .. } => "command-add-candidate",
        SessionCommand::AnnounceTrack { .. } => "command-announce-track",
        SessionCommand::SetTrackMuted { .. } => "command-set-track-muted",
        SessionCommand::UpdateParticipant { .. } => "command-update-participant",
        SessionCommand::SetSubscription { .. } => "command-set-subscription",
        SessionCommand::SetTrackWish { .. } => "command-set-track-wish",
        SessionCommand::SendData { .. } => "command-send-data",
        SessionCommand::CloseSession { .. } => "command-close-session",
        SessionCommand::SetAudience { .. } => "command-set-audience",
        SessionCommand::SendReliable { .. } => "command-send-reliable",
        SessionCommand::ReplayData { .. } => "command-replay-data",
        SessionCommand::OfferToClient { .. } => "command-offer-to-client",
        SessionCommand::ApplyAnswer { .. } => "command-apply-answer",
        SessionCommand::OpenElsewhere { .. } => "command-open-elsewhere",
    }
}

fn name_of_fact(fact: &SessionFact) -> &'static str {
    match fact {
        SessionFact::SessionOpened { .. } => "fact-session-opened",
        SessionFact::SessionEnded { cause, .. } => name_of_end(cause),
        SessionFact::OfferAnswered { .. } => "fact-offer-answered",
        SessionFact::OfferMade { .. } => "fact-offer-made",
        SessionFact::OfferRejected { .. } => "fact-offer-rejected",
        SessionFact::SectionsRequired { .. } => "fact-sections-required",
        SessionFact::TransportConnected { .. } => "fact-transport-connected",
        SessionFact::TrackAnnounced { .. } => "fact-track-announced",
        SessionFact::TrackUnpublished { .. } => "fact-track-unpublished",
        SessionFact::DataReceived { .. } => "fact-data-received",
        SessionFact::RoomChanged { change, .. } => match change {
            RoomChange::ParticipantUpserted(_) => "fact-room-participant-upserted",
            RoomChange::ParticipantLeft { .. } => "fact-room-participant-left",
            RoomChange::SpeakersChanged(_) => "fact-room-speakers-changed",
            RoomChange::AudienceChanged { .. } => "fact-room-audience-changed",
            RoomChange::QualityChanged { .. } => "fact-room-quality-changed",
            RoomChange::ParticipantReplaced { .. } => "fact-room-participant-replaced",
        },
        SessionFact::TrackRefused { .. } => "fact-track-refused",
        SessionFact::PicturesPaused { .. } => "fact-pictures-paused",
        SessionFact::LayersWanted { .. } => "fact-layers-wanted",
        SessionFact::TrackSubscribed { .. } => "fact-track-subscribed",
        SessionFact::RoomChangedElsewhere { .. } => "fact-room-changed-elsewhere",
    }
}

fn name_of_end(cause: &EndCause) -> &'static str {
    match cause {
        EndCause::Left(_) => "fact-session-ended-left",
        EndCause::FingerprintMismatch => "fact-session-ended-fingerprint-mismatch",
        EndCause::HandshakeTimedOut => "fact-session-ended-handshake-timed-out",
        EndCause::ConsentExpired => "fact-session-ended-consent-expired",
        EndCause::LimitReached(_) => "fact-session-ended-limit-reached",
        EndCause::NotServing => "fact-session-ended-not-serving",
    }
}
