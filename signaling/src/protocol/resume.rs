//! What a client says and is told when it goes on with a session over a new connection.

use super::entry::{ice_server, server_info};
use crate::turn::IceServer;
use livekit_protocol as proto;
use relay_proto::id::{ParticipantSid, TrackSid};

/// What a client believes of its session after it has lost the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// Tracks whose subscription is not what it would be without asking.
    pub subscription: Vec<TrackSid>,
    /// Whether those are wanted.
    pub wanted: bool,
    /// Tracks it does not show.
    pub hidden: Vec<TrackSid>,
    /// Tracks it publishes.
    pub published: Vec<TrackSid>,
    /// The last reliable message it has had of each sender.
    pub received: Vec<(ParticipantSid, u32)>,
}

pub(super) fn sync_state_of(state: proto::SyncState) -> SyncState {
    let subscription = state.subscription.unwrap_or_default();
    let of_participants = subscription
        .participant_tracks
        .into_iter()
        .flat_map(|of| of.track_sids);
    let sids = |sids: Vec<String>| sids.into_iter().map(TrackSid).collect();
    SyncState {
        subscription: subscription
            .track_sids
            .into_iter()
            .chain(of_participants)
            .map(TrackSid)
            .collect(),
        wanted: subscription.subscribe,
        hidden: sids(state.track_sids_disabled),
        published: state
            .publish_tracks
            .into_iter()
            .filter_map(|published| published.track)
            .map(|track| TrackSid(track.sid))
            .collect(),
        received: state
            .datachannel_receive_states
            .into_iter()
            .map(|state| (ParticipantSid(state.publisher_sid), state.last_seq))
            .collect(),
    }
}

/// What a client is told first when it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconnectReply {
    /// Region label of the node.
    pub region: String,
    /// Name of the node.
    pub node: String,
    /// The software, for people.
    pub software: String,
    /// The last reliable message that came from it: it sends what followed again.
    pub last_sequence: u32,
    /// What helps it to get its media through.
    pub ice_servers: Vec<IceServer>,
}

pub(super) fn reconnect_response(reply: &ReconnectReply) -> proto::ReconnectResponse {
    proto::ReconnectResponse {
        ice_servers: reply.ice_servers.iter().map(ice_server).collect(),
        client_configuration: None,
        server_info: Some(server_info(&reply.node, &reply.region, &reply.software)),
        last_message_seq: reply.last_sequence,
    }
}
