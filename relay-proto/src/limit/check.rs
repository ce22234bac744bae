//! The walk over every wire type. One `check` per type, one line per field that can be wrong.

use super::*;
use crate::control::{DetourStep, Hello, TrackDemand};
use crate::id::{
    Identity, Layer, LayerSet, MAX_IDENTITY_BYTES, MAX_LAYERS, MAX_NODE_NAME_BYTES, MAX_ROOM_NAME_BYTES,
    NodeId, NodeName, ParticipantSid, RoomName, TrackSid,
};
use crate::room::{
    Audience, AudienceGrant, DataMessage, LayerRecord, ParticipantRecord, RoomEvent, RoomMessage,
    SpeakerLevel, TrackRecord,
};
use crate::row::{IdentityFacts, NodeFacts, Row, RowKey, RowValue, SignedRow};
use crate::session::{
    AnnouncedTrack, EndCause, OpenSession, PictureState, RoomChange, SessionCommand, SessionFact, TrackWish,
};
use crate::steering::SteeringMessage;

/// Least and largest stretch of a tree, in millionths.
const MIN_STRETCH: i64 = 1_000_000;
const MAX_STRETCH: i64 = 10_000_000;

/// A type of the wire that knows its limits.
pub(super) trait Bounded {
    /// The first part that is over a limit.
    fn check(&self) -> Result<(), LimitError>;
}

fn size(what: &'static str, size: usize, limit: usize) -> Result<(), LimitError> {
    if size > limit {
        return Err(LimitError::TooLarge { what, size, limit });
    }
    Ok(())
}

fn name(what: &'static str, text: &str, limit: usize) -> Result<(), LimitError> {
    if text.is_empty() {
        return Err(LimitError::Empty(what));
    }
    size(what, text.len(), limit)
}

fn label(what: &'static str, text: &str) -> Result<(), LimitError> {
    size(what, text.len(), MAX_LABEL_BYTES)
}

fn range(what: &'static str, value: i64, low: i64, high: i64) -> Result<(), LimitError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(LimitError::OutOfRange { what, value })
}

impl<T: Bounded> Bounded for [T] {
    fn check(&self) -> Result<(), LimitError> {
        self.iter().try_for_each(Bounded::check)
    }
}

fn list<T: Bounded>(what: &'static str, items: &[T], limit: usize) -> Result<(), LimitError> {
    size(what, items.len(), limit)?;
    items.check()
}

impl Bounded for NodeName {
    fn check(&self) -> Result<(), LimitError> {
        name("node name", &self.0, MAX_NODE_NAME_BYTES)
    }
}

impl Bounded for RoomName {
    fn check(&self) -> Result<(), LimitError> {
        name("room name", &self.0, MAX_ROOM_NAME_BYTES)
    }
}

impl Bounded for Identity {
    fn check(&self) -> Result<(), LimitError> {
        name("identity", &self.0, MAX_IDENTITY_BYTES)
    }
}

impl Bounded for ParticipantSid {
    fn check(&self) -> Result<(), LimitError> {
        size("participant id", self.0.len(), MAX_SID_BYTES)
    }
}

impl Bounded for TrackSid {
    fn check(&self) -> Result<(), LimitError> {
        size("track id", self.0.len(), MAX_SID_BYTES)
    }
}

impl Bounded for Layer {
    fn check(&self) -> Result<(), LimitError> {
        range("layer", i64::from(self.0), 0, MAX_LAYERS as i64 - 1)
    }
}

impl Bounded for LayerSet {
    fn check(&self) -> Result<(), LimitError> {
        range("layer set", i64::from(self.0), 0, (1 << MAX_LAYERS) - 1)
    }
}

impl Bounded for Hello {
    fn check(&self) -> Result<(), LimitError> {
        if self.oldest_version > self.newest_version {
            return Err(LimitError::Contradiction(
                "the oldest version spoken is newer than the newest",
            ));
        }
        self.name.check()?;
        label("software version", &self.software)
    }
}

