//! What goes into a session and comes out of it, besides datagrams.

use crate::bandwidth::Arrivals;
use crate::red::Earlier;
use relay_proto::id::{Layer, TrackSid};
use relay_proto::room::{Codec, MediaKind};
use relay_proto::session::EndCause;
use relay_proto::unit::AudioLevel;

/// A local track its publisher has announced; the offer names it by its cid.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    /// The client's own id of the track: a token of `a=msid`.
    pub cid: &'a str,
    /// The track.
    pub track: &'a TrackSid,
    /// Sound or pictures.
    pub kind: MediaKind,
    /// What the client would like to send (`AddTrackRequest`): taken where its offer has it, whatever comes first there.
    pub codec: Option<Codec>,
    /// The client said that it sends two channels (`AddTrackRequest`).
    pub stereo: bool,
    /// The client said that it sends silence too (`AddTrackRequest`).
    pub dtx_disabled: bool,
    /// The client said that nothing of it may be repeated (`AddTrackRequest`), or encrypts it.
    pub red_disabled: bool,
}

/// A track the client shall receive.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The track; its sid becomes the msid's track id.
    pub track: &'a TrackSid,
    /// What it is sent in.
    pub codec: Codec,
    /// The msid's stream id, for example `PA_abc|camera`.
    pub stream_id: &'a str,
}

/// The outcome of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The answer, complete: candidates are in it.
    pub answer: String,
    /// Every publishing section after this offer.
    pub uplinks: Vec<Uplink>,
    /// Every section that carries a track to the client after this offer.
    pub downlinks: Vec<Downlink>,
    /// Audio sections missing for what is wanted.
    pub more_audios: u32,
    /// Video sections missing for what is wanted.
    pub more_videos: u32,
    /// A section changed its track: it is inactive in this answer and gets the new track at the next offer.
    pub offer_again: bool,
    /// Receiving audio sections of the offer that carry nothing now: room for tracks to come without a new section.
    pub free_audios: u32,
    /// The same for video.
    pub free_videos: u32,
}

/// An offer of this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its number.
    pub offer_id: u32,
    /// The offer, complete: candidates are in it.
    pub sdp: String,
    /// Every section that carries a track to the client: (mid, track).
    pub sections: Vec<(String, TrackSid)>,
}

/// The outcome of a client's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Every section that carries a track to the client after this answer: what it refused is not among them.
    pub downlinks: Vec<Downlink>,
    /// A section was emptied: it may carry a new track at the next offer.
    pub offer_again: bool,
}

/// A section the client sends a track on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Section.
    pub mid: String,
    /// Track.
    pub track: TrackSid,
    /// What arrives.
    pub codec: Codec,
    /// Whether the client answers requests for missing packets.
    pub repaired: bool,
    /// Whether layers arrive as separate streams.
    pub simulcast: bool,
    /// Number of layers: 1 without simulcast.
    pub layers: u8,
}

/// A section the client receives a track on, with all that a forwarder writes into its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// Section.
    pub mid: String,
    /// Track.
    pub track: TrackSid,
    /// What is sent.
    pub codec: Codec,
    /// Payload type of the media.
    pub pt: u8,
    /// Payload type of retransmissions (RFC 4588).
    pub rtx_pt: Option<u8>,
    /// Payload type of redundant sound (RFC 2198).
    pub red_pt: Option<u8>,
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Id of `urn:ietf:params:rtp-hdrext:sdes:mid`.
    pub mid_ext: Option<u8>,
    /// Id of `abs-send-time`.
    pub abs_send_time_ext: Option<u8>,
    /// Id of `urn:ietf:params:rtp-hdrext:ssrc-audio-level`.
    pub audio_level_ext: Option<u8>,
    /// Id of the dependency descriptor.
    pub dependency_ext: Option<u8>,
}

/// What a datagram turned out to be.
#[derive(Debug)]
pub enum Received<'b> {
    /// Nothing for the caller: handshake, check, junk.
    Nothing,
    /// One media packet.
    Rtp(RtpIn<'b>),
    /// Feedback and reports that concern media.
    Rtcp(Vec<RtcpIn>),
}

/// An authenticated media packet of a known track; retransmissions are already unwrapped.
#[derive(Debug, PartialEq, Eq)]
pub struct RtpIn<'b> {
    /// Index into the latest [`Negotiated::uplinks`].
    pub track: usize,
    /// Layer: 0 without simulcast.
    pub layer: Layer,
    /// Came by RTX.
    pub retransmitted: bool,
    /// Sequence number of the layer's stream.
    pub seq: u16,
    /// RTP timestamp.
    pub time: u32,
    /// Marker bit.
    pub marker: bool,
    /// Audio level and voice activity, where the client sends them.
    pub level: Option<(AudioLevel, bool)>,
    /// Dependency descriptor, where the client sends it and it is no longer than
    /// [`relay_proto::datagram::MAX_DESCRIPTOR_BYTES`].
    pub descriptor: Option<&'b [u8]>,
    /// Payload without padding; may be empty (pure padding).
    pub payload: &'b [u8],
    /// Frames of the packets before it, which it repeats.
    pub earlier: Earlier<'b>,
}

/// An item of incoming RTCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtcpIn {
    /// Packets of sound that were to come since the last reports, and those of them that did not.
    Losses {
        /// Expected.
        expected: u32,
        /// Lost; at most as many.
        lost: u32,
    },
    /// A picture is wanted (PLI or FIR).
    Pli {
        /// Our SSRC it is about.
        ssrc: u32,
    },
    /// Packets are missing.
    Nack {
        /// Our SSRC it is about.
        ssrc: u32,
        /// Missing sequence numbers.
        seqs: Vec<u16>,
    },
    /// A publisher's clock.
    SenderReport {
        /// Index into the latest [`Negotiated::uplinks`].
        track: usize,
        /// Layer.
        layer: Layer,
        /// NTP time, 32.32.
        ntp: u64,
        /// The same instant in RTP time.
        rtp_time: u32,
    },
    /// What became of numbered packets.
    Arrivals(Arrivals),
}

/// An item of outgoing RTCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtcpOut {
    /// Ask the client for a picture.
    Pli {
        /// The client's SSRC, see `Session::uplink_ssrc`.
        ssrc: u32,
    },
    /// Ask the client for packets again.
    Nack {
        /// The client's SSRC.
        ssrc: u32,
        /// Missing sequence numbers.
        seqs: Vec<u16>,
    },
    /// Clock of a stream we send.
    SenderReport {
        /// Our SSRC.
        ssrc: u32,
        /// NTP time, 32.32.
        ntp: u64,
        /// The same instant in RTP time.
        rtp_time: u32,
        /// Packets sent so far; wraps.
        packets: u32,
        /// Payload bytes sent so far; wraps.
        bytes: u32,
    },
}

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtcEvent {
    /// Keys are installed: media may flow.
    Connected,
    /// Media goes to a new address from now on: ask for key frames.
    RemoteMoved,
    /// A data channel message.
    Data {
        /// `_reliable` or `_lossy`.
        reliable: bool,
        /// The message.
        payload: Vec<u8>,
    },
    /// The transport is over; the session does nothing any more.
    Ended(EndCause),
}

/// Why a data message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// Larger than both sides take.
    #[error("data message of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// Size of the message.
        bytes: usize,
        /// Largest allowed.
        max: usize,
    },
    /// Too many bytes wait already: the client reads too slowly.
    #[error("more than {max} bytes wait to be sent")]
    QueueFull {
        /// The bound.
        max: usize,
    },
    /// The session is over.
    #[error("the session has ended")]
    Ended,
}
