//! A scalable stream to a viewer that gets a part of it.

use super::{Body, Fate, LayerState, Leg, Run};
use crate::forward::cache::PacketMeta;
use crate::forward::layer::Admission;
use crate::red::Earlier;
use relay_proto::id::Layer;
use std::time::Instant;

impl Leg {
    /// Decides on a packet of a scalable stream, the same at every call: the packet, an empty one that fills its
    /// number, or nothing. Hot path.
    pub(super) fn admit_part<'a>(
        &mut self,
        now: Instant,
        layers: &'a [LayerState],
        stream: Layer,
        meta: &PacketMeta,
        payload: &'a [u8],
    ) -> Option<Body<'a>> {
        let thinning = self.thinning.as_mut()?;
        let whole = || {
            let descriptor = layers[usize::from(stream.0)].descriptor(meta.seq);
            Some(Body::new(Earlier::default(), payload).described(descriptor))
        };
        match thinning.entry(meta.seq).map(|entry| (entry.fate, entry.reach)) {
            Some((Fate::Forwarded, _)) => return whole(),
            Some((Fate::Filled, _)) => return Some(Body::fill()),
            Some((Fate::Dropped, _)) => return None,
            Some((Fate::Reserved, reach)) => {
                if self.runs.back()?.first > meta.seq {
                    return None;
                }
                let forwarded = self.choice.current().is_some() && meta.position.is_within(reach);
                thinning.resolve(meta.seq, forwarded);
                return if forwarded { whole() } else { Some(Body::fill()) };
            }
            None if !thinning.is_newest(meta.seq) => return None,
            None => {}
        }
        let admission = self.choice.admit_nested(meta.position, meta.keyframe);
        if admission == Admission::Switch {
            thinning.restart(meta.seq);
            self.start_run(now, layers, stream, meta, payload);
        }
        let forwarded = admission != Admission::Drop;
        let thinning = self.thinning.as_mut()?;
        match self.choice.reach() {
            Some(reach) => thinning.decide(meta.seq, reach, forwarded),
            None => thinning.pass_by(meta.seq),
        }
        if forwarded { whole() } else { None }
    }

    /// Index and marker of a packet of `run` in the viewer's stream, the same at every call.
    pub(super) fn place_of(&self, run: Run, meta: &PacketMeta) -> (u64, bool) {
        let entry = self
            .thinning
            .as_ref()
            .and_then(|thinning| thinning.entry(meta.seq));
        match entry {
            None => (run.index_of(meta.seq), meta.marker),
            Some(entry) => (
                entry.index,
                meta.marker || meta.position.ends_picture(entry.reach),
            ),
        }
    }

    /// The index of the packet that goes out next.
    pub(super) fn next_index(&self) -> u64 {
        let after = self.highest.map_or(1, |highest| highest + 1);
        let reserved = self.thinning.as_ref();
        reserved.map_or(after, |thinning| thinning.next_index().max(after))
    }
}