impl Bounded for NodeFacts {
    fn check(&self) -> Result<(), LimitError> {
        self.name.check()?;
        label("region", &self.region)?;
        range("latitude", i64::from(self.latitude.0), -90_000, 90_000)?;
        range("longitude", i64::from(self.longitude.0), -180_000, 180_000)?;
        label("public URL", &self.public_url)?;
        label("software version", &self.software)
    }
}

impl Bounded for IdentityFacts {
    fn check(&self) -> Result<(), LimitError> {
        size("certificates of a node", self.chain.len(), MAX_CERTIFICATES)?;
        for certificate in &self.chain {
            size("certificate", certificate.len(), MAX_CERTIFICATE_BYTES)?;
        }
        size("endorsement", self.endorsement.len(), MAX_CERTIFICATE_BYTES)
    }
}

impl Bounded for SignedRow {
    fn check(&self) -> Result<(), LimitError> {
        self.row.check()
    }
}

impl Bounded for Row {
    fn check(&self) -> Result<(), LimitError> {
        match &self.key {
            RowKey::Node | RowKey::Link(_) | RowKey::Transit | RowKey::Identity => {}
            RowKey::Host(room) => room.check()?,
        }
        match (&self.key, &self.value) {
            (_, RowValue::Gone) => Ok(()),
            (RowKey::Node, RowValue::Node(facts)) => {
                facts.check()?;
                if NodeId::of(facts.name.as_str()) != self.owner {
                    return Err(LimitError::Contradiction(
                        "the name of a node row is not its owner's",
                    ));
                }
                Ok(())
            }
            (RowKey::Link(peer), RowValue::Link(facts)) if facts.peer == *peer => Ok(()),
            (RowKey::Host(room), RowValue::Host(facts)) if facts.room == *room => Ok(()),
            (RowKey::Transit, RowValue::Transit(facts)) => {
                let stretch = i64::from(facts.stretch.0);
                range("stretch", stretch, MIN_STRETCH, MAX_STRETCH)
            }
            (RowKey::Identity, RowValue::Identity(facts)) => facts.check(),
            _ => Err(LimitError::Contradiction("the value of a row is not of its key")),
        }
    }
}

impl Bounded for TrackDemand {
    fn check(&self) -> Result<(), LimitError> {
        self.layers.check()
    }
}

impl Bounded for LayerRecord {
    fn check(&self) -> Result<(), LimitError> {
        self.layer.check()
    }
}

impl Bounded for TrackRecord {
    fn check(&self) -> Result<(), LimitError> {
        self.sid.check()?;
        label("track name", &self.name)?;
        label("stream name", &self.stream)?;
        list("layers of a track", &self.layers, MAX_LAYERS)?;
        size("audio features", self.client.audio_features.len(), MAX_NUMBERS)
    }
}

fn attributes(pairs: &[(String, String)]) -> Result<(), LimitError> {
    size("attributes", pairs.len(), MAX_ATTRIBUTES)?;
    pairs.iter().try_for_each(|(key, value)| {
        label("attribute name", key)?;
        size("attribute value", value.len(), MAX_TEXT_BYTES)
    })
}

impl Bounded for ParticipantRecord {
    fn check(&self) -> Result<(), LimitError> {
        self.sid.check()?;
        self.identity.check()?;
        label("name of a participant", &self.name)?;
        size("metadata", self.metadata.len(), MAX_TEXT_BYTES)?;
        attributes(&self.attributes)?;
        size("permitted sources", self.permission.sources.len(), MAX_NUMBERS)?;
        size("capabilities", self.capabilities.len(), MAX_NUMBERS)?;
        list("tracks of a participant", &self.tracks, MAX_TRACKS)
    }
}

impl Bounded for DataMessage {
    fn check(&self) -> Result<(), LimitError> {
        self.from.check()?;
        list("recipients", &self.to, MAX_RECIPIENTS)?;
        size("payload of a message", self.payload.len(), MAX_DATA_BYTES)
    }
}

