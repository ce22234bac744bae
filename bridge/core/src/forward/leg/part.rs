//! A stream to a viewer that gets a part of it: some of its spatial layers, or some of its frames.

use super::{Body, Fate, LayerState, Leg, Run, Thinning};
use crate::forward::cache::PacketMeta;
use crate::forward::layer::Admission;
use crate::forward::rewrite::PictureOffsets;
use crate::red::Earlier;
use relay_proto::id::Layer;
use relay_proto::room::Codec;
use std::time::Instant;

/// A packet's place in a viewer's stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) marker: bool,
    pub(super) picture: PictureOffsets,
}

impl Leg {
    /// From now on what becomes of each packet is remembered: the viewer may get a part of the frames.
    pub(super) fn begin_thinning(&mut self) {
        let thinning = match (self.runs.back(), self.choice.reach()) {
            (Some(run), Some(reach)) => {
                Thinning::within(run.layer, run.last, run.index_of(run.last) + 1, reach)
            }
            _ => Thinning::new(),
        };
        self.thinning = Some(thinning);
    }

    /// Decides on a packet of a stream of which the viewer gets a part, the same at every call: the packet, an empty one
    /// that fills its number, or nothing. Hot path.
    pub(super) fn admit_part<'a>(
        &mut self,
        now: Instant,
        layers: &'a [LayerState],
        stream: Layer,
        meta: &PacketMeta,
        payload: &'a [u8],
    ) -> Option<Body<'a>> {
        let descriptor = self.descriptor(layers, stream, meta.seq);
        let whole = || Some(Body::new(Earlier::default(), payload).described(descriptor));
        let thinning = self.thinning.as_mut()?;
        match thinning
            .entry(stream, meta.seq)
            .map(|entry| (entry.fate, entry.reach))
        {
            Some((Fate::Forwarded, _)) => return whole(),
            Some((Fate::Filled, _)) => return Some(Body::fill()),
            Some((Fate::Dropped, _)) => return None,
            Some((Fate::Reserved, reach)) => {
                let run = self.runs.back()?;
                if run.layer != stream || run.first > meta.seq {
                    return None;
                }
                let forwarded = self.choice.current().is_some() && meta.position.is_within(reach);
                thinning.resolve(meta.seq, forwarded);
                return if forwarded { whole() } else { Some(Body::fill()) };
            }
            None => {}
        }
        if self.choice.is_nested() {
            if !thinning.is_newest(meta.seq) {
                return None;
            }
        } else if self.choice.current() == Some(stream) && !thinning.is_newest(meta.seq) {
            // Late from before anything was remembered.
            let run = self.runs.back()?;
            let is_before = run.layer == stream && run.first <= meta.seq;
            return if is_before && thinning.is_before(run.index_of(meta.seq)) {
                whole()
            } else {
                None
            };
        }
        if self.decide(now, layers, stream, meta, payload) {
            whole()
        } else {
            None
        }
    }

    /// Decides on the newest packet; whether the viewer gets it.
    fn decide(
        &mut self,
        now: Instant,
        layers: &[LayerState],
        stream: Layer,
        meta: &PacketMeta,
        payload: &[u8],
    ) -> bool {
        let nested = self.choice.is_nested();
        let admission = if nested {
            self.choice.admit_nested(meta.position, meta.keyframe)
        } else {
            self.choice.admit(stream, meta.keyframe)
        };
        if admission == Admission::Switch {
            let next_index = self.next_index();
            self.start_run(now, layers, stream, meta, payload);
            if let Some(thinning) = &mut self.thinning {
                thinning.restart(stream, meta.seq, next_index);
            }
        } else if admission == Admission::Drop && !nested {
            return false;
        }
        let in_time = self.choice.admit_temporal(meta.position, meta.keyframe);
        let forwarded = admission != Admission::Drop && in_time;
        let (reach, Some(thinning)) = (self.choice.reach(), &mut self.thinning) else {
            return false;
        };
        match reach {
            Some(reach) => {
                if !in_time {
                    thinning.leave_out(meta.time);
                }
                thinning.decide(meta.seq, reach, forwarded);
            }
            None => thinning.pass_by(meta.seq),
        }
        forwarded
    }

    /// A packet of `run` in the viewer's stream: index, marker, and what is added to its picture ids; the same at every
    /// call.
    pub(super) fn place_of(&self, run: Run, meta: &PacketMeta) -> Place {
        let thinning = self.thinning.as_ref();
        match thinning.and_then(|thinning| thinning.entry(run.layer, meta.seq)) {
            None => Place {
                index: run.index_of(meta.seq),
                marker: meta.marker,
                picture: run.picture,
            },
            Some(entry) => Place {
                index: entry.index,
                marker: meta.marker || self.choice.is_nested() && meta.position.ends_picture(entry.reach),
                // VP9's refer to each other, and frame numbers too: a receiver knows from them what it does not have. Those
                // of VP8 must follow one another (RFC 7741, section 4.2).
                picture: match self.codec {
                    Codec::Vp8 => run.picture.less(entry.left_out),
                    _ => run.picture,
                },
            },
        }
    }

    /// The index of the packet that goes out next.
    pub(super) fn next_index(&self) -> u64 {
        let after = self.highest.map_or(1, |highest| highest + 1);
        let reserved = self.thinning.as_ref();
        reserved.map_or(after, |thinning| thinning.next_index().max(after))
    }
}
