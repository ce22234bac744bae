//! What comes down to one client: streams put in order, repaired, cut into frames and measured per sender.
//!
//! Packets are judged as a browser's would be: missing ones are asked for again, a broken chain of frames asks for a
//! keyframe, and only what a decoder could show counts as a frame. A sample of packets is opened and so
//! authenticated (every frame's first and last, all audio, and one in `open_one_in` of the rest); the headers of all
//! are read. Nothing here knows rooms or servers.

mod frames;
mod leg;
mod red;
mod report;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub use leg::{AUDIO_GAP, Gap, Leg, LegKey};
pub use stream::{Arrival, StreamCounters};

use frames::{FrameAssembler, Progress, Whole};
use report::Reception;
use stream::{Ordered, Packet, Start, Stream};

use super::rtp::Header;
use super::srtp::Srtp;
use super::twcc::Arrivals;
use crate::trace::{self, Codec, Stamp};

/// How long a missing video packet is waited for: a browser's buffer stretches about so far.
const VIDEO_PATIENCE: Duration = Duration::from_millis(1_000);
/// The same for audio.
const AUDIO_PATIENCE: Duration = Duration::from_millis(400);
/// After so long without a packet of a sound its player has run dry (NetEQ holds 40 to 200 ms): what it missed it cannot play
/// any more.
const AUDIO_BUFFER: Duration = Duration::from_millis(200);
/// Time between requests for a keyframe of one stream.
const PLI_INTERVAL: Duration = Duration::from_millis(500);
/// What AES-GCM adds to a packet (RFC 7714).
const TAG_BYTES: usize = 16;
/// Streams of one client; packets of more are counted as unknown.
const MOST_STREAMS: usize = 1_024;
/// Legs of one client.
const MOST_LEGS: usize = 4_096;

/// A stream announced by an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
}

/// How payload types and extensions are to be read, from the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    /// Codec of each payload type.
    pub(super) codecs: BTreeMap<u8, Codec>,
    /// Payload types of retransmissions.
    pub(super) rtx: BTreeSet<u8>,
    /// Payload types of redundant sound (RFC 2198).
    pub(super) redundant: BTreeSet<u8>,
    /// Id of the transport-wide number.
    pub(super) transport_cc: Option<u8>,
}

/// A frame that could be shown, as a worker adds it to its distributions.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Who sent it.
    pub key: LegKey,
    /// Its simulcast layer.
    pub layer: u8,
    /// From the sender's stamp to the arrival of the last packet needed, in nanoseconds; negative only if clocks differ.
    pub delay_ns: i64,
    /// When it was whole.
    pub at: Instant,
    /// How long the picture had been waiting for a keyframe, when this frame ended that.
    pub waited: Option<Duration>,
}

/// Counters of a receiver beside those of its streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverCounters {
    /// Packets of streams no answer announced.
    pub unknown: u64,
    /// Datagrams that are no RTP packet.
    pub malformed: u64,
    /// Keyframes asked for.
    pub plis: u64,
    /// Packets asked for again.
    pub nacks: u64,
}

struct Incoming {
    audio: bool,
    codec: Codec,
    stream: Stream,
    frames: FrameAssembler,
    reception: Reception,
    broken_since: Option<Instant>,
    next_pli: Option<Instant>,
}

/// Everything one client receives.
pub(super) struct Receiver {
    mapping: Mapping,
    announced: BTreeSet<u32>,
    rtx: BTreeMap<u32, u32>,
    streams: BTreeMap<u32, Incoming>,
    /// Streams with something missing or broken.
    troubled: BTreeSet<u32>,
    legs: BTreeMap<LegKey, Leg>,
    arrivals: Arrivals,
    shown: Vec<Shown>,
    open_one_in: u32,
    since_opened: u32,
    next_report: Option<Instant>,
    feedback_ssrc: u32,
    counters: ReceiverCounters,
}

impl Receiver {
    pub(super) fn new(now: Instant, open_one_in: u32, feedback_ssrc: u32) -> Self {
        Self {
            mapping: Mapping::default(),
            announced: BTreeSet::new(),
            rtx: BTreeMap::new(),
            streams: BTreeMap::new(),
            troubled: BTreeSet::new(),
            legs: BTreeMap::new(),
            arrivals: Arrivals::new(now),
            shown: Vec::new(),
            open_one_in: open_one_in.max(1),
            since_opened: 0,
            next_report: None,
            feedback_ssrc,
            counters: ReceiverCounters::default(),
        }
    }

    /// Takes what an answer says about the streams to come. Streams no longer announced are forgotten, their figures
    /// stay in the legs.
    pub(super) fn announce(&mut self, mapping: Mapping, streams: &[Announced]) {
        self.mapping = mapping;
        self.announced = streams.iter().map(|stream| stream.ssrc).collect();
        self.rtx = streams
            .iter()
            .filter_map(|stream| Some((stream.rtx_ssrc?, stream.ssrc)))
            .collect();
        let announced = &self.announced;
        self.streams.retain(|ssrc, _| announced.contains(ssrc));
        self.troubled.retain(|ssrc| announced.contains(ssrc));
    }

