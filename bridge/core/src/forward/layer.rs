//! Which layer a receiver gets: the largest one that is alive and not above its wish, switched at keyframes.
//!
//! A receiver is a viewer (leg) or a next-hop node; both choose by the same rule, so that what a link carries is
//! what somebody behind it watches.

use super::svc::{Reach, SvcPosition, TOP_TEMPORAL};
use crate::allocation::OperatingPoint;
use relay_proto::id::{Layer, MAX_LAYERS};
use std::time::{Duration, Instant};

/// A layer counts as alive for this long after a packet.
const ALIVE: Duration = Duration::from_millis(700);
/// A receiver leaves its current layer once it is silent for this long while a smaller one is alive.
const STALE: Duration = Duration::from_secs(2);

/// When each layer of a track last had a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerActivity {
    last: [Option<Instant>; MAX_LAYERS],
}

impl LayerActivity {
    /// A packet of `layer` has come; true where the layer was not alive before.
    pub fn touch(&mut self, layer: Layer, now: Instant) -> bool {
        let woke = !self.within(layer, now, ALIVE);
        if let Some(last) = self.last.get_mut(usize::from(layer.0)) {
            *last = Some(now);
        }
        woke
    }

    fn within(&self, layer: Layer, now: Instant, time: Duration) -> bool {
        self.last
            .get(usize::from(layer.0))
            .copied()
            .flatten()
            .is_some_and(|last| now.duration_since(last) < time)
    }

    /// Whether a layer comes.
    #[must_use]
    pub fn is_alive(&self, layer: Layer, now: Instant) -> bool {
        self.within(layer, now, ALIVE)
    }

    /// The layer not above `max` that had a packet last, however long ago.
    #[must_use]
    pub fn latest(&self, max: Layer) -> Option<Layer> {
        let heard = |layer: &Layer| self.last.get(usize::from(layer.0)).copied().flatten();
        (0..=max.0.min(Layer::TOP.0))
            .map(Layer)
            .filter(|layer| heard(layer).is_some())
            .max_by_key(heard)
    }

    /// The largest alive layer not above `max`; none where all are silent.
    #[must_use]
    pub fn best(&self, max: Layer, now: Instant) -> Option<Layer> {
        (0..=max.0.min(Layer::TOP.0))
            .rev()
            .map(Layer)
            .find(|layer| self.within(*layer, now, ALIVE))
    }
}

/// What to do with a packet for one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Not for this receiver.
    Drop,
    /// Goes on in the layer it has.
    Forward,
    /// The first packet of a new layer (or of all).
    Switch,
}

/// One receiver's choice among the layers of a track.
#[derive(Clone, Copy, Debug)]
pub struct LayerChoice {
    max: Layer,
    enabled: bool,
    /// Layers share a stream, and each contains those below it.
    nested: bool,
    allowance: Allowance,
    /// The largest layer that comes here at all; none where nothing does.
    offered: Option<Layer>,
    current: Option<Layer>,
    target: Option<Layer>,
    /// Its largest temporal layer.
    temporal: u8,
    /// Whether it has ever been allowed less than all temporal layers.
    thins: bool,
}

/// What a receiver's path has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// How much of it; none where there is no room for anything.
    pub point: Option<OperatingPoint>,
    /// When it changed last; none where it never did.
    pub changed_at: Option<Instant>,
    /// It has never had room: what comes first is no change of something shown.
    pub is_first: bool,
}

impl Allowance {
    /// Room for everything.
    pub const ALL: Self = Self {
        point: Some(OperatingPoint::whole(Layer::TOP)),
        changed_at: None,
        is_first: false,
    };

    /// Not decided yet.
    #[must_use]
    pub const fn nothing_yet(now: Instant) -> Self {
        Self {
            point: None,
            changed_at: Some(now),
            is_first: true,
        }
    }
}

