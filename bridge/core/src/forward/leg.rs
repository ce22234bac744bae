//! One track to one viewer: layer choice, renumbering, and the packets themselves, sealed into GSO segments.
//!
//! A viewer sees one stream with continuous numbers and time, whatever layers it is made of. The leg keeps this as a
//! few *runs*: stretches of one layer with constant offsets. A run begins at a keyframe; a lost packet is found again
//! by looking its number up in the runs, so that nothing is remembered per packet. Only where a viewer gets a part of a
//! stream (a scalable one, or fewer frames) the last packets are remembered: see `thinning`.

mod part;
mod repair;
mod run;
mod thinning;

use super::cache::PacketMeta;
use super::layer::{Admission, LayerChoice};
use super::packet::{Draft, Extensions, Fields, SealRtp};
use super::redundancy::{self, Body, Depth};
use super::rewrite::{PictureOffsets, PictureRewriter};
use super::track::{Clock, LayerState};
use crate::red::{self, Earlier};
use part::Place;
use relay_proto::id::{Layer, TrackSid};
use relay_proto::room::Codec;
use relay_proto::unit::{MediaSeq, RtpTime};
use run::Run;
use std::collections::VecDeque;
use std::time::Instant;
use thinning::{Fate, Thinning};

/// Most segments in one batch; the kernel takes 64.
pub const MAX_SEGMENTS: usize = 48;
/// Most bytes in one batch; a UDP send takes 65,507.
pub const MAX_BATCH_BYTES: usize = 60_000;
/// A packet shorter than its batch's segments by no more than this is padded to their size: the padding costs less
/// than a second send.
const MAX_SEGMENT_PADDING_BYTES: usize = 24;
/// Stretches remembered per leg; older packets cannot be repaired.
const MAX_RUNS: usize = 4;

/// What negotiation decided about a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegParameters {
    /// Payload type of the viewer.
    pub pt: u8,
    /// SSRC of the stream.
    pub ssrc: u32,
    /// Payload type and SSRC of its retransmissions (RFC 4588), where negotiated.
    pub rtx: Option<(u8, u32)>,
    /// Payload type of redundant sound (RFC 2198), where negotiated and allowed.
    pub red: Option<u8>,
    /// Id of the header extension with the dependency descriptor, where negotiated.
    pub descriptor: Option<u8>,
}

/// Counters of a leg, for sender reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct LegCount {
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub bytes: u32,
}

/// One track to one viewer.
#[derive(Debug)]
pub struct Leg {
    /// Slot of the viewer's session.
    pub session: u32,
    /// The track, for reconciling legs with what a client negotiated.
    pub track: TrackSid,
    /// Whether its client has keys. Until then it takes no packets, and no keyframe is asked for on its account.
    pub connected: bool,
    /// Layers.
    pub choice: LayerChoice,
    parameters: LegParameters,
    codec: Codec,
    runs: VecDeque<Run>,
    /// What becomes of each packet, where the viewer gets a part of a stream.
    thinning: Option<Thinning>,
    highest: Option<u64>,
    /// Older packets went out under other parameters and are not sent again.
    repairable_from: u64,
    /// How many frames before its own a packet repeats.
    depth: Depth,
    last_time: RtpTime,
    last_at: Option<Instant>,
    pictures: PictureRewriter,
    next_rtx_index: u64,
    count: LegCount,
}

impl Leg {
    /// A leg that waits for its first packet (of video: its first keyframe).
    #[must_use]
    pub fn new(
        session: u32,
        track: TrackSid,
        codec: Codec,
        parameters: LegParameters,
        choice: LayerChoice,
    ) -> Self {
        Self {
            session,
            track,
            connected: true,
            choice,
            parameters,
            codec,
            runs: VecDeque::with_capacity(MAX_RUNS),
            thinning: choice.is_nested().then(Thinning::new),
            highest: None,
            repairable_from: 0,
            depth: Depth::default(),
            last_time: RtpTime(0),
            last_at: None,
            pictures: PictureRewriter::new(codec),
            next_rtx_index: 1,
            count: LegCount::default(),
        }
    }