    /// Figures per sender and source.
    pub(super) fn legs(&self) -> &BTreeMap<LegKey, Leg> {
        &self.legs
    }

    /// Frames shown since the last call.
    pub(super) fn take_shown(&mut self, into: &mut Vec<Shown>) {
        into.append(&mut self.shown);
    }

    pub(super) fn counters(&self) -> ReceiverCounters {
        self.counters
    }

    /// Counters of all streams together, audio or video.
    pub(super) fn stream_counters(&self, audio: bool) -> StreamCounters {
        let mut sum = StreamCounters::default();
        for incoming in self.streams.values().filter(|incoming| incoming.audio == audio) {
            sum.add(&incoming.stream.counters);
        }
        sum
    }

    /// Ends the warm-up: figures begin anew.
    pub(super) fn restart(&mut self) {
        self.legs.values_mut().for_each(Leg::restart);
        for incoming in self.streams.values_mut() {
            incoming.stream.counters = StreamCounters::default();
        }
        self.counters = ReceiverCounters::default();
    }

    /// Hides a leg or shows it again.
    pub(super) fn set_hidden(&mut self, now: Instant, key: LegKey, hidden: bool) {
        if let Some(leg) = self.legs.get_mut(&key) {
            leg.set_hidden(now, hidden);
        }
    }

    /// Ends the measurement: legs of `still_sending` that stand still get their last gap.
    pub(super) fn end(&mut self, now: Instant, still_sending: &dyn Fn(LegKey) -> bool) {
        for (key, leg) in &mut self.legs {
            if still_sending(*key) {
                leg.end(now);
            }
        }
    }

    /// Takes an RTP datagram.
    pub(super) fn handle_rtp(&mut self, arrived: Arrival, datagram: &[u8], srtp: &mut Srtp) {
        let Some(header) = Header::parse(datagram) else {
            self.counters.malformed += 1;
            return;
        };
        if let Some(id) = self.mapping.transport_cc
            && let Some(&[high, low]) = header.extension(datagram, id)
        {
            self.arrivals.note(arrived.at, u16::from_be_bytes([high, low]));
        }
        if self.mapping.rtx.contains(&header.payload_type) {
            self.handle_rtx(arrived, &header, datagram, srtp);
        } else {
            self.handle_primary(arrived, &header, datagram, srtp);
        }
    }

    fn handle_primary(&mut self, arrived: Arrival, header: &Header, datagram: &[u8], srtp: &mut Srtp) {
        let Some(codec) = self.mapping.codecs.get(&header.payload_type).copied() else {
            self.counters.unknown += 1;
            return;
        };
        if !self.announced.contains(&header.ssrc) || self.streams.len() >= MOST_STREAMS {
            self.counters.unknown += 1;
            return;
        }
        let wanted = self.is_wanted(codec, header);
        let incoming = self
            .streams
            .entry(header.ssrc)
            .or_insert_with(|| Incoming::new(codec));
        let mut packet = unread(arrived, header, datagram);
        if wanted {
            let Some(opened) = srtp.open(datagram) else {
                incoming.stream.counters.forged += 1;
                return;
            };
            let mut payload = header.payload(&opened);
            if self.mapping.redundant.contains(&header.payload_type) {
                let Some((earlier, own)) = red::read(payload) else {
                    self.counters.malformed += 1;
                    return;
                };
                incoming.recover(arrived, header, &earlier);
                payload = own;
            }
            incoming.read_payload(&mut packet, payload);
        }
        incoming.reception.note(arrived.at, header, incoming.codec);
        incoming.stream.take(header.seq, packet, false);
        self.advance(arrived.at, header.ssrc);
    }

    /// Which packets are opened: those that say where a frame begins and who sent it, and a sample of the rest.
    fn is_wanted(&mut self, codec: Codec, header: &Header) -> bool {
        let sampled = self.since_opened + 1 >= self.open_one_in;
        let inside = codec != Codec::Opus
            && !header.marker
            && !header.is_padded()
            && self
                .streams
                .get(&header.ssrc)
                .is_some_and(|incoming| incoming.stream.follows_marker(header.seq) == Some(false));
        self.since_opened = if sampled { 0 } else { self.since_opened + 1 };
        sampled || !inside
    }

