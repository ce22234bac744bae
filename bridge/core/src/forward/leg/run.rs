//! A stretch of one layer that a viewer gets with constant offsets.

use crate::forward::rewrite::PictureOffsets;
use relay_proto::id::Layer;
use relay_proto::unit::MediaSeq;

#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) layer: Layer,
    pub(super) first: MediaSeq,
    pub(super) last: MediaSeq,
    pub(super) first_index: u64,
    pub(super) time_offset: u32,
    pub(super) picture: PictureOffsets,
}

impl Run {
    /// Index of a packet of the run.
    pub(super) fn index_of(&self, seq: MediaSeq) -> u64 {
        self.first_index + u64::from(seq.0 - self.first.0)
    }
}
