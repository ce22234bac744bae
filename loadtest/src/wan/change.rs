//! Changes to the properties of a link, as key and value: one vocabulary for the configuration and the
//! control socket.

use std::time::Duration;

use thiserror::Error;

use super::model::{BitRate, GilbertElliott, LinkProperties, Loss, LossError, Probability, Reorder};
use super::profiles::{self, ProfileError};
use super::units::{UnitError, parse_duration, parse_number, parse_percentage, parse_rate};

/// Every property a link has, by its key. `profile` stands for all of them; those beside it replace its values.
pub const KEYS: [&str; 10] = [
    "profile",
    "delay",
    "jitter",
    "loss",
    "burst",
    "reorder",
    "reorder_by",
    "duplicate",
    "rate",
    "queue",
];

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
    /// An unknown profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// `reorder` and `reorder_by` belong together.
    #[error("`reorder` and `reorder_by` need each other: reorder=1% reorder_by=10ms; reorder=0% ends it")]
    ReorderAlone,
    /// A value that cannot be read.
    #[error("{key}: {source}")]
    Unit {
        /// The property.
        key: String,
        /// What is wrong with its value.
        source: UnitError,
    },
    /// No such property.
    #[error("`{0}` is not a property of a link: use {keys}", keys = KEYS.join(", "))]
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
    /// How datagrams are overtaken; `Some(None)` preserves order.
    pub reorder: Option<Option<Reorder>>,
    /// How many datagrams arrive twice.
    pub duplicate: Option<Probability>,
    /// Rate of the line; `Some(None)` lifts the limit.
    pub rate: Option<Option<BitRate>>,
    /// Longest wait for the line.
    pub queue: Option<Duration>,
}

impl PropertyChange {
    /// Reads `(key, value)` pairs such as `("delay", "80ms")`. The keys are [`KEYS`]: loss, reorder and
    /// duplicate are percentages; burst, the mean length of a burst of losses in datagrams, needs loss beside
    /// it; reorder_by, how long a datagram is held back, needs reorder.
    ///
    /// # Errors
    /// [`ChangeError`] says which key or value is wrong and what would be right.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ChangeError> {
        let mut given = Given::default();
        for (key, value) in pairs {
            given.take(key, value)?;
        }
        given.checked()
    }

    /// Gives a link these properties, whatever it had before.
    pub fn to_exactly(properties: &LinkProperties) -> Self {
        Self {
            delay: Some(properties.delay),
            jitter: Some(properties.jitter),
            loss: Some(properties.loss),
            reorder: Some(properties.reorder),
            duplicate: Some(properties.duplicate),
            rate: Some(properties.rate),
            queue: Some(properties.queue),
        }
    }

    /// The properties with this change applied.
    pub fn applied_to(&self, properties: &LinkProperties) -> LinkProperties {
        LinkProperties {
            delay: self.delay.unwrap_or(properties.delay),
            jitter: self.jitter.unwrap_or(properties.jitter),
            loss: self.loss.unwrap_or(properties.loss),
            reorder: self.reorder.unwrap_or(properties.reorder),
            duplicate: self.duplicate.unwrap_or(properties.duplicate),
            rate: self.rate.unwrap_or(properties.rate),
            queue: self.queue.unwrap_or(properties.queue),
        }
    }
}

/// Values as they were written, before those that belong together are joined.
#[derive(Default)]
struct Given {
    profile: Option<LinkProperties>,
    delay: Option<Duration>,
    jitter: Option<Duration>,
    loss: Option<Probability>,
    burst: Option<f64>,
    reorder: Option<Probability>,
    reorder_by: Option<Duration>,
    duplicate: Option<Probability>,
    rate: Option<Option<BitRate>>,
    queue: Option<Duration>,
}

impl Given {
    fn take(&mut self, key: &str, value: &str) -> Result<(), ChangeError> {
        let unit = |source| ChangeError::Unit {
            key: key.to_owned(),
            source,
        };
        let duration = || parse_duration(value).map_err(unit);
        let share = || parse_percentage(value).map_err(unit);
        let duplicate = match key {
            "profile" => self.profile.replace(profiles::profile(value)?).is_some(),
            "delay" => self.delay.replace(duration()?).is_some(),
            "jitter" => self.jitter.replace(duration()?).is_some(),
            "loss" => self.loss.replace(share()?).is_some(),
            "burst" => self.burst.replace(parse_number(value).map_err(unit)?).is_some(),
            "reorder" => self.reorder.replace(share()?).is_some(),
            "reorder_by" => self.reorder_by.replace(duration()?).is_some(),
            "duplicate" => self.duplicate.replace(share()?).is_some(),
            "rate" => self.rate.replace(parse_rate(value).map_err(unit)?).is_some(),
            "queue" => self.queue.replace(duration()?).is_some(),
            _ => return Err(ChangeError::UnknownKey(key.to_owned())),
        };
        if duplicate {
            return Err(ChangeError::Duplicate(key.to_owned()));
        }
        Ok(())
    }

    fn checked(self) -> Result<PropertyChange, ChangeError> {
        let loss = match (self.loss, self.burst) {
            (None, None) => None,
            (None, Some(_)) => return Err(ChangeError::BurstWithoutLoss),
            (Some(mean), None) => Some(Loss::Uniform(mean)),
            (Some(mean), Some(burst)) => Some(Loss::Bursts(GilbertElliott::with_mean(mean, burst)?)),
        };
        let reorder = match (self.reorder, self.reorder_by) {
            (None, None) => None,
            (Some(share), Some(by)) => Some(Some(Reorder { share, by })),
            (Some(Probability::ZERO), None) => Some(None),
            (Some(_), None) | (None, Some(_)) => return Err(ChangeError::ReorderAlone),
        };
        let base = self
            .profile
            .map(|properties| PropertyChange::to_exactly(&properties));
        let base = base.unwrap_or_default();
        Ok(PropertyChange {
            delay: self.delay.or(base.delay),
            jitter: self.jitter.or(base.jitter),
            loss: loss.or(base.loss),
            reorder: reorder.or(base.reorder),
            duplicate: self.duplicate.or(base.duplicate),
            rate: self.rate.or(base.rate),
            queue: self.queue.or(base.queue),
        })
    }
}