impl Bounded for RoomMessage {
    fn check(&self) -> Result<(), LimitError> {
        self.room.check()?;
        match &self.event {
            RoomEvent::Snapshot { participants, .. } => {
                list("participants of a snapshot", participants, MAX_PARTICIPANTS)
            }
            RoomEvent::ParticipantUpserted(record) => record.check(),
            RoomEvent::ParticipantLeft { participant, .. } => participant.check(),
            RoomEvent::DataSent(message) | RoomEvent::ReliableSent { message, .. } => message.check(),
            RoomEvent::AudienceChanged {
                participant,
                audience,
            } => {
                participant.check()?;
                audience.check()
            }
            RoomEvent::QualityChanged { participant, .. } => participant.check(),
        }
    }
}

impl Bounded for DetourStep {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::Room(message) => message.check(),
            Self::Mark | Self::BeginAnew { .. } => Ok(()),
        }
    }
}

impl Bounded for AudienceGrant {
    fn check(&self) -> Result<(), LimitError> {
        self.viewer.check()?;
        list(
            "tracks of a grant",
            self.tracks.as_deref().unwrap_or_default(),
            MAX_TRACKS,
        )
    }
}

impl Bounded for Audience {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::Everybody => Ok(()),
            Self::Only(grants) => list("grants of an audience", grants, MAX_RECIPIENTS),
        }
    }
}

impl Bounded for SpeakerLevel {
    fn check(&self) -> Result<(), LimitError> {
        self.participant.check()?;
        range("audio level", i64::from(self.level.0), 0, 127)
    }
}

impl Bounded for OpenSession {
    fn check(&self) -> Result<(), LimitError> {
        self.room.check()?;
        self.participant.check()
    }
}

impl Bounded for AnnouncedTrack {
    fn check(&self) -> Result<(), LimitError> {
        label("client's track id", &self.cid)?;
        self.record.check()
    }
}

impl Bounded for TrackWish {
    fn check(&self) -> Result<(), LimitError> {
        self.max_layer.check()
    }
}

impl Bounded for SessionCommand {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::OpenSession(open) => open.check(),
            Self::ApplyOffer { sdp, .. } => size("offer", sdp.len(), MAX_SDP_BYTES),
            Self::AddCandidate { candidate, .. } => label("candidate", candidate),
            Self::AnnounceTrack { track, .. } => track.check(),
            Self::SetTrackMuted { track, .. } => track.check(),
            Self::UpdateParticipant {
                name,
                metadata,
                attributes: pairs,
                ..
            } => {
                label("name of a participant", name.as_deref().unwrap_or_default())?;
                size(
                    "metadata",
                    metadata.as_ref().map_or(0, String::len),
                    MAX_TEXT_BYTES,
                )?;
                attributes(pairs)
            }
            Self::SetSubscription { tracks, .. } => list("tracks", tracks, MAX_TRACK_REFERENCES),
            Self::SetTrackWish { tracks, wish, .. } => {
                wish.check()?;
                list("tracks", tracks, MAX_TRACK_REFERENCES)
            }
            Self::SendData { message, .. } | Self::SendReliable { message, .. } => message.check(),
            Self::ReplayData { after, .. } => list("senders of a replay", after, MAX_RECIPIENTS),
            Self::CloseSession { .. } | Self::OfferToClient { .. } => Ok(()),
            Self::ApplyAnswer { sdp, .. } => size("answer", sdp.len(), MAX_SDP_BYTES),
            Self::SetAudience { audience, .. } => audience.check(),
            Self::OpenElsewhere { reason, open, .. } => {
                label("reason", reason)?;
                open.check()
            }
        }
    }
}

impl Bounded for EndCause {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::LimitReached(limit) => label("name of a limit", limit),
            Self::Left(_)
            | Self::FingerprintMismatch
            | Self::HandshakeTimedOut
            | Self::ConsentExpired
            | Self::NotServing => Ok(()),
        }
    }
}

