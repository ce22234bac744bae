//! Examples of the messages by which nodes keep a mesh: hello, rows, room stream, demand, goodbye.

use relay_proto::control::{ControlMessage, DetourMessage, GoodbyeCause, Hello, TrackDemand};
use relay_proto::id::{
    Epoch, Identity, Layer, LayerSet, NodeId, NodeName, ParticipantSid, RoomName, TrackAlias, TrackSid,
};
use relay_proto::room::{
    Audience, AudienceGrant, ClientTrackFacts, Codec, ConnectionQuality, DataMessage, LayerRecord,
    LeaveCause, MediaKind, ParticipantRecord, ParticipantState, Permission, RoomEvent, RoomMessage, SealKey,
    TrackRecord, TrackSource,
};
use relay_proto::row::{
    DigestEntry, HostFacts, IdentityFacts, LinkFacts, NodeFacts, NodeState, OwnerSummary, Row, RowKey,
    RowValue, RowVersion, Signature, SignedRow, TransitFacts,
};
use relay_proto::unit::{Bitrate, Micros, MilliDegrees, PartsPerMillion, UnixMillis};
use relay_proto::version::Features;

const INCARNATION: u64 = 1_792_000_000_000;

/// Every example.
pub(crate) fn messages() -> Vec<ControlMessage> {
    let mut all = vec![hello(), digest(), demand(), transit_demand(), detour()];
    all.push(ControlMessage::Rows(Vec::new()));
    all.push(ControlMessage::Rows(vec![transit_row()]));
    all.extend([signed_rows(), summary()]);
    all.extend(rows().into_iter().map(|row| ControlMessage::Rows(vec![row])));
    let mut several = rows();
    if let RowValue::Node(facts) = &mut several[0].value {
        facts.state = NodeState::Draining;
    }
    all.push(ControlMessage::Rows(several));
    all.extend(room_events().into_iter().map(|event| {
        let (room, epoch) = (room(), Epoch(1_792_000_003));
        ControlMessage::Room(RoomMessage { room, epoch, event })
    }));
    let causes = [
        GoodbyeCause::Stopping,
        GoodbyeCause::VersionMismatch,
        GoodbyeCause::NameTaken,
        GoodbyeCause::DuplicateLink,
        GoodbyeCause::ProtocolViolation,
    ];
    all.extend(causes.map(ControlMessage::Goodbye));
    all
}

pub(crate) fn room() -> RoomName {
    RoomName::from("weekly sync ☕")
}

fn hello() -> ControlMessage {
    ControlMessage::Hello(Hello {
        newest_version: 1,
        oldest_version: 1,
        features: Features(Features::SPLIT.0 | Features::NACK.0),
        name: NodeName::from("fra"),
        incarnation: INCARNATION,
        software: "0.1.0".to_owned(),
    })
}

fn version(counter: u64) -> RowVersion {
    RowVersion {
        incarnation: INCARNATION,
        counter,
    }
}

fn digest() -> ControlMessage {
    ControlMessage::RowDigest(vec![
        DigestEntry {
            owner: NodeId::of("fra"),
            newest: version(7),
        },
        DigestEntry {
            owner: NodeId::of("syd"),
            newest: version(1 << 40),
        },
    ])
}

fn demand() -> ControlMessage {
    ControlMessage::Demand {
        room: room(),
        epoch: Epoch(9),
        tracks: vec![
            TrackDemand {
                track: TrackAlias(3),
                layers: LayerSet::only(Layer(0)).with(Layer(2)),
            },
            TrackDemand {
                track: TrackAlias(70_000),
                layers: LayerSet::NONE,
            },
        ],
    }
}

fn transit_demand() -> ControlMessage {
    ControlMessage::TransitDemand {
        origin: NodeId::of("syd"),
        room: room(),
        epoch: Epoch(9),
        goes_on: true,
        tracks: vec![TrackDemand {
            track: TrackAlias(3),
            layers: LayerSet::only(Layer(1)),
        }],
    }
}

