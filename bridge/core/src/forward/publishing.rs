//! What a publisher is told to send: every layer until somebody says otherwise, then what is watched.

use relay_proto::id::{LayerSet, MAX_LAYERS};
use std::time::{Duration, Instant};

/// A layer nobody watches is given up after this time: people scroll back, windows are covered for a moment, and a
/// layer that has been given up takes a round trip and a keyframe to come back.
const LINGER: Duration = Duration::from_secs(5);

/// The layers a publisher sends as far as it has been told.
#[derive(Debug)]
pub(super) struct Publishing {
    told: LayerSet,
    /// Since when less than `told` would do, and what of it was wanted in that time.
    less: Option<(Instant, LayerSet)>,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            // Clients begin with all of them.
            told: LayerSet((1 << MAX_LAYERS) - 1),
            less: None,
        }
    }
}

impl Publishing {
    /// What to tell the publisher now that `wanted` is wanted, if anything.
    pub(super) fn update(&mut self, now: Instant, wanted: LayerSet) -> Option<LayerSet> {
        if wanted.0 & !self.told.0 != 0 {
            self.less = None;
            self.told = LayerSet(self.told.0 | wanted.0);
            return Some(self.told);
        }
        if wanted == self.told {
            self.less = None;
            return None;
        }
        let (since, meanwhile) = self.less.unwrap_or((now, LayerSet::NONE));
        let meanwhile = LayerSet(meanwhile.0 | wanted.0);
        if now.saturating_duration_since(since) < LINGER {
            self.less = Some((since, meanwhile));
            return None;
        }
        self.less = None;
        let changed = meanwhile != self.told;
        self.told = meanwhile;
        changed.then_some(meanwhile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    #[test]
    fn what_nobody_watches_is_given_up_late_and_what_somebody_watches_comes_at_once() {
        let mut now = crate::rtc::testing::instant();
        let mut publishing = Publishing::default();
        let mut told = Vec::new();
        for step in 0..200 {
            now += TICK;
            let wanted = match step {
                0..=99 => LayerSet(0b001),
                100 => LayerSet(0b110),
                _ => LayerSet(0b010),
            };
            told.extend(publishing.update(now, wanted).map(|layers| (step, layers.0)));
        }
        assert_eq!(told, [(50, 0b001), (100, 0b111), (151, 0b010)]);
    }

    #[test]
    fn what_is_watched_now_and_then_stays() {
        let mut now = crate::rtc::testing::instant();
        let mut publishing = Publishing::default();
        let all = LayerSet(0b111);
        for step in 0..300 {
            now += TICK;
            let wanted = if step % 40 == 0 { all } else { LayerSet(0b001) };
            assert_eq!(publishing.update(now, wanted), None);
        }
    }
}
