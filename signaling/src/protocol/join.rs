//! The join request: what a client says of itself before the first frame, packed into the query of the upgrade.

use super::request::{Offer, TrackRequest, offer_of, track_request_of};
use super::resume::{SyncState, sync_state_of};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use livekit_protocol as proto;
use prost::Message as _;
use relay_proto::id::ParticipantSid;
use std::collections::BTreeMap;
use std::io::Read as _;
use thiserror::Error;

/// Accepts the URL-safe alphabet with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client says when it joins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Join {
    /// What it is.
    pub client: ClientFacts,
    /// Whether it wants every track without asking.
    pub auto_subscribe: bool,
    /// Metadata it would like to have.
    pub metadata: String,
    /// Attributes it would like to have.
    pub attributes: BTreeMap<String, String>,
    /// Tracks it announces at once.
    pub tracks: Vec<TrackRequest>,
    /// Its first offer; some browsers send it later.
    pub offer: Option<Offer>,
    /// Whether it has two peer connections and is offered what it receives; the path says so, not the request.
    pub dual: bool,
    /// Whether it goes to another node where it is told to; the query says so, not the request.
    pub follows: bool,
    /// Whether it wants to go on with an earlier session.
    pub reconnect: bool,
    /// Whose session that is.
    pub participant: Option<ParticipantSid>,
    /// What it believes of that session, where it says so at once.
    pub state: Option<SyncState>,
}

/// What a client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFacts {
    /// Number of the SDK.
    pub sdk: i32,
    /// Version of the SDK.
    pub version: String,
    /// Signalling protocol it speaks.
    pub protocol: i32,
    /// Protocol among clients.
    pub client_protocol: i32,
    /// Capability numbers, for other clients.
    pub capabilities: Vec<i32>,
}

impl ClientFacts {
    /// What a client says of itself in single parameters; what is not a number is 0.
    #[must_use]
    pub fn named(sdk: &str, version: &str, protocol: &str, client_protocol: &str) -> Self {
        let sdk = proto::client_info::Sdk::from_str_name(&sdk.to_ascii_uppercase());
        Self {
            sdk: sdk.map_or(0, Into::into),
            version: version.to_owned(),
            protocol: protocol.parse().unwrap_or_default(),
            client_protocol: client_protocol.parse().unwrap_or_default(),
            capabilities: Vec::new(),
        }
    }
}

/// Why a join request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JoinError {
    /// The text is not base64.
    #[error("join_request is not base64url")]
    Base64,
    /// The bytes are not the message they should be.
    #[error("join_request is not a valid protobuf message")]
    Protobuf,
    /// The compression is of no known kind.
    #[error("join_request is compressed in the unknown way {0}")]
    Compression(i32),
    /// The compressed bytes are damaged.
    #[error("join_request is not valid gzip")]
    Gzip,
    /// It is too big.
    #[error("join_request is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// Reads the `join_request` parameter. `limit` is the most bytes the request may have, compressed or not; a longer one
/// is given up without being unpacked.
///
/// # Errors
/// [`JoinError`] says what is wrong.
pub fn decode_join(parameter: &str, limit: usize) -> Result<Join, JoinError> {
    let too_large = JoinError::TooLarge { limit };
    // Base64 makes 4 letters of 3 bytes.
    if parameter.len() / 4 * 3 > limit {
        return Err(too_large);
    }
    let url_safe = parameter.replace('+', "-").replace('/', "_");
    let bytes = BASE64.decode(url_safe).map_err(|_| JoinError::Base64)?;
    let wrapped = proto::WrappedJoinRequest::decode(bytes.as_slice()).map_err(|_| JoinError::Protobuf)?;
    let request = match proto::wrapped_join_request::Compression::try_from(wrapped.compression) {
        Ok(proto::wrapped_join_request::Compression::None) => wrapped.join_request,
        Ok(proto::wrapped_join_request::Compression::Gzip) => unzipped(&wrapped.join_request, limit)?,
        Err(_) => return Err(JoinError::Compression(wrapped.compression)),
    };
    let request = proto::JoinRequest::decode(request.as_slice()).map_err(|_| JoinError::Protobuf)?;
    Ok(join_of(request))
}

fn unzipped(compressed: &[u8], limit: usize) -> Result<Vec<u8>, JoinError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells "exactly the limit" from "more".
    let mut bounded = GzDecoder::new(compressed).take(limit as u64 + 1);
    bounded.read_to_end(&mut bytes).map_err(|_| JoinError::Gzip)?;
    if bytes.len() > limit {
        return Err(JoinError::TooLarge { limit });
    }
    Ok(bytes)
}

fn join_of(request: proto::JoinRequest) -> Join {
    let client = request.client_info.unwrap_or_default();
    Join {
        client: ClientFacts {
            sdk: client.sdk,
            version: client.version,
            protocol: client.protocol,
            client_protocol: client.client_protocol,
            capabilities: client.capabilities,
        },
        auto_subscribe: request
            .connection_settings
            .is_none_or(|settings| settings.auto_subscribe),
        metadata: request.metadata,
        attributes: request.participant_attributes.into_iter().collect(),
        tracks: request
            .add_track_requests
            .into_iter()
            .map(track_request_of)
            .collect(),
        offer: request.publisher_offer.map(offer_of),
        dual: false,
        follows: false,
        reconnect: request.reconnect,
        participant: Some(request.participant_sid)
            .filter(|sid| !sid.is_empty())
            .map(ParticipantSid),
        state: request.sync_state.map(sync_state_of),
    }
}
