//! What a client learns when it comes in.

use super::record::participant_info;
use super::reply::millis;
use super::{PROTOCOL, PUBLISH_CODECS, SERVER_VERSION};
use crate::limits::{PING_INTERVAL_S, PING_TIMEOUT_S};
use crate::turn::IceServer;
use livekit_protocol as proto;
use relay_proto::room::ParticipantRecord;
use relay_proto::unit::UnixMillis;

/// Everything a client learns when it joins.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinReply {
    /// Id of the room.
    pub room_sid: String,
    /// Name of the room.
    pub room_name: String,
    /// When the first of those who are there came.
    pub room_since: UnixMillis,
    /// The client itself.
    pub participant: ParticipantRecord,
    /// Everybody else it may see.
    pub others: Vec<ParticipantRecord>,
    /// Region label of the node.
    pub region: String,
    /// Name of the node.
    pub node: String,
    /// The software, for people.
    pub software: String,
    /// It has two peer connections and is offered what it receives.
    pub dual: bool,
    /// What helps it to get its media through.
    pub ice_servers: Vec<IceServer>,
}

pub(super) fn join_response(join: &JoinReply) -> proto::JoinResponse {
    let codecs = PUBLISH_CODECS.map(|mime| proto::Codec {
        mime: mime.to_owned(),
        fmtp_line: String::new(),
    });
    let since_ms = millis(join.room_since);
    let publishing = |record: &&ParticipantRecord| !record.tracks.is_empty();
    proto::JoinResponse {
        room: Some(proto::Room {
            sid: join.room_sid.clone(),
            name: join.room_name.clone(),
            creation_time: since_ms / 1_000,
            creation_time_ms: since_ms,
            enabled_codecs: codecs.to_vec(),
            num_participants: u32::try_from(join.others.len() + 1).unwrap_or(u32::MAX),
            num_publishers: u32::try_from(join.others.iter().filter(publishing).count()).unwrap_or(u32::MAX),
            ..proto::Room::default()
        }),
        participant: Some(participant_info(&join.participant, None)),
        other_participants: join
            .others
            .iter()
            .map(|record| participant_info(record, None))
            .collect(),
        server_version: SERVER_VERSION.to_owned(),
        server_region: join.region.clone(),
        ice_servers: join.ice_servers.iter().map(ice_server).collect(),
        subscriber_primary: join.dual,
        ping_interval: i32::from(PING_INTERVAL_S),
        ping_timeout: i32::from(PING_TIMEOUT_S),
        server_info: Some(server_info(&join.node, &join.region, &join.software)),
        enabled_publish_codecs: codecs.to_vec(),
        fast_publish: true,
        ..proto::JoinResponse::default()
    }
}

pub(super) fn ice_server(server: &IceServer) -> proto::IceServer {
    proto::IceServer {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    }
}

pub(super) fn server_info(node: &str, region: &str, software: &str) -> proto::ServerInfo {
    proto::ServerInfo {
        edition: proto::server_info::Edition::Standard.into(),
        version: SERVER_VERSION.to_owned(),
        protocol: PROTOCOL,
        region: region.to_owned(),
        node_id: node.to_owned(),
        debug_info: software.to_owned(),
        agent_protocol: 0,
    }
}
