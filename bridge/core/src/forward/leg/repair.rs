//! What a viewer gets besides the stream itself, in packets of its own: repairs, and padding that shows what its path
//! carries.

use super::part::Place;
use super::thinning::Fate;
use super::{Body, LayerState, Leg, MAX_SEGMENTS, Run};
use crate::forward::packet::{Draft, Extensions, Fields, MAX_PADDING_BYTES, SealRtp};
use relay_proto::unit::MediaSeq;

impl Leg {
    /// Writes the packet the viewer knows as `seq` again, sealed; false where it is not held any more.
    pub fn write_retransmission(
        &mut self,
        layers: &[LayerState],
        seq: u16,
        seal: &mut impl SealRtp,
        buf: &mut Vec<u8>,
    ) -> bool {
        let Some((run, index, source)) = self.find(seq) else {
            return false;
        };
        let Some((meta, payload)) = layers[usize::from(run.layer.0)].packet(source) else {
            return false;
        };
        let body = if self.is_filled(run, source) {
            Body::fill()
        } else {
            let Some(earlier) = self.earlier(layers, run, meta) else {
                return false;
            };
            let descriptor = self.descriptor(layers, run.layer, source);
            Body::new(earlier, payload).described(descriptor)
        };
        let Place { marker, picture, .. } = self.place_of(run, meta);
        let time = meta.time.0.wrapping_add(run.time_offset);
        let plain = Fields {
            pt: body.pt(self.parameters),
            marker: marker && !body.is_fill(),
            seq,
            time,
            ssrc: self.parameters.ssrc,
        };
        let (draft, sealed_index) = match self.parameters.rtx {
            Some((pt, ssrc)) => {
                let rtx_index = self.next_rtx_index();
                let fields = Fields {
                    pt,
                    ssrc,
                    seq: rtx_index as u16,
                    ..plain
                };
                let extensions = body.extensions(seal.transport_cc(), self.parameters);
                let draft = Draft::begin(buf, fields, extensions);
                buf.extend_from_slice(&seq.to_be_bytes());
                (draft, rtx_index)
            }
            None => {
                let extensions = body.extensions(None, self.parameters);
                (Draft::begin(buf, plain, extensions), index)
            }
        };
        let payload_at = buf.len();
        body.write(buf, self.parameters);
        self.rewrite(buf, &draft, payload_at, picture, false);
        draft.pad(buf, body.fill_bytes());
        draft.finish(buf, sealed_index, seal);
        true
    }

    const fn next_rtx_index(&mut self) -> u64 {
        let index = self.next_rtx_index;
        self.next_rtx_index += 1;
        index
    }

    /// Appends packets of nothing but padding, together about `bytes` and at most [`MAX_SEGMENTS`] of them, to
    /// `buf` as segments of one size, and returns that size. They are empty retransmissions, which every client
    /// ignores and reports on; none where the client has no retransmissions or no transport-wide numbers.
    pub fn write_padding(
        &mut self,
        bytes: usize,
        seal: &mut impl SealRtp,
        buf: &mut Vec<u8>,
    ) -> Option<usize> {
        let (pt, ssrc) = self.parameters.rtx?;
        let extensions = Extensions {
            transport_cc: Some(seal.transport_cc()?),
            descriptor: None,
        };
        let around = extensions.header_bytes() + seal.tag_bytes();
        let count = bytes.div_ceil(around + MAX_PADDING_BYTES).min(MAX_SEGMENTS);
        let padding = (bytes / count.max(1))
            .saturating_sub(around)
            .clamp(1, MAX_PADDING_BYTES);
        for _ in 0..count {
            let index = self.next_rtx_index();
            let fields = Fields {
                pt,
                marker: false,
                seq: index as u16,
                time: self.last_time.0,
                ssrc,
            };
            let draft = Draft::begin(buf, fields, extensions);
            draft.pad(buf, padding);
            draft.finish(buf, index, seal);
        }
        Some(around + padding)
    }

    /// The run, the packet index and the publisher's number behind a sequence number the viewer names.
    fn find(&self, seq: u16) -> Option<(Run, u64, MediaSeq)> {
        let highest = self.highest?;
        let index = highest.checked_sub(u64::from((highest as u16).wrapping_sub(seq)))?;
        if index < self.repairable_from {
            return None;
        }
        let run = *self.runs.iter().rev().find(|run| run.first_index <= index)?;
        if let Some(thinning) = &self.thinning
            && !thinning.is_before(index)
        {
            return thinning.sent(index).map(|entry| (run, index, entry.seq));
        }
        let source = u64::from(run.first.0) + (index - run.first_index);
        (source <= u64::from(run.last.0)).then_some((run, index, MediaSeq(source as u32)))
    }

    fn is_filled(&self, run: Run, source: MediaSeq) -> bool {
        let thinning = self.thinning.as_ref();
        let entry = thinning.and_then(|thinning| thinning.entry(run.layer, source));
        entry.is_some_and(|entry| entry.fate == Fate::Filled)
    }
}
