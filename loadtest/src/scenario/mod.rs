//! Scenarios: who meets whom, where, how, for how long, and what goes wrong meanwhile.
//!
//! All pure. [`Scenario`] is the file, [`Plan`] the participants and the ordered list of events made from it; equal seeds
//! give equal lists. What a list does to real servers is decided in [`crate::run`].

mod builtin;
mod file;
mod model;
mod plan;
mod speech;
#[cfg(test)]
mod tests;
mod thresholds;

use std::time::Duration;

use thiserror::Error;

pub use builtin::{Builtin, builtins, named};
pub use model::{
    Arrival, Churn, ClientKind, FaultKind, FaultSpec, Group, LinkSpec, Region, Role, Scenario, SpeechModel,
};
pub use plan::{Plan, Planned, PlannedEvent, What};
pub use thresholds::{Limit, Metric};

/// Participants of one plan.
pub const MOST_PARTICIPANTS: usize = 20_000;
/// Events of one plan.
pub const MOST_EVENTS: usize = 2_000_000;
/// Longest run.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Why a scenario was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ScenarioError {
    /// Not the TOML that is expected; the text names line, key and what is possible.
    #[error("{0}")]
    Toml(String),
    /// A value that cannot be.
    #[error("{place}: {reason}")]
    Value {
        /// Which key, of which entry.
        place: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// No such built-in scenario.
    #[error("there is no scenario {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

fn value(place: impl Into<String>, reason: impl Into<String>) -> ScenarioError {
    ScenarioError::Value {
        place: place.into(),
        reason: reason.into(),
    }
}

/// Reads `250ms`, `10s`, `2m` or `1h`, at most [`LONGEST`].
fn span(place: &str, text: &str) -> Result<Duration, ScenarioError> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => {
            return Err(value(
                place,
                format!("{text:?} is no time; write 250ms, 10s, 2m or 1h"),
            ));
        }
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| value(place, format!("{text:?} is no time; write 250ms, 10s, 2m or 1h")))?;
    let seconds = number * factor;
    if !(0.0..=LONGEST.as_secs_f64()).contains(&seconds) {
        return Err(value(place, format!("{text:?} is not between 0 and a week")));
    }
    Ok(Duration::from_secs_f64(seconds))
}
