//! The client protocol on the wire, and nothing else: this is the only module that knows the protobuf messages.
//!
//! Bytes become [`Join`] and [`Request`], [`Reply`] becomes bytes, and data messages are stamped without being decoded.
//! Unknown variants and fields are newer clients' business and are ignored. No rule of a session lives here.
//!
//! Source: the open LiveKit signalling protocol (protobuf package `livekit`), version 1 (one peer connection, the client
//! offers) and version 0 (two, and on the one the client receives on the server offers).

mod audience;
mod data;
mod entry;
mod join;
mod record;
mod reply;
mod request;
mod resume;
mod simulate;
#[cfg(test)]
pub(crate) mod tests;

pub use audience::{AudienceRequest, GrantRequest};
pub use data::{DataError, Incoming, Stamp, inspect_data};
pub use entry::JoinReply;
pub use join::{ClientFacts, Join, JoinError, decode_join};
pub(crate) use record::{NODE_ATTRIBUTE, REGION_ATTRIBUTE, SERVER_ATTRIBUTES};
pub use reply::{Answer, Leave, LeaveAction, LeaveReason, NextNode, Refusal, Reply, encode};
pub use request::{
    MalformedFrame, MetadataChange, Offer, Request, TrackRequest, Unsupported, WishedPicture, decode_request,
};

pub use resume::{ReconnectReply, SyncState};
pub use simulate::Scenario;

/// Version of the signalling protocol that is announced. 18 would promise pre-negotiated data channels.
pub const PROTOCOL: i32 = 17;

/// Reference level that is announced as server version, because clients gate features by comparing it: this is the last
/// one before they publish VP9 and AV1 as separate streams, which the bridge does not take.
pub const SERVER_VERSION: &str = "1.13.5";

/// Codecs that may be published, as MIME types; the first video codec is what clients fall back to.
pub const PUBLISH_CODECS: [&str; 5] = ["audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1"];
