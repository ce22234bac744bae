//! What of a picture somebody gets: a layer, and how many of its temporal layers.

use relay_proto::id::{Layer, MAX_LAYERS};

/// How many temporal layers are told apart: those above count with the last.
pub const TEMPORAL_STEPS: usize = 3;
/// All temporal layers.
const ALL: u8 = TEMPORAL_STEPS as u8 - 1;

/// An operating point (AV1 specification, section 6.4.1; of simulcast too). Ordered: any larger layer is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatingPoint {
    /// The layer.
    pub layer: Layer,
    /// Its largest temporal layer, below [`TEMPORAL_STEPS`]; the last means all there are.
    temporal: u8,
}

impl OperatingPoint {
    /// What there is below all of the smallest layer, in the order in which it is given.
    pub(super) const SMALLEST: [Option<Self>; TEMPORAL_STEPS] = [None, Self::smallest(0), Self::smallest(1)];

    const fn smallest(temporal: u8) -> Option<Self> {
        Some(Self {
            layer: Layer(0),
            temporal,
        })
    }

    /// All of a layer.
    #[must_use]
    pub const fn whole(layer: Layer) -> Self {
        Self { layer, temporal: ALL }
    }

    /// A layer with its temporal layers up to `temporal`.
    #[must_use]
    pub const fn of_layer(layer: Layer, temporal: u8) -> Self {
        let temporal = if temporal > ALL { ALL } else { temporal };
        Self { layer, temporal }
    }

    /// The largest temporal layer; none where there are no bounds.
    #[must_use]
    pub fn temporal(self) -> Option<u8> {
        (self.temporal < ALL).then_some(self.temporal)
    }

    /// The next one: more frames of the same layer, then half of the frames of the next. A quarter of them is only better
    /// than nothing.
    pub(super) fn above(point: Option<Self>) -> Self {
        match point {
            None => Self::of_layer(Layer(0), 0),
            Some(Self { layer, temporal }) if temporal < ALL => Self::of_layer(layer, temporal + 1),
            Some(Self { layer, .. }) => Self::of_layer(Layer(layer.0 + 1), 1),
        }
    }

    /// Its place in a table.
    #[must_use]
    pub fn of(self, rates: &[[u64; TEMPORAL_STEPS]; MAX_LAYERS]) -> u64 {
        rates[usize::from(self.layer.0).min(MAX_LAYERS - 1)][usize::from(self.temporal)]
    }
}