impl Bounded for RoomChange {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::ParticipantUpserted(record) => record.check(),
            Self::ParticipantLeft { participant, .. } => participant.check(),
            Self::SpeakersChanged(levels) => list("speakers", levels, MAX_SPEAKERS),
            Self::AudienceChanged {
                participant,
                audience,
            } => {
                participant.check()?;
                audience.check()
            }
            Self::QualityChanged { participant, .. } => participant.check(),
            Self::ParticipantReplaced { gone, participant } => {
                gone.check()?;
                participant.check()
            }
        }
    }
}

impl Bounded for (String, TrackSid) {
    fn check(&self) -> Result<(), LimitError> {
        label("mid", &self.0)?;
        self.1.check()
    }
}

impl Bounded for (ParticipantSid, u32) {
    fn check(&self) -> Result<(), LimitError> {
        self.0.check()
    }
}

impl Bounded for PictureState {
    fn check(&self) -> Result<(), LimitError> {
        self.participant.check()?;
        self.track.check()
    }
}

impl Bounded for SessionFact {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::SessionOpened {
                participant, others, ..
            } => {
                participant.check()?;
                list("other participants", others, MAX_PARTICIPANTS)
            }
            Self::SessionEnded { cause, .. } => cause.check(),
            Self::OfferAnswered { sdp, sections, .. } => {
                size("answer", sdp.len(), MAX_SDP_BYTES)?;
                list("sections", sections, MAX_TRACK_REFERENCES)
            }
            Self::OfferMade { sdp, sections, .. } => {
                size("offer", sdp.len(), MAX_SDP_BYTES)?;
                list("sections", sections, MAX_TRACK_REFERENCES)
            }
            Self::OfferRejected { reason, .. } => label("reason", reason),
            Self::SectionsRequired { .. } | Self::TransportConnected { .. } => Ok(()),
            Self::PicturesPaused { pictures, .. } => list("pictures", pictures, MAX_TRACK_REFERENCES),
            Self::LayersWanted { track, .. } => track.check(),
            Self::TrackAnnounced { cid, track, .. } => {
                label("client's track id", cid)?;
                track.check()
            }
            Self::TrackUnpublished { track, .. } | Self::TrackSubscribed { track, .. } => track.check(),
            Self::TrackRefused { cid, reason, .. } => {
                label("client's track id", cid)?;
                label("reason", reason)
            }
            Self::DataReceived { payload, .. } => size("payload of a message", payload.len(), MAX_DATA_BYTES),
            Self::RoomChanged { room, change } | Self::RoomChangedElsewhere { room, change, .. } => {
                room.check()?;
                change.check()
            }
        }
    }
}

impl Bounded for SteeringStep {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::Command(command) => command.check(),
            Self::Fact(fact) => fact.check(),
        }
    }
}

impl Bounded for ControlMessage {
    fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::Hello(hello) => hello.check(),
            Self::RowDigest(entries) => size("entries of a digest", entries.len(), MAX_DIGEST_ENTRIES),
            Self::Rows(rows) => list("rows", rows, MAX_ROWS),
            Self::SignedRows(rows) => list("rows", rows, MAX_ROWS),
            Self::RowSummary { owners, .. } => size("entries of a summary", owners.len(), MAX_DIGEST_ENTRIES),
            Self::Room(message) => message.check(),
            Self::Demand { room, tracks, .. } | Self::TransitDemand { room, tracks, .. } => {
                room.check()?;
                list("demands", tracks, MAX_DEMANDS)
            }
            Self::Detour(message) => size("step of a detour", message.sealed.len(), MAX_DETOUR_BYTES),
            Self::Goodbye(_) => Ok(()),
            Self::Command { command, .. } => command.check(),
            Self::Fact(fact) => fact.check(),
            Self::Steering(SteeringMessage::Step { step, .. }) => step.check(),
            Self::Steering(SteeringMessage::Standing { .. }) => Ok(()),
        }
    }
}