fn detour() -> ControlMessage {
    ControlMessage::Detour(DetourMessage {
        from: NodeId::of("syd"),
        to: NodeId::of("fra"),
        hops: 4,
        stream: 3,
        number: 300,
        sealed: vec![0xaa; 20],
    })
}

fn signed_rows() -> ControlMessage {
    let identity = Row {
        owner: NodeId::of("syd"),
        key: RowKey::Identity,
        version: version(1),
        value: RowValue::Identity(IdentityFacts {
            public_key: [5; 32],
            chain: vec![vec![0x30, 0x82], vec![0x30]],
            scheme: 0x0403,
            endorsement: vec![7; 6],
        }),
    };
    let signed = [identity, transit_row()].map(|row| SignedRow {
        row,
        signature: Signature([0xc5; 64]),
    });
    ControlMessage::SignedRows(signed.into())
}

fn summary() -> ControlMessage {
    ControlMessage::RowSummary {
        owners: vec![OwnerSummary {
            owner: NodeId::of("syd"),
            newest: version(300),
            marks: u64::MAX,
        }],
        others: true,
    }
}

/// Only peers with the feature bit of trees are told of it, so it is not among the others.
fn transit_row() -> Row {
    Row {
        owner: NodeId::of("syd"),
        key: RowKey::Transit,
        version: version(8),
        value: RowValue::Transit(TransitFacts {
            features: Features(0x13f),
            stretch: PartsPerMillion(1_200_000),
            public_key: [9; 32],
        }),
    }
}

fn rows() -> Vec<Row> {
    let facts = NodeFacts {
        name: NodeName::from("syd"),
        region: "Sydney".to_owned(),
        latitude: MilliDegrees(-33_868),
        longitude: MilliDegrees(151_209),
        public_url: "https://syd.example.org".to_owned(),
        software: "0.1.0".to_owned(),
        state: NodeState::Serving,
        load: PartsPerMillion(250_000),
        participants: 251,
    };
    let link = LinkFacts {
        peer: NodeId::of("fra"),
        up: true,
        rtt: Micros(250_123),
        loss: PartsPerMillion(42),
    };
    let host = HostFacts {
        room: room(),
        epoch: Epoch(12),
        participants: 2,
    };
    let row = |key, counter, value| Row {
        owner: NodeId::of("syd"),
        key,
        version: version(counter),
        value,
    };
    vec![
        row(RowKey::Node, 1, RowValue::Node(facts)),
        row(RowKey::Link(NodeId::of("fra")), 2, RowValue::Link(link)),
        row(RowKey::Host(room()), 3, RowValue::Host(host)),
        row(RowKey::Host(RoomName::from("over")), 4, RowValue::Gone),
    ]
}

fn room_events() -> Vec<RoomEvent> {
    let mut guest = participant("PA_guestguestgu", "guest");
    guest.state = ParticipantState::Joined;
    guest.tracks.clear();
    vec![
        RoomEvent::Snapshot {
            seal_key: SealKey(std::array::from_fn(|at| at as u8)),
            participants: vec![participant("PA_annaannaanna", "anna"), guest],
        },
        RoomEvent::ParticipantUpserted(Box::new(participant("PA_annaannaanna", "anna"))),
        RoomEvent::ParticipantUpserted(Box::new(ParticipantRecord {
            tracks: vec![
                scalable("TR_scalablevp9", Codec::Vp9),
                scalable("TR_scalableav1", Codec::Av1),
            ],
            ..participant("PA_benbenbenben", "ben")
        })),
        RoomEvent::ParticipantLeft {
            participant: ParticipantSid::from("PA_annaannaanna"),
            cause: LeaveCause::ConnectionLost,
        },
        RoomEvent::DataSent(data_message()),
        RoomEvent::AudienceChanged {
            participant: ParticipantSid::from("PA_annaannaanna"),
            audience: audience(),
        },
        RoomEvent::QualityChanged {
            participant: ParticipantSid::from("PA_annaannaanna"),
            quality: ConnectionQuality::Poor,
        },
        RoomEvent::ReliableSent {
            message: data_message(),
            sequence: 300,
        },
    ]
}