impl LayerChoice {
    /// Wants the largest layer up to `max`, has none yet.
    #[must_use]
    pub const fn new(max: Layer) -> Self {
        Self {
            max: at_most_top(max),
            enabled: true,
            nested: false,
            allowance: Allowance::ALL,
            offered: Some(Layer::TOP),
            current: None,
            target: None,
            temporal: TOP_TEMPORAL,
            thins: false,
        }
    }

    /// The same among layers of one scalable stream (`nested`) or of separate streams.
    #[must_use]
    pub const fn among(mut self, nested: bool) -> Self {
        self.nested = nested;
        self
    }

    /// Whether its layers share a stream.
    #[must_use]
    pub const fn is_nested(&self) -> bool {
        self.nested
    }

    /// Changes the wish. A receiver that is switched off has no layer and starts again at a keyframe.
    pub const fn set_wish(&mut self, enabled: bool, max: Layer) {
        self.max = at_most_top(max);
        self.enabled = enabled;
        if !enabled {
            self.current = None;
            self.target = None;
        }
    }

    /// The largest layer of use, or none where switched off.
    #[must_use]
    pub fn wish(&self) -> Option<Layer> {
        self.enabled.then_some(self.max)
    }

    /// What its path has room for.
    #[must_use]
    pub const fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Sets what its path has room for to begin with.
    pub const fn begin_with(&mut self, allowance: Allowance) {
        self.allowance = allowance;
    }

    /// Changes what its path has room for. A receiver without room has no layer and starts again at a keyframe; one
    /// with room for less goes on with what it has until the smaller layer has its keyframe.
    pub fn allow(&mut self, point: Option<OperatingPoint>, now: Instant) {
        if self.allowance.point == point {
            return;
        }
        self.thins |= point.is_some_and(|point| point.temporal().is_some());
        self.allowance = Allowance {
            point,
            changed_at: Some(now),
            is_first: false,
        };
        if point.is_none() {
            self.reset();
        }
    }

    /// Lets go of a layer there is no room for at once, at the price of a still picture until the next keyframe. In a
    /// scalable stream it costs nothing: the smaller layer is there with the next picture anyway.
    pub fn stop_above_allowance(&mut self) {
        if !self.nested && self.current > self.allowed_layer() {
            self.current = None;
        }
    }

    /// Changes which layers come here at all. Where none does, it starts again at a keyframe. Layers that share a stream
    /// come together.
    pub const fn offer(&mut self, largest: Option<Layer>) {
        self.offered = match largest {
            Some(_) if self.nested => Some(Layer::TOP),
            _ => largest,
        };
        if self.offered.is_none() {
            self.reset();
        }
    }

    /// The largest layer that is of use, comes, and fits; none where it gets nothing.
    #[must_use]
    pub fn demand(&self) -> Option<Layer> {
        self.wish().min(self.allowed_layer()).min(self.offered)
    }

    fn allowed_layer(&self) -> Option<Layer> {
        self.allowance.point.map(|point| point.layer)
    }

    /// The largest temporal layer there is room for.
    fn temporal_target(&self) -> u8 {
        match self.allowance.point {
            // Who wishes for a smaller layer than there is room for has room for all of that.
            Some(point) if Some(point.layer) == self.demand() => point.temporal().unwrap_or(TOP_TEMPORAL),
            _ => TOP_TEMPORAL,
        }
    }

    /// Whether it may be given a part of the frames of a layer.
    #[must_use]
    pub const fn thins(&self) -> bool {
        self.thins
    }

    /// Decides on the temporal layer of a packet of what it gets otherwise. Fewer frames come with the next picture, more
    /// where the stream says that they can be decoded. Hot path.
    pub fn admit_temporal(&mut self, position: SvcPosition, keyframe: bool) -> bool {
        let target = self.temporal_target();
        if keyframe {
            self.temporal = target;
        } else if position.starts_picture() {
            if position.allows_up_from(self.temporal) {
                self.temporal = position.up_to;
            }
            self.temporal = self.temporal.min(target);
        }
        position.temporal <= self.temporal
    }

