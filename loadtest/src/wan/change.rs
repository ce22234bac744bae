//! Changes to the properties of a link, as key and value: one vocabulary for the configuration and the
//! control socket.

use std::time::Duration;

use thiserror::Error;

use super::model::{BitRate, GilbertElliott, LinkProperties, Loss, LossError};
use super::units::{UnitError, parse_duration, parse_number, parse_percentage, parse_rate};

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ChangeError {
    /// `burst` was given without `loss`.
    #[error("`burst` needs `loss` beside it: loss=1% burst=4")]
    BurstWithoutLoss,
    /// The same property twice.
    #[error("`{0}` is given twice")]
    Duplicate(String),
    /// An impossible loss.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// A value that cannot be read.
    #[error("{key}: {source}")]
    Unit {
        /// The property.
        key: String,
        /// What is wrong with its value.
        source: UnitError,
    },
    /// No such property.
    #[error("`{0}` is not a property of a link: use delay, jitter, loss, burst, rate or queue")]
    UnknownKey(String),
}

/// New values for some properties of a link; `None` leaves a property as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PropertyChange {
    /// One-way delay.
    pub delay: Option<Duration>,
    /// Upper end of the extra delay.
    pub jitter: Option<Duration>,
    /// How datagrams are lost.
    pub loss: Option<Loss>,
    /// Rate of the line; `Some(None)` lifts the limit.
    pub rate: Option<Option<BitRate>>,
    /// Longest wait for the line.
    pub queue: Option<Duration>,
}

impl PropertyChange {
    /// Reads `(key, value)` pairs such as `("delay", "80ms")`. The keys are delay, jitter, loss (a
    /// percentage), burst (mean length of a burst of losses in datagrams, beside loss), rate and queue.
    ///
    /// # Errors
    /// [`ChangeError`] says which key or value is wrong and what would be right.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ChangeError> {
        let mut change = Self::default();
        let mut mean_loss = None;
        let mut burst = None;
        for (key, value) in pairs {
            let unit = |source| ChangeError::Unit {
                key: key.to_owned(),
                source,
            };
            let duplicate = match key {
                "delay" => change
                    .delay
                    .replace(parse_duration(value).map_err(unit)?)
                    .is_some(),
                "jitter" => change
                    .jitter
                    .replace(parse_duration(value).map_err(unit)?)
                    .is_some(),
                "loss" => mean_loss
                    .replace(parse_percentage(value).map_err(unit)?)
                    .is_some(),
                "burst" => burst.replace(parse_number(value).map_err(unit)?).is_some(),
                "rate" => change.rate.replace(parse_rate(value).map_err(unit)?).is_some(),
                "queue" => change
                    .queue
                    .replace(parse_duration(value).map_err(unit)?)
                    .is_some(),
                _ => return Err(ChangeError::UnknownKey(key.to_owned())),
            };
            if duplicate {
                return Err(ChangeError::Duplicate(key.to_owned()));
            }
        }
        change.loss = match (mean_loss, burst) {
            (None, None) => None,
            (None, Some(_)) => return Err(ChangeError::BurstWithoutLoss),
            (Some(mean), None) => Some(Loss::Uniform(mean)),
            (Some(mean), Some(burst)) => Some(Loss::Bursts(GilbertElliott::with_mean(mean, burst)?)),
        };
        Ok(change)
    }

    /// The properties with this change applied.
    pub fn applied_to(&self, properties: &LinkProperties) -> LinkProperties {
        LinkProperties {
            delay: self.delay.unwrap_or(properties.delay),
            jitter: self.jitter.unwrap_or(properties.jitter),
            loss: self.loss.unwrap_or(properties.loss),
            rate: self.rate.unwrap_or(properties.rate),
            queue: self.queue.unwrap_or(properties.queue),
        }
    }
}