    /// What negotiation decided.
    #[must_use]
    pub const fn parameters(&self) -> LegParameters {
        self.parameters
    }

    /// Takes over what a later negotiation decided about the same stream. Its numbers go on, and what was sent before
    /// is not sent again: with other parameters it would be another packet under the same nonce.
    pub fn renegotiate(&mut self, parameters: LegParameters) {
        if self.parameters == parameters {
            return;
        }
        self.parameters = parameters;
        self.repairable_from = self.highest.map_or(0, |highest| highest + 1);
    }

    /// From the next packet on, every packet repeats the `depth` frames before its own (at most
    /// [`red::MAX_EARLIER`]), where the viewer has negotiated that.
    pub fn repeat_earlier(&mut self, depth: usize) {
        let next = self.highest.map_or(0, |highest| highest + 1);
        let known_from = self.depth.change(depth.min(red::MAX_EARLIER) as u8, next);
        self.repairable_from = self.repairable_from.max(known_from);
    }

    /// What has been sent.
    #[must_use]
    pub const fn count(&self) -> LegCount {
        self.count
    }

    /// Numbers of its stream that stand for packets which never came here.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        let numbers = self.highest.unwrap_or_default() as u32;
        u64::from(numbers.wrapping_sub(self.count.packets))
    }

    /// Writes the next of `fresh` (from index `next` on) into `buf` as segments of one size (the last may be
    /// shorter) and returns that size; none where nothing of the rest is for this viewer. Advances `next`.
    ///
    /// Hot path: no allocation, no lock; one copy and one seal per packet.
    pub fn write_batch(
        &mut self,
        now: Instant,
        layers: &[LayerState],
        fresh: &[(Layer, MediaSeq)],
        next: &mut usize,
        seal: &mut impl SealRtp,
        buf: &mut Vec<u8>,
    ) -> Option<usize> {
        buf.clear();
        let transport_cc = self.transport_cc(seal);
        let plain = Extensions {
            transport_cc,
            descriptor: None,
        };
        let overhead = plain.header_bytes() + seal.tag_bytes();
        let mut segment = 0;
        for count in 0..MAX_SEGMENTS {
            let Some((layer, meta, body)) = self.next_admitted(now, layers, fresh, next) else {
                break;
            };
            let header = body.extensions(transport_cc, self.parameters).header_bytes();
            let len = header + seal.tag_bytes() + body.bytes();
            if count == 0 {
                segment = self.segment_bytes(len, layers, &fresh[*next..], overhead);
            }
            if len > segment || buf.len() + segment > MAX_BATCH_BYTES {
                break;
            }
            let padding = if segment - len <= self.largest_padding() {
                segment - len
            } else {
                0
            };
            self.write_packet(now, layer, meta, &body, padding, seal, buf);
            *next += 1;
            if len + padding < segment {
                break;
            }
        }
        (!buf.is_empty()).then_some(segment.min(buf.len()))
    }

    /// The next packet this viewer gets, with its run open; `next` stays at it.
    fn next_admitted<'a>(
        &mut self,
        now: Instant,
        layers: &'a [LayerState],
        fresh: &[(Layer, MediaSeq)],
        next: &mut usize,
    ) -> Option<(Layer, &'a PacketMeta, Body<'a>)> {
        if self.thinning.is_none() && self.choice.thins() {
            self.begin_thinning();
        }
        while let Some(&(layer, seq)) = fresh.get(*next) {
            if let Some((meta, payload)) = layers[usize::from(layer.0)].packet(seq) {
                let body = if self.thinning.is_some() {
                    self.admit_part(now, layers, layer, meta, payload)
                } else {
                    self.admit_whole(now, layers, layer, meta, payload)
                };
                if let Some(body) = body {
                    return Some((layer, meta, body));
                }
            }
            *next += 1;
        }
        None
    }

    /// A packet of a layer with a stream of its own: all of the chosen one is for the viewer.
    fn admit_whole<'a>(
        &mut self,
        now: Instant,
        layers: &'a [LayerState],
        layer: Layer,
        meta: &PacketMeta,
        payload: &'a [u8],
    ) -> Option<Body<'a>> {
        let admission = self.choice.admit(layer, meta.keyframe);
        if admission == Admission::Switch {
            self.start_run(now, layers, layer, meta, payload);
        }
        if admission == Admission::Drop {
            return None;
        }
        let at = self.run_of(layer, meta.seq)?;
        let earlier = self.earlier(layers, self.runs[at], meta)?;
        let descriptor = self.descriptor(layers, layer, meta.seq);
        Some(Body::new(earlier, payload).described(descriptor))
    }

    /// The dependency descriptor a packet is sent with; empty where it has none. Only AV1 needs one.
    fn descriptor<'a>(&self, layers: &'a [LayerState], layer: Layer, seq: MediaSeq) -> &'a [u8] {
        if self.codec == Codec::Av1 && self.parameters.descriptor.is_some() {
            layers[usize::from(layer.0)].descriptor(seq)
        } else {
            &[]
        }
    }

    /// The frames a packet repeats, the same at every call. None where one of them is not held any more.
    fn earlier<'a>(&self, layers: &'a [LayerState], run: Run, meta: &PacketMeta) -> Option<Earlier<'a>> {
        if self.parameters.red.is_none() {
            return Some(Earlier::default());
        }
        let depth = self.depth.at(run.index_of(meta.seq));
        let reach = meta.seq.0 - run.first.0;
        redundancy::earlier(
            &layers[usize::from(run.layer.0)],
            meta,
            u32::from(depth).min(reach),
        )
    }

    /// Padding is for streams with their own retransmission format only: a plain retransmission must be the same
    /// bytes as the original, because it uses the same nonce.
    const fn largest_padding(&self) -> usize {
        if self.parameters.rtx.is_some() {
            MAX_SEGMENT_PADDING_BYTES
        } else {
            0
        }
    }

    /// Whether its packets can be numbered: only where a repair is a packet of its own, because it gets a new number.
    #[must_use]
    pub const fn is_numberable(&self) -> bool {
        self.parameters.rtx.is_some()
    }

    fn transport_cc(&self, seal: &impl SealRtp) -> Option<u8> {
        self.parameters.rtx.and_then(|_| seal.transport_cc())
    }

    fn segment_bytes(
        &self,
        first: usize,
        layers: &[LayerState],
        rest: &[(Layer, MediaSeq)],
        overhead: usize,
    ) -> usize {
        if self.largest_padding() == 0 {
            return first;
        }
        rest.iter()
            .take(MAX_SEGMENTS)
            .filter_map(|(layer, seq)| layers[usize::from(layer.0)].packet(*seq))
            .map(|(_, payload)| overhead + payload.len())
            .filter(|len| *len <= first + self.largest_padding())
            .max()
            .map_or(first, |largest| largest.max(first))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the one place where packet, leg and client meet"
    )]
    fn write_packet(
        &mut self,
        now: Instant,
        layer: Layer,
        meta: &PacketMeta,
        body: &Body<'_>,
        padding: usize,
        seal: &mut impl SealRtp,
        buf: &mut Vec<u8>,
    ) {
        let Some(at) = self.run_of(layer, meta.seq) else {
            return;
        };
        let run = &mut self.runs[at];
        run.last = run.last.max(meta.seq);
        let run = *run;
        let Place {
            index,
            marker,
            picture,
        } = self.place_of(run, meta);
        let time = meta.time.0.wrapping_add(run.time_offset);
        let newest = self.highest.is_none_or(|highest| index > highest);
        let fields = Fields {
            pt: body.pt(self.parameters),
            marker: marker && !body.is_fill(),
            seq: index as u16,
            time,
            ssrc: self.parameters.ssrc,
        };
        let extensions = body.extensions(self.transport_cc(seal), self.parameters);
        let draft = Draft::begin(buf, fields, extensions);
        body.write(buf, self.parameters);
        self.rewrite(buf, &draft, draft.payload_at(), picture, newest);
        draft.pad(buf, padding + body.fill_bytes());
        draft.finish(buf, index, seal);
        if newest {
            self.highest = Some(index);
            self.last_time = RtpTime(time);
            self.last_at = Some(now);
        }
        self.count.packets = self.count.packets.wrapping_add(1);
        self.count.bytes = self.count.bytes.wrapping_add(body.bytes() as u32);
    }

    /// Writes the viewer's numbers of pictures and frames over the publisher's.
    fn rewrite(
        &mut self,
        buf: &mut [u8],
        draft: &Draft,
        payload_at: usize,
        offsets: PictureOffsets,
        newest: bool,
    ) {
        match draft.descriptor_at() {
            Some(at) => self.pictures.rewrite_frame(&mut buf[at..], offsets, newest),
            None => self.pictures.rewrite(&mut buf[payload_at..], offsets, newest),
        }
    }

    fn start_run(
        &mut self,
        now: Instant,
        layers: &[LayerState],
        layer: Layer,
        meta: &PacketMeta,
        payload: &[u8],
    ) {
        if self.runs.len() == MAX_RUNS {
            self.runs.pop_front();
        }
        let run = Run {
            layer,
            first: meta.seq,
            last: meta.seq,
            first_index: self.next_index(),
            time_offset: self.time_offset(now, layers, layer, meta.time),
            picture: match self.descriptor(layers, layer, meta.seq) {
                [] => self.pictures.offsets_for(payload),
                descriptor => self.pictures.offsets_for_frame(descriptor),
            },
        };
        self.runs.push_back(run);
    }

    /// What to add to `layer`'s timestamps so that they continue the viewer's time.
    ///
    /// Layers have unrelated time bases. Sender reports relate them exactly; before there are any, arrival does.
    fn time_offset(&self, now: Instant, layers: &[LayerState], layer: Layer, time: RtpTime) -> u32 {
        let (Some(previous), Some(last_at)) = (self.runs.back(), self.last_at) else {
            return 0;
        };
        let clocks = (
            layers[usize::from(previous.layer.0)].clock,
            layers[usize::from(layer.0)].clock,
        );
        let offset = match clocks {
            _ if previous.layer == layer => previous.time_offset,
            (Some(old), Some(new)) => {
                let old_time = old.time_at(new.ntp, self.codec.clock_rate());
                previous
                    .time_offset
                    .wrapping_add(old_time.wrapping_sub(new.time.0))
            }
            _ => {
                let elapsed = now.duration_since(last_at).as_micros() as u64;
                let ticks = (elapsed * u64::from(self.codec.clock_rate()) / 1_000_000) as u32;
                self.last_time.0.wrapping_add(ticks.max(1)).wrapping_sub(time.0)
            }
        };
        let advance = time.0.wrapping_add(offset).wrapping_sub(self.last_time.0) as i32;
        if advance > 0 {
            offset
        } else {
            offset.wrapping_add(1_u32.wrapping_sub(advance as u32))
        }
    }

    /// The run a packet of a layer belongs to: the newest that reaches back to it.
    fn run_of(&self, layer: Layer, seq: MediaSeq) -> Option<usize> {
        let newest = self.runs.len().checked_sub(1)?;
        (0..=newest).rev().find(|&at| {
            let run = &self.runs[at];
            run.layer == layer && run.first <= seq && (at == newest || seq <= run.last)
        })
    }

    /// The layer the viewer watches now, and its (NTP, RTP time) pair in the viewer's time, for a sender report.
    #[must_use]
    pub fn sender_clock(&self, layers: &[LayerState]) -> Option<Clock> {
        let run = self.runs.back()?;
        let clock = layers[usize::from(run.layer.0)].clock?;
        Some(Clock {
            ntp: clock.ntp,
            time: RtpTime(clock.time.0.wrapping_add(run.time_offset)),
        })
    }
}

#[cfg(test)]
mod tests;