    /// Goes on with its target from the next packet on, whatever that is: the receiver has what came before. False while
    /// there is no target, or it has a layer already.
    pub const fn take_up(&mut self) -> bool {
        let takes = self.current.is_none() && self.target.is_some();
        if takes {
            self.current = self.target;
        }
        takes
    }

    /// Starts again at the next keyframe (the stream it had is gone).
    pub const fn reset(&mut self) {
        self.current = None;
        self.target = None;
    }

    /// Sets the target from what is alive; returns the layer whose keyframe is needed to get there.
    pub fn retarget(&mut self, activity: &LayerActivity, now: Instant) -> Option<Layer> {
        let max = self.demand()?;
        if self.nested {
            return self.retarget_nested(max, activity, now);
        }
        let best = activity.best(max, now);
        self.target = match (self.current, best) {
            (Some(current), Some(best)) if best < current && current <= max => {
                // A larger layer that pauses for a moment (a still screen) is no reason to fall back.
                if activity.within(current, now, STALE) {
                    Some(current)
                } else {
                    Some(best)
                }
            }
            (_, Some(best)) => Some(best),
            // All are silent: a still picture, whose sender makes a keyframe when asked.
            (current, None) => current.or_else(|| activity.latest(max)),
        };
        self.waits_for()
    }

    /// Of a scalable stream a receiver has everything up to its target from a keyframe on, also what begins later. One
    /// is asked for where that would show something.
    fn retarget_nested(&mut self, max: Layer, activity: &LayerActivity, now: Instant) -> Option<Layer> {
        self.target = Some(max);
        let shows_more = match self.current {
            Some(current) => activity.best(max, now) > Some(current),
            None => activity.latest(max).is_some(),
        };
        shows_more.then_some(max)
    }

    /// The layer whose keyframe this receiver waits for.
    #[must_use]
    pub fn waits_for(&self) -> Option<Layer> {
        if self.target == self.current {
            None
        } else {
            self.target
        }
    }

    /// Decides on a packet of `layer`; moves to the target at its keyframe. Hot path.
    pub fn admit(&mut self, layer: Layer, keyframe: bool) -> Admission {
        if keyframe && self.target == Some(layer) && self.current != self.target {
            self.current = self.target;
            return Admission::Switch;
        }
        if self.current == Some(layer) {
            Admission::Forward
        } else {
            Admission::Drop
        }
    }

    /// Decides on a packet of a scalable stream. It begins, and larger layers are taken up, at keyframes only: from there
    /// on every layer depends on nothing but itself and those below, in whichever way the encoder uses them. A smaller
    /// layer is there with the next picture. Never within a picture: what ends it has been decided at its beginning.
    /// Hot path.
    pub fn admit_nested(&mut self, position: SvcPosition, keyframe: bool) -> Admission {
        if keyframe && self.target.is_some() {
            let before = std::mem::replace(&mut self.current, self.target);
            return if before.is_none() {
                Admission::Switch
            } else {
                Admission::Forward
            };
        }
        if position.starts_picture() && self.target.is_some() && self.target < self.current {
            self.current = self.target;
        }
        if Some(Layer(position.spatial)) <= self.current {
            Admission::Forward
        } else {
            Admission::Drop
        }
    }

    /// The largest layers it gets now; none while it gets nothing.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        self.current.map(|layer| Reach {
            spatial: layer.0,
            temporal: self.temporal,
        })
    }

    /// What it gets now.
    #[must_use]
    pub fn in_use(&self) -> Option<OperatingPoint> {
        self.current
            .map(|layer| OperatingPoint::of_layer(layer, self.temporal))
    }

    /// The layer it gets now.
    #[must_use]
    pub const fn current(&self) -> Option<Layer> {
        self.current
    }
}

