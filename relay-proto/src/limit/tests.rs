use super::*;
use crate::control::{GoodbyeCause, Hello, TrackDemand};
use crate::id::{
    Epoch, Identity, Layer, LayerSet, MAX_IDENTITY_BYTES, MAX_NODE_NAME_BYTES, MAX_ROOM_NAME_BYTES, NodeId,
    NodeName, ParticipantSid, RoomName, SessionId, TrackAlias, TrackSid,
};
use crate::room::{DataMessage, LeaveCause, RoomEvent, RoomMessage, SpeakerLevel};
use crate::row::{HostFacts, LinkFacts, NodeFacts, NodeState, Row, RowKey, RowValue, RowVersion};
use crate::session::{RoomChange, SessionCommand, SessionFact, TrackWish};
use crate::unit::{AudioLevel, Micros, MilliDegrees, PartsPerMillion};
use crate::version::Features;

const SESSION: SessionId = SessionId {
    entry: NodeId(1),
    serial: 1,
};

fn hello(name: &str) -> ControlMessage {
    ControlMessage::Hello(Hello {
        newest_version: 1,
        oldest_version: 1,
        features: Features::OURS,
        name: NodeName::from(name),
        incarnation: 1,
        software: String::new(),
    })
}

fn demand(room: &str, layers: u8) -> ControlMessage {
    let tracks = vec![TrackDemand {
        track: TrackAlias(1),
        layers: LayerSet(layers),
    }];
    ControlMessage::Demand {
        room: RoomName::from(room),
        epoch: Epoch(1),
        tracks,
    }
}

fn data(to: Vec<Identity>, payload: Vec<u8>) -> ControlMessage {
    let message = DataMessage {
        from: ParticipantSid::from("PA_a"),
        to,
        reliable: true,
        payload,
    };
    ControlMessage::Room(RoomMessage {
        room: RoomName::from("room"),
        epoch: Epoch(1),
        event: RoomEvent::DataSent(message),
    })
}

fn row(key: RowKey, value: RowValue) -> ControlMessage {
    ControlMessage::Rows(vec![Row {
        owner: NodeId::of("fra"),
        key,
        version: RowVersion::default(),
        value,
    }])
}

fn node(name: &str, latitude: i32) -> RowValue {
    RowValue::Node(NodeFacts {
        name: NodeName::from(name),
        region: "Frankfurt".to_owned(),
        latitude: MilliDegrees(latitude),
        longitude: MilliDegrees(8_682),
        public_url: String::new(),
        software: String::new(),
        state: NodeState::Serving,
        load: PartsPerMillion(0),
        participants: 0,
    })
}

fn wish(layer: u8) -> ControlMessage {
    let command = SessionCommand::SetTrackWish {
        session: SESSION,
        tracks: vec![TrackSid::from("TR_a")],
        wish: TrackWish {
            enabled: true,
            max_layer: Layer(layer),
        },
    };
    ControlMessage::Command {
        entry: NodeId(1),
        command: Box::new(command),
    }
}

fn too_large(what: &'static str, limit: usize) -> Result<(), LimitError> {
    let size = limit + 1;
    Err(LimitError::TooLarge { what, size, limit })
}

#[test]
fn names_at_their_limit_pass_and_one_byte_more_does_not() {
    let text = |len| "x".repeat(len);
    assert_eq!(hello(&text(MAX_NODE_NAME_BYTES)).validate(), Ok(()));
    assert_eq!(
        hello(&text(MAX_NODE_NAME_BYTES + 1)).validate(),
        too_large("node name", MAX_NODE_NAME_BYTES)
    );
    assert_eq!(demand(&text(MAX_ROOM_NAME_BYTES), 7).validate(), Ok(()));
    assert_eq!(
        demand(&text(MAX_ROOM_NAME_BYTES + 1), 7).validate(),
        too_large("room name", MAX_ROOM_NAME_BYTES)
    );
    let identity = |len| data(vec![Identity(text(len))], Vec::new());
    assert_eq!(identity(MAX_IDENTITY_BYTES).validate(), Ok(()));
    assert_eq!(
        identity(MAX_IDENTITY_BYTES + 1).validate(),
        too_large("identity", MAX_IDENTITY_BYTES)
    );
}

#[test]
fn empty_names_are_refused() {
    assert_eq!(hello("").validate(), Err(LimitError::Empty("node name")));
    assert_eq!(demand("", 0).validate(), Err(LimitError::Empty("room name")));
    assert_eq!(
        data(vec![Identity::from("")], Vec::new()).validate(),
        Err(LimitError::Empty("identity"))
    );
}

