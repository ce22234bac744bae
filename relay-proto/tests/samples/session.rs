//! Examples of every session command and fact.

use super::mesh::{audience, camera, data_message, microphone, participant, room};
use relay_proto::control::ControlMessage;
use relay_proto::id::{Layer, LayerSet, NodeId, ParticipantSid, SessionId, TrackSid};
use relay_proto::room::{Codec, ConnectionQuality, LeaveCause, ParticipantState, SpeakerLevel, TrackRecord};
use relay_proto::session::{
    AnnouncedTrack, EndCause, OpenSession, PictureState, RoomChange, SessionCommand, SessionFact, TrackWish,
};
use relay_proto::steering::{SteeringMessage, SteeringStep};
use relay_proto::unit::AudioLevel;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

fn session() -> SessionId {
    SessionId {
        entry: NodeId::of("fra"),
        serial: 300,
    }
}

fn track() -> TrackSid {
    TrackSid::from("TR_cameracamera")
}

/// Every command.
pub(crate) fn commands() -> Vec<ControlMessage> {
    let session = session();
    let announced = TrackRecord {
        codec: None,
        ..camera()
    };
    [
        SessionCommand::OpenSession(Box::new(OpenSession {
            session,
            room: room(),
            participant: participant("PA_annaannaanna", "anna"),
            auto_subscribe: true,
        })),
        SessionCommand::ApplyOffer {
            session,
            offer_id: 2,
            sdp: SDP.to_owned(),
        },
        SessionCommand::AddCandidate {
            session,
            candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned(),
        },
        SessionCommand::AnnounceTrack {
            session,
            track: Box::new(AnnouncedTrack {
                cid: "c0ffee".to_owned(),
                record: announced,
            }),
        },
        SessionCommand::SetTrackMuted {
            session,
            track: track(),
            muted: true,
        },
        SessionCommand::UpdateParticipant {
            session,
            name: Some("Anna".to_owned()),
            metadata: None,
            attributes: vec![
                ("hand".to_owned(), "up".to_owned()),
                ("gone".to_owned(), String::new()),
            ],
        },
        SessionCommand::SetSubscription {
            session,
            tracks: vec![track()],
            wanted: false,
        },
        SessionCommand::SetTrackWish {
            session,
            tracks: vec![track()],
            wish: TrackWish {
                enabled: true,
                max_layer: Layer(1),
            },
        },
        SessionCommand::SendData {
            session,
            message: data_message(),
        },
        SessionCommand::CloseSession {
            session,
            cause: LeaveCause::Removed,
        },
    ]
    .into_iter()
    .chain(later_commands())
    .map(|command| ControlMessage::Command {
        entry: NodeId::of("fra"),
        command: Box::new(command),
    })
    .collect()
}

/// Those that came later than the first version.
fn later_commands() -> [SessionCommand; 6] {
    let session = session();
    [
        SessionCommand::SetAudience {
            session,
            audience: audience(),
        },
        SessionCommand::SendReliable {
            session,
            message: data_message(),
            sequence: 300,
        },
        SessionCommand::ReplayData {
            session,
            after: vec![(ParticipantSid::from("PA_annaannaanna"), 300)],
        },
        SessionCommand::OfferToClient { session },
        SessionCommand::ApplyAnswer {
            session,
            offer_id: 4,
            sdp: SDP.to_owned(),
        },
        SessionCommand::OpenElsewhere {
            node: NodeId::of("syd"),
            reason: "251 ms nearer".to_owned(),
            open: Box::new(OpenSession {
                session,
                room: room(),
                participant: participant("PA_annaannaanna", "anna"),
                auto_subscribe: true,
            }),
        },
    ]
}