/// Wishes come from clients: one above all layers is for the largest.
const fn at_most_top(layer: Layer) -> Layer {
    if layer.0 > Layer::TOP.0 { Layer::TOP } else { layer }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(layers: &[u8], now: Instant) -> LayerActivity {
        let mut activity = LayerActivity::default();
        for layer in layers {
            activity.touch(Layer(*layer), now);
        }
        activity
    }

    #[test]
    fn the_largest_alive_layer_up_to_the_wish_is_reached_at_its_keyframe() {
        let now = crate::rtc::testing::instant();
        let mut choice = LayerChoice::new(Layer(1));
        assert_eq!(choice.retarget(&alive(&[0, 1, 2], now), now), Some(Layer(1)));
        assert_eq!(choice.admit(Layer(1), false), Admission::Drop);
        assert_eq!(choice.admit(Layer(2), true), Admission::Drop);
        assert_eq!(choice.admit(Layer(1), true), Admission::Switch);
        assert_eq!(choice.admit(Layer(1), true), Admission::Forward);
    }

    #[test]
    fn the_old_layer_goes_on_until_the_new_one_has_its_keyframe() {
        let now = crate::rtc::testing::instant();
        let mut choice = LayerChoice::new(Layer(2));
        choice.retarget(&alive(&[0], now), now);
        assert_eq!(choice.admit(Layer(0), true), Admission::Switch);
        assert_eq!(choice.retarget(&alive(&[0, 2], now), now), Some(Layer(2)));
        assert_eq!(choice.admit(Layer(0), false), Admission::Forward);
        assert_eq!(choice.admit(Layer(2), true), Admission::Switch);
        assert_eq!(choice.admit(Layer(0), true), Admission::Drop);
    }

    #[test]
    fn a_layer_that_ends_is_left_and_one_that_pauses_is_not() {
        let start = crate::rtc::testing::instant();
        let mut activity = alive(&[0, 2], start);
        let mut choice = LayerChoice::new(Layer(2));
        choice.retarget(&activity, start);
        choice.admit(Layer(2), true);
        let paused = start + Duration::from_secs(1);
        activity.touch(Layer(0), paused);
        assert_eq!(choice.retarget(&activity, paused), None);
        let ended = start + Duration::from_secs(3);
        activity.touch(Layer(0), ended);
        assert_eq!(choice.retarget(&activity, ended), Some(Layer(0)));
    }

    #[test]
    fn a_receiver_without_room_gets_less_or_nothing_whatever_it_wishes() {
        let now = crate::rtc::testing::instant();
        let mut choice = LayerChoice::new(Layer(2));
        choice.retarget(&alive(&[0, 1, 2], now), now);
        choice.admit(Layer(2), true);
        choice.allow(Some(OperatingPoint::whole(Layer(0))), now);
        assert_eq!(choice.retarget(&alive(&[0, 1, 2], now), now), Some(Layer(0)));
        assert_eq!(choice.admit(Layer(2), false), Admission::Forward);
        choice.stop_above_allowance();
        assert_eq!(choice.admit(Layer(2), false), Admission::Drop);
        assert_eq!(choice.admit(Layer(0), true), Admission::Switch);
        choice.allow(None, now);
        assert_eq!((choice.demand(), choice.wish()), (None, Some(Layer(2))));
        assert_eq!(choice.retarget(&alive(&[0, 1, 2], now), now), None);
        assert_eq!(choice.admit(Layer(0), true), Admission::Drop);
    }

    #[test]
    fn a_receiver_that_is_switched_off_gets_nothing_and_starts_again_at_a_keyframe() {
        let now = crate::rtc::testing::instant();
        let mut choice = LayerChoice::new(Layer(0));
        choice.retarget(&alive(&[0], now), now);
        choice.admit(Layer(0), true);
        choice.set_wish(false, Layer(0));
        assert_eq!(choice.admit(Layer(0), true), Admission::Drop);
        choice.set_wish(true, Layer(0));
        assert_eq!(choice.retarget(&alive(&[0], now), now), Some(Layer(0)));
        assert_eq!(choice.admit(Layer(0), false), Admission::Drop);
    }
}