    /// RFC 4588: the original number stands before the payload.
    fn handle_rtx(&mut self, arrived: Arrival, header: &Header, datagram: &[u8], srtp: &mut Srtp) {
        let Some(ssrc) = self.rtx.get(&header.ssrc).copied() else {
            self.counters.unknown += 1;
            return;
        };
        let Some(incoming) = self.streams.get_mut(&ssrc) else {
            return;
        };
        let Some(opened) = srtp.open(datagram) else {
            incoming.stream.counters.forged += 1;
            return;
        };
        // A retransmission without a number is a probe of the path.
        let Some((number, payload)) = header.payload(&opened).split_first_chunk() else {
            return;
        };
        let mut packet = unread(arrived, header, datagram);
        incoming.read_payload(&mut packet, payload);
        incoming.stream.take(u16::from_be_bytes(*number), packet, true);
        self.advance(arrived.at, ssrc);
    }

    /// Hands on what has become ordered.
    fn advance(&mut self, now: Instant, ssrc: u32) {
        let Some(incoming) = self.streams.get_mut(&ssrc) else {
            return;
        };
        while let Some(ordered) = incoming.stream.poll_ordered(now) {
            let progress = match ordered {
                Ordered::Packet(packet) => incoming.frames.packet(&packet),
                Ordered::Hole if incoming.frames.hole() => Progress::Broken,
                Ordered::Hole => Progress::Waiting,
            };
            match progress {
                Progress::Waiting => {}
                Progress::Broken => {
                    incoming.broken_since.get_or_insert(now);
                    incoming.next_pli.get_or_insert(now);
                }
                Progress::Shown(whole) => {
                    incoming.next_pli = None;
                    let waited = incoming
                        .broken_since
                        .take()
                        .map(|since| now.saturating_duration_since(since));
                    note_shown(&mut self.legs, &mut self.shown, &whole, waited, incoming.audio);
                }
            }
        }
        if incoming.poll_timeout().is_some() {
            self.troubled.insert(ssrc);
        } else {
            self.troubled.remove(&ssrc);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.troubled
            .iter()
            .filter_map(|ssrc| self.streams.get(ssrc)?.poll_timeout())
            .chain(self.arrivals.poll_timeout())
            .chain(self.next_report)
            .min()
    }
}

/// A packet of which only the header is known.
fn unread(arrived: Arrival, header: &Header, datagram: &[u8]) -> Packet {
    Packet {
        marker: header.marker,
        time: header.time,
        start: None,
        stamp: None,
        empty: false,
        arrived,
        bytes: datagram.len() as u32,
        media_bytes: datagram.len().saturating_sub(header.len + TAG_BYTES) as u32,
    }
}

fn note_shown(
    legs: &mut BTreeMap<LegKey, Leg>,
    shown: &mut Vec<Shown>,
    whole: &Whole,
    waited: Option<Duration>,
    audio: bool,
) {
    let key = LegKey {
        sender: whole.stamp.sender,
        source: whole.stamp.source,
    };
    if let Some(leg) = legs.get_mut(&key) {
        leg.frame(whole);
    } else if legs.len() < MOST_LEGS {
        legs.insert(key, Leg::new(whole, audio));
    } else {
        return;
    }
    shown.push(Shown {
        key,
        layer: whole.stamp.layer,
        delay_ns: i64::try_from(i128::from(whole.arrived.unix_ns) - i128::from(whole.stamp.sent_at_ns))
            .unwrap_or(i64::MAX),
        at: whole.arrived.at,
        waited,
    });
}

impl Incoming {
    fn new(codec: Codec) -> Self {
        let audio = codec == Codec::Opus;
        Self {
            audio,
            codec,
            stream: if audio {
                Stream::new(AUDIO_PATIENCE).played_on(AUDIO_BUFFER)
            } else {
                Stream::new(VIDEO_PATIENCE)
            },
            frames: FrameAssembler::new(!audio),
            reception: Reception::default(),
            broken_since: None,
            next_pli: None,
        }
    }

    /// Takes what the packets before this one had, where they have not come themselves.
    fn recover(&mut self, arrived: Arrival, header: &Header, earlier: &[red::Block<'_>]) {
        for (at, block) in earlier.iter().enumerate().rev() {
            let seq = header.seq.wrapping_sub(at as u16 + 1);
            if !self.stream.lacks(seq) {
                continue;
            }
            let mut packet = Packet {
                marker: false,
                time: header.time.wrapping_sub(block.time_offset),
                start: None,
                stamp: None,
                empty: false,
                arrived,
                bytes: block.payload.len() as u32,
                media_bytes: block.payload.len() as u32,
            };
            self.read_payload(&mut packet, block.payload);
            self.stream.recover(seq, packet);
        }
    }

    fn read_payload(&self, packet: &mut Packet, payload: &[u8]) {
        if payload.is_empty() {
            packet.empty = true;
            return;
        }
        let found = trace::inspect(self.codec, payload);
        packet.start = Some(Start {
            frame: found.frame_start,
            keyframe: found.keyframe,
        });
        // Audio has no marker at the end of a frame: each packet is one.
        packet.marker |= self.audio;
        if packet.marker {
            packet.stamp = Stamp::read(payload);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stream.poll_timeout().into_iter().chain(self.next_pli).min()
    }
}