#[test]
fn layers_that_no_track_has_are_refused() {
    assert_eq!(demand("room", 0b111).validate(), Ok(()));
    assert!(demand("room", 0b1000).validate().is_err());
    assert_eq!(wish(2).validate(), Ok(()));
    assert_eq!(
        wish(3).validate(),
        Err(LimitError::OutOfRange {
            what: "layer",
            value: 3
        })
    );
}

#[test]
fn a_payload_over_its_limit_is_refused() {
    assert_eq!(data(Vec::new(), vec![0; MAX_DATA_BYTES]).validate(), Ok(()));
    assert_eq!(
        data(Vec::new(), vec![0; MAX_DATA_BYTES + 1]).validate(),
        too_large("payload of a message", MAX_DATA_BYTES)
    );
}

#[test]
fn a_session_description_over_its_limit_is_refused() {
    let offer = SessionCommand::ApplyOffer {
        session: SESSION,
        offer_id: 1,
        sdp: "a".repeat(MAX_SDP_BYTES + 1),
    };
    let message = ControlMessage::Command {
        entry: NodeId(1),
        command: Box::new(offer),
    };
    assert_eq!(message.validate(), too_large("offer", MAX_SDP_BYTES));
}

#[test]
fn lists_over_their_limit_are_refused() {
    let gone = Row {
        owner: NodeId(1),
        key: RowKey::Node,
        version: RowVersion::default(),
        value: RowValue::Gone,
    };
    assert_eq!(
        ControlMessage::Rows(vec![gone.clone(); MAX_ROWS]).validate(),
        Ok(())
    );
    assert_eq!(
        ControlMessage::Rows(vec![gone; MAX_ROWS + 1]).validate(),
        too_large("rows", MAX_ROWS)
    );
}

#[test]
fn a_row_must_carry_the_value_of_its_key() {
    let link = |peer| {
        RowValue::Link(LinkFacts {
            peer: NodeId(peer),
            up: true,
            rtt: Micros(1),
            loss: PartsPerMillion(0),
        })
    };
    let host = |room: &str| {
        RowValue::Host(HostFacts {
            room: RoomName::from(room),
            epoch: Epoch(1),
            participants: 1,
        })
    };
    let room_key = || RowKey::Host(RoomName::from("a"));
    for message in [
        row(RowKey::Node, node("fra", 50_110)),
        row(RowKey::Link(NodeId(2)), link(2)),
        row(room_key(), host("a")),
        row(room_key(), RowValue::Gone),
    ] {
        assert_eq!(message.validate(), Ok(()), "{message:?}");
    }
    for message in [
        row(RowKey::Node, node("syd", 50_110)),
        row(RowKey::Node, link(2)),
        row(RowKey::Link(NodeId(3)), link(2)),
        row(room_key(), host("b")),
    ] {
        assert!(
            matches!(message.validate(), Err(LimitError::Contradiction(_))),
            "{message:?}"
        );
    }
}

#[test]
fn places_off_the_globe_are_refused() {
    let value = 90_001;
    let what = "latitude";
    assert_eq!(
        row(RowKey::Node, node("fra", value)).validate(),
        Err(LimitError::OutOfRange {
            what,
            value: i64::from(value)
        })
    );
}

#[test]
fn a_hello_whose_versions_cross_is_refused() {
    let mut message = hello("fra");
    if let ControlMessage::Hello(hello) = &mut message {
        hello.oldest_version = 2;
    }
    assert!(matches!(message.validate(), Err(LimitError::Contradiction(_))));
}

#[test]
fn a_level_below_silence_is_refused() {
    let levels = |level| {
        let speaker = SpeakerLevel {
            participant: ParticipantSid::from("PA_a"),
            level: AudioLevel(level),
            active: true,
        };
        ControlMessage::Fact(Box::new(SessionFact::RoomChanged {
            room: RoomName::from("room"),
            change: RoomChange::SpeakersChanged(vec![speaker]),
        }))
    };
    assert_eq!(levels(127).validate(), Ok(()));
    assert!(levels(128).validate().is_err());
}

#[test]
fn messages_without_lengths_always_pass() {
    assert_eq!(ControlMessage::Goodbye(GoodbyeCause::Stopping).validate(), Ok(()));
    let command = SessionCommand::CloseSession {
        session: SESSION,
        cause: LeaveCause::ClientLeft,
    };
    let message = ControlMessage::Command {
        entry: NodeId(1),
        command: Box::new(command),
    };
    assert_eq!(message.validate(), Ok(()));
}