pub(crate) fn audience() -> Audience {
    Audience::Only(vec![
        AudienceGrant {
            viewer: Identity::from("ben"),
            tracks: None,
        },
        AudienceGrant {
            viewer: Identity::from("chloé"),
            tracks: Some(vec![TrackSid::from("TR_cameracamera")]),
        },
    ])
}

pub(crate) fn data_message() -> DataMessage {
    DataMessage {
        from: ParticipantSid::from("PA_annaannaanna"),
        to: vec![Identity::from("ben"), Identity::from("chloé")],
        reliable: true,
        payload: vec![0, 1, 250, 251, 252, 253, 254, 255],
    }
}

pub(crate) fn participant(sid: &str, identity: &str) -> ParticipantRecord {
    ParticipantRecord {
        sid: ParticipantSid::from(sid),
        identity: Identity::from(identity),
        name: "Anna Müller".to_owned(),
        metadata: "{\"role\":\"host\"}".to_owned(),
        attributes: vec![
            ("causeway.node".to_owned(), "fra".to_owned()),
            ("causeway.region".to_owned(), "Frankfurt".to_owned()),
        ],
        permission: Permission {
            can_publish: true,
            can_subscribe: true,
            can_publish_data: true,
            can_update_metadata: false,
            hidden: false,
            sources: vec![
                TrackSource::Unknown,
                TrackSource::Camera,
                TrackSource::Microphone,
                TrackSource::ScreenShare,
                TrackSource::ScreenShareAudio,
            ],
        },
        kind: 0,
        client_protocol: -1,
        capabilities: vec![1, -300],
        joined_at: UnixMillis(1_792_000_000_123),
        home: NodeId::of("fra"),
        version: 65_536,
        state: ParticipantState::Active,
        tracks: vec![camera(), microphone(), screen()],
    }
}

pub(crate) fn camera() -> TrackRecord {
    let layer = |layer, width, height, bps| LayerRecord {
        layer: Layer(layer),
        width,
        height,
        bitrate: Bitrate(bps),
    };
    TrackRecord {
        sid: TrackSid::from("TR_cameracamera"),
        alias: TrackAlias(4),
        kind: MediaKind::Video,
        source: TrackSource::Camera,
        codec: Some(Codec::Vp8),
        name: "camera".to_owned(),
        stream: "camera".to_owned(),
        muted: false,
        width: 1280,
        height: 720,
        simulcast: true,
        layers: vec![
            layer(0, 320, 180, 160_000),
            layer(1, 640, 360, 450_000),
            layer(2, 1280, 720, 1_700_000),
        ],
        client: ClientTrackFacts::default(),
    }
}

pub(crate) fn microphone() -> TrackRecord {
    TrackRecord {
        sid: TrackSid::from("TR_microphonemi"),
        alias: TrackAlias(5),
        kind: MediaKind::Audio,
        source: TrackSource::Microphone,
        codec: Some(Codec::Opus),
        name: String::new(),
        stream: "camera".to_owned(),
        muted: true,
        width: 0,
        height: 0,
        simulcast: false,
        layers: Vec::new(),
        client: ClientTrackFacts {
            stereo: true,
            dtx_disabled: true,
            red_disabled: true,
            encryption: 1,
            audio_features: vec![0, 2, 6],
        },
    }
}

/// A track in scalable coding: one stream of all its layers.
fn scalable(sid: &str, codec: Codec) -> TrackRecord {
    TrackRecord {
        sid: TrackSid::from(sid),
        alias: TrackAlias(7),
        codec: Some(codec),
        simulcast: false,
        ..camera()
    }
}

fn screen() -> TrackRecord {
    TrackRecord {
        sid: TrackSid::from("TR_screenscreen"),
        alias: TrackAlias(6),
        source: TrackSource::ScreenShare,
        codec: Some(Codec::H264),
        simulcast: false,
        layers: Vec::new(),
        ..camera()
    }
}
