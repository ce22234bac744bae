//! Packets expected and lost in the last seconds.

/// Fewer packets in the window say nothing of loss; sound alone is 50 a second.
pub(super) const MIN_PACKETS: f64 = 50.0;
/// What the window keeps from one second to the next: it is about five seconds long.
const WINDOW_KEEPS: f64 = 0.8;

/// The window. Fade it once a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) expected: f64,
    pub(super) lost: f64,
}

impl Window {
    /// Lost of the expected, in parts of one; 0 where they are too few to say.
    pub(super) fn loss(self) -> f64 {
        if self.expected < MIN_PACKETS {
            0.0
        } else {
            self.lost / self.expected
        }
    }

    pub(super) fn fade(&mut self) {
        self.expected *= WINDOW_KEEPS;
        self.lost *= WINDOW_KEEPS;
    }
}
