//! Fair measurements on a machine that does other things: contenders in turns, the floor around them, and ratios instead of
//! absolute figures. Pure: whoever calls measures.
//!
//! A round goes floor, A, B, B, A, floor. A machine that gets steadily slower then slows all alike; the next round begins
//! with B. A round within which the floor moved is repeated.

use crate::bench::report::median;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// The bare program.
    Floor,
    /// A server, counted from 0.
    Server(usize),
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounds {
    /// Servers, besides the floor.
    pub servers: usize,
    /// Rounds that count.
    pub wanted: usize,
    /// Rounds that may be repeated, all together; then it ends with fewer.
    pub most_rejected: usize,
    /// How far the floor may move within a round, as a share of its smaller value.
    pub tolerance: f64,
}

impl Default for Rounds {
    /// One server, five rounds, five repetitions, 10 %.
    fn default() -> Self {
        Self {
            servers: 1,
            wanted: 5,
            most_rejected: 5,
            tolerance: 0.1,
        }
    }
}

/// A round that counts. Each figure is the mean of the two that were taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// The floor's figure.
    pub floor: f64,
    /// Figures of the servers, in their order.
    pub servers: Vec<f64>,
}

/// A middle and how far apart the rounds were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Rounds that count; fewer than wanted when too many were rejected.
    pub rounds: Vec<Round>,
    /// Rounds in which the floor moved.
    pub rejected: usize,
}

impl Rounds {
    /// Who is measured in a round, one after the other. The floor comes first and last, everybody twice.
    #[must_use]
    pub fn order(&self, round: usize) -> Vec<Contender> {
        let first = round.checked_rem(self.servers).unwrap_or(0);
        let mut order = vec![Contender::Floor];
        order.extend((0..self.servers).map(|at| Contender::Server((first + at) % self.servers)));
        let back: Vec<Contender> = order.iter().rev().copied().collect();
        order.extend(back);
        order
    }

    /// Calls `figure` for each measurement, at most `(wanted + most_rejected) × 2 × (servers + 1)` times. Figures have to
    /// be positive; a round with another one does not count.
    ///
    /// # Errors
    /// The first error of `figure`, at once.
    pub fn measure<E>(&self, mut figure: impl FnMut(Contender) -> Result<f64, E>) -> Result<Outcome, E> {
        let mut outcome = Outcome::default();
        while outcome.rounds.len() < self.wanted && outcome.rejected <= self.most_rejected {
            let mut floors = Vec::with_capacity(2);
            let mut servers = vec![0.0; self.servers];
            for contender in self.order(outcome.rounds.len()) {
                let value = figure(contender)?;
                match contender {
                    Contender::Floor => floors.push(value),
                    // The mean of two, and no overflow on the way.
                    Contender::Server(at) => servers[at] += value / 2.0,
                }
            }
            match self.floor_of(&floors) {
                Some(floor) if servers.iter().all(|value| is_figure(*value)) => {
                    outcome.rounds.push(Round { floor, servers });
                }
                _ => outcome.rejected += 1,
            }
        }
        Ok(outcome)
    }

    /// The mean of the floor's figures; `None` if it moved.
    pub(crate) fn floor_of(&self, floors: &[f64]) -> Option<f64> {
        let least = floors.iter().copied().fold(f64::MAX, f64::min);
        let most = floors.iter().copied().fold(0.0, f64::max);
        let still = floors.iter().all(|value| is_figure(*value)) && most <= least * (1.0 + self.tolerance);
        still.then(|| f64::midpoint(least, most))
    }
}

fn is_figure(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

impl Summary {
    /// Of some values; `None` for none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            median: median(values)?,
            least: values.iter().copied().fold(f64::MAX, f64::min),
            most: values.iter().copied().fold(f64::MIN, f64::max),
        })
    }
}

impl Outcome {
    /// Figures of a server and of the floor, round by round: what [`crate::bench::report::Metric::of_rounds`] takes.
    /// Empty for a server there is none of.
    #[must_use]
    pub fn beside_floor(&self, server: usize) -> Vec<(f64, f64)> {
        let pair = |round: &Round| Some((*round.servers.get(server)?, round.floor));
        self.rounds.iter().filter_map(pair).collect()
    }

    /// Figure of one server over that of the floor, round by round.
    #[must_use]
    pub fn over_floor(&self, server: usize) -> Option<Summary> {
        let pairs = self.beside_floor(server);
        let ratios: Vec<f64> = pairs.iter().map(|(value, floor)| value / floor).collect();
        Summary::of(&ratios)
    }

    /// Figure of one server over that of another, round by round.
    #[must_use]
    pub fn over(&self, server: usize, other: usize) -> Option<Summary> {
        let ratio = |round: &Round| Some(round.servers.get(server)? / round.servers.get(other)?);
        let ratios: Vec<f64> = self.rounds.iter().filter_map(ratio).collect();
        Summary::of(&ratios)
    }
}

#[cfg(test)]
mod tests;
