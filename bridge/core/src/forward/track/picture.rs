//! Layers of a picture as others count on them: what there is, what each costs, what its publisher should send.

use super::{LayerChoice, Track};
use crate::allocation::TEMPORAL_STEPS;
use relay_proto::id::{Layer, LayerSet, MAX_LAYERS};
use relay_proto::room::{Codec, MediaKind, TrackRecord, TrackSource};
use std::time::Instant;

/// What a viewer's packet has around a payload: IP, UDP, RTP with its number, the tag of a seal.
pub(super) const WIRE_OVERHEAD_BYTES: usize = 64;
/// What the layers of a camera cost, before there is anything to measure.
const USUAL_RATES: [u64; MAX_LAYERS] = [150_000, 450_000, 1_500_000];

/// What is known of a track's pictures before they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// A shared screen.
    pub is_screen: bool,
    /// How many layers there are.
    pub layers: usize,
    /// The layers share a stream, and each contains those below it.
    pub nested: bool,
    /// What the publisher aims at for each layer, in bits a second; 0 where it does not say.
    pub aims: [u64; MAX_LAYERS],
}

impl Picture {
    /// From what the publisher has announced, and what has been negotiated since: its codec, and whether layers arrive
    /// as separate streams.
    #[must_use]
    pub fn of(record: &TrackRecord, codec: Codec, simulcast: bool) -> Self {
        let mut aims = [0; MAX_LAYERS];
        for layer in &record.layers {
            if let Some(aim) = aims.get_mut(usize::from(layer.layer.0)) {
                *aim = layer.bitrate.0;
            }
        }
        // Who announces one layer is believed: all of its stream is for everybody.
        let nested = !simulcast && is_scalable(codec) && record.layers.len() > 1;
        Self {
            is_screen: record.source == TrackSource::ScreenShare,
            layers: match record.layers.len() {
                _ if !simulcast && !nested => 1,
                0 => MAX_LAYERS,
                announced => announced.min(MAX_LAYERS),
            },
            nested,
            aims,
        }
    }
}

/// Whether a forwarder can tell the spatial layers of one stream apart.
const fn is_scalable(codec: Codec) -> bool {
    matches!(codec, Codec::Vp9 | Codec::Av1)
}

impl Track {
    /// Moves the rates of its layers on; call at every review.
    pub fn roll_rates(&mut self, now: Instant) {
        for layer in &mut self.layers {
            layer.meter.roll(now);
            layer.shares.roll(now);
        }
    }

    /// What each layer costs a viewer in bits a second with its temporal layers up to each, growing: measured, else as
    /// announced, else as usual. What does not exist costs what the one below it costs; a layer of a scalable stream
    /// brings those below it along.
    #[must_use]
    pub fn rates(&self) -> [[u64; TEMPORAL_STEPS]; MAX_LAYERS] {
        let Picture {
            layers, aims, nested, ..
        } = self.identity.picture;
        let mut rates = [[0; TEMPORAL_STEPS]; MAX_LAYERS];
        let mut below = [0; TEMPORAL_STEPS];
        for (at, state) in self.layers.iter().enumerate() {
            let supposed = if aims[at] > 0 { aims[at] } else { USUAL_RATES[at] };
            let brought = if nested { below } else { [0; TEMPORAL_STEPS] };
            let whole = below[TEMPORAL_STEPS - 1];
            let own = match state.meter.rate() {
                Some(own) => state.shares.of(own),
                None if at < layers => [supposed.saturating_sub(brought[TEMPORAL_STEPS - 1]); TEMPORAL_STEPS],
                None => [0; TEMPORAL_STEPS],
            };
            for (step, rate) in rates[at].iter_mut().enumerate() {
                *rate = whole.max(brought[step] + own[step]);
            }
            if at == 0 || own[TEMPORAL_STEPS - 1] > 0 {
                below = std::array::from_fn(|step| brought[step] + own[step]);
                below[TEMPORAL_STEPS - 1] = below[TEMPORAL_STEPS - 1].max(whole);
            }
        }
        rates
    }

    /// The layers of a local picture its publisher should send now, where that has changed since the last call: those
    /// that anybody on any node wants, and below one that is wanted and does not come (the publisher has no room for
    /// it) the next smaller one. More is wanted at once, less only after a while. Of a scalable stream all is wanted or
    /// nothing: clients can only go on with it or stop.
    pub fn poll_publishing(&mut self, now: Instant) -> Option<LayerSet> {
        if self.kind() == MediaKind::Audio || self.muted {
            return None;
        }
        let Picture { layers, nested, .. } = self.identity.picture;
        let top = Layer(layers.clamp(1, MAX_LAYERS) as u8 - 1);
        let choices = self
            .legs
            .iter()
            .map(|leg| &leg.choice)
            .chain(self.peers.choices());
        let mut wanted = choices
            .filter_map(LayerChoice::demand)
            .fold(LayerSet::NONE, |set, layer| set.with(layer.min(top)));
        for layer in (1..=top.0).rev().map(Layer) {
            if wanted.contains(layer) && !self.activity.is_alive(layer, now) {
                wanted = wanted.with(Layer(layer.0 - 1));
            }
        }
        if nested && !wanted.is_empty() {
            wanted = (0..=top.0).map(Layer).fold(wanted, LayerSet::with);
        }
        self.publishing.update(now, wanted)
    }
}