/// Every fact, with every cause of an end and every change of a room.
pub(crate) fn facts() -> Vec<ControlMessage> {
    let session = session();
    let mut facts = vec![
        SessionFact::SessionOpened {
            session,
            participant: Box::new(participant("PA_annaannaanna", "anna")),
            others: vec![participant("PA_benbenbenben", "ben")],
        },
        SessionFact::OfferAnswered {
            session,
            offer_id: 2,
            sdp: SDP.to_owned(),
            sections: vec![("0".to_owned(), track())],
        },
        SessionFact::OfferMade {
            session,
            offer_id: 4,
            sdp: SDP.to_owned(),
            sections: vec![("1".to_owned(), track())],
        },
        SessionFact::OfferRejected {
            session,
            offer_id: 3,
            reason: "no media section".to_owned(),
        },
        SessionFact::SectionsRequired {
            session,
            audios: 1,
            videos: 2,
        },
        SessionFact::TransportConnected { session },
        SessionFact::TrackAnnounced {
            session,
            cid: "c0ffee".to_owned(),
            track: Box::new(microphone()),
        },
        SessionFact::TrackUnpublished {
            session,
            track: track(),
        },
        SessionFact::DataReceived {
            session,
            reliable: false,
            payload: b"hello".to_vec(),
        },
        SessionFact::TrackRefused {
            session,
            cid: "c0ffee".to_owned(),
            reason: "the token does not allow publishing".to_owned(),
        },
        SessionFact::PicturesPaused {
            session,
            pictures: vec![PictureState {
                participant: ParticipantSid::from("PA_benbenbenben"),
                track: track(),
                paused: true,
            }],
        },
        SessionFact::LayersWanted {
            session,
            track: track(),
            codec: Codec::Vp8,
            layers: LayerSet::only(Layer(0)).with(Layer(1)),
        },
        SessionFact::TrackSubscribed {
            session,
            track: track(),
        },
    ];
    facts.extend(ends().map(|cause| SessionFact::SessionEnded { session, cause }));
    facts.extend(changes().map(|change| SessionFact::RoomChanged { room: room(), change }));
    facts.push(elsewhere());
    facts
        .into_iter()
        .map(|fact| ControlMessage::Fact(Box::new(fact)))
        .collect()
}

fn elsewhere() -> SessionFact {
    SessionFact::RoomChangedElsewhere {
        node: NodeId::of("syd"),
        room: room(),
        change: RoomChange::QualityChanged {
            participant: ParticipantSid::from("PA_annaannaanna"),
            quality: ConnectionQuality::Good,
        },
    }
}

/// What two nodes say to each other about sessions that one drives on the other.
pub(crate) fn steering() -> Vec<ControlMessage> {
    let session = session();
    let step = |number, step| SteeringMessage::Step {
        to: 1_790_000_000_001,
        number,
        step,
    };
    [
        SteeringMessage::Standing {
            own: 1_790_000_000_002,
            hears: 1_790_000_000_001,
            received: 300,
            asks: true,
        },
        step(
            301,
            SteeringStep::Command(Box::new(SessionCommand::OfferToClient { session })),
        ),
        step(
            70_000,
            SteeringStep::Fact(Box::new(SessionFact::TransportConnected { session })),
        ),
    ]
    .into_iter()
    .map(ControlMessage::Steering)
    .collect()
}

fn ends() -> [EndCause; 6] {
    [
        EndCause::Left(LeaveCause::DuplicateIdentity),
        EndCause::FingerprintMismatch,
        EndCause::HandshakeTimedOut,
        EndCause::ConsentExpired,
        EndCause::LimitReached("participants of a room".to_owned()),
        EndCause::NotServing,
    ]
}

fn changes() -> [RoomChange; 6] {
    let mut gone = participant("PA_benbenbenben", "ben");
    gone.state = ParticipantState::Disconnected;
    gone.tracks.clear();
    let speaker = |level, active| SpeakerLevel {
        participant: ParticipantSid::from("PA_annaannaanna"),
        level: AudioLevel(level),
        active,
    };
    [
        RoomChange::ParticipantUpserted(Box::new(participant("PA_benbenbenben", "ben"))),
        RoomChange::ParticipantLeft {
            participant: Box::new(gone.clone()),
            cause: LeaveCause::NodeLost,
        },
        RoomChange::SpeakersChanged(vec![speaker(12, true), speaker(127, false)]),
        RoomChange::AudienceChanged {
            participant: ParticipantSid::from("PA_annaannaanna"),
            audience: audience(),
        },
        RoomChange::QualityChanged {
            participant: ParticipantSid::from("PA_annaannaanna"),
            quality: ConnectionQuality::Lost,
        },
        RoomChange::ParticipantReplaced {
            gone: Box::new(gone),
            participant: Box::new(participant("PA_benbennewben", "ben")),
        },
    ]
}
