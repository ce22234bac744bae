//! Which datagrams a path loses: none, each by itself, or in bursts.

use thiserror::Error;

use super::random::SplitMix64;

/// Why a loss could not be described.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum LossError {
    /// Not a number between 0 and 1.
    #[error("a probability lies between 0 and 1 (0% and 100%), not {0}")]
    NotAProbability(f64),
    /// A burst is at least one datagram long.
    #[error("a burst is between 1 and {max} datagrams long, not {0}", max = GilbertElliott::LONGEST_BURST)]
    BurstLength(f64),
    /// So much loss cannot come in bursts so short.
    #[error("a mean loss of {mean} cannot come in bursts of {burst_datagrams}: make the bursts longer")]
    TooDense {
        /// The mean loss asked for, 0 to 1.
        mean: f64,
        /// The mean burst length asked for, in datagrams.
        burst_datagrams: f64,
    },
}

/// A number between 0 and 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// Impossible.
    pub const ZERO: Self = Self(0.0);
    /// Certain.
    pub const ONE: Self = Self(1.0);

    /// Takes `value` if it lies in `0.0..=1.0`.
    ///
    /// # Errors
    /// [`LossError::NotAProbability`] otherwise, also for NaN.
    pub fn new(value: f64) -> Result<Self, LossError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(LossError::NotAProbability(value))
        }
    }

    /// The number, 0 to 1.
    pub fn value(self) -> f64 {
        self.0
    }

    pub(super) fn happens(self, random: &mut SplitMix64) -> bool {
        random.next_unit() < self.0
    }
}

/// A path that alternates between a good and a bad state (Gilbert 1960, Elliott 1963). It may change state
/// before each datagram, and each state has its own probability of loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GilbertElliott {
    /// From good to bad, per datagram.
    pub enter_bad: Probability,
    /// From bad to good, per datagram.
    pub leave_bad: Probability,
    /// Loss while good.
    pub lost_in_good: Probability,
    /// Loss while bad.
    pub lost_in_bad: Probability,
}

impl GilbertElliott {
    /// Longest mean burst, in datagrams.
    pub const LONGEST_BURST: f64 = 10_000.0;

    /// Loses `mean` of all datagrams in bursts of `burst_datagrams` on average, and none between the bursts.
    ///
    /// # Errors
    /// [`LossError::BurstLength`] outside `1.0..=10_000.0`; [`LossError::TooDense`] when so much loss would
    /// need longer bursts.
    pub fn with_mean(mean: Probability, burst_datagrams: f64) -> Result<Self, LossError> {
        if !(1.0..=Self::LONGEST_BURST).contains(&burst_datagrams) {
            return Err(LossError::BurstLength(burst_datagrams));
        }
        // In the long run enter / (enter + leave) of the datagrams meet the bad state; a stay there lasts 1 /
        // leave.
        let leave = 1.0 / burst_datagrams;
        let enter = leave * mean.value() / (1.0 - mean.value());
        let too_dense = LossError::TooDense {
            mean: mean.value(),
            burst_datagrams,
        };
        Ok(Self {
            enter_bad: Probability::new(enter).map_err(|_| too_dense)?,
            leave_bad: Probability(leave),
            lost_in_good: Probability::ZERO,
            lost_in_bad: Probability::ONE,
        })
    }
}

/// How a path loses datagrams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// In bursts.
    Bursts(GilbertElliott),
    /// Not at all.
    None,
    /// Each datagram by itself, with this probability.
    Uniform(Probability),
}

/// A [`Loss`] with the state it needs from one datagram to the next.
#[derive(Debug)]
pub(super) struct LossProcess {
    loss: Loss,
    bad: bool,
}

impl LossProcess {
    pub(super) fn new(loss: &Loss) -> Self {
        Self {
            loss: *loss,
            bad: false,
        }
    }

    pub(super) fn next_is_lost(&mut self, random: &mut SplitMix64) -> bool {
        match self.loss {
            Loss::None => false,
            Loss::Uniform(probability) => probability.happens(random),
            Loss::Bursts(chain) => self.step(chain, random),
        }
    }

    fn step(&mut self, chain: GilbertElliott, random: &mut SplitMix64) -> bool {
        let change = if self.bad {
            chain.leave_bad
        } else {
            chain.enter_bad
        };
        if change.happens(random) {
            self.bad = !self.bad;
        }
        let lost = if self.bad {
            chain.lost_in_bad
        } else {
            chain.lost_in_good
        };
        lost.happens(random)
    }
}
