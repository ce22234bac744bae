//! Typed reading of raw values: every error is kept, every effective value is remembered for `check-config`.

use super::layers::{Layers, Origin};
use super::units::{self, UnitError};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use toml::Value;

/// Everything that is wrong with a configuration, one sentence each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    pub(super) fn add(&mut self, error: String) {
        self.0.push(error);
    }

    /// The sentences.
    #[must_use]
    pub fn sentences(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        for error in &self.0 {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Takes values out of [`Layers`] by key.
pub(super) struct Reader {
    values: BTreeMap<String, (Value, Origin)>,
    errors: ConfigErrors,
    effective: BTreeMap<String, Value>,
}

impl Reader {
    pub(super) fn new(layers: Layers) -> Self {
        Self {
            values: layers.values,
            errors: layers.errors,
            effective: BTreeMap::new(),
        }
    }

    /// Ends the reading: the effective values, or everything that was wrong.
    pub(super) fn finish(self) -> Result<BTreeMap<String, Value>, ConfigErrors> {
        if self.errors.0.is_empty() {
            Ok(self.effective)
        } else {
            Err(self.errors)
        }
    }

    /// Notes that a key cannot stand as it is, or is missing.
    pub(super) fn refuse(&mut self, path: &str, why: impl fmt::Display) {
        match self.values.get(path) {
            Some((_, origin)) => self.errors.add(format!("{path}: {why} ({origin})")),
            None => self.errors.add(format!("{path}: {why}")),
        }
    }

    /// Whether the operator stated the key.
    pub(super) fn has(&self, path: &str) -> bool {
        self.values.contains_key(path)
    }

    fn raw(&self, path: &str) -> Option<Value> {
        self.values.get(path).map(|(value, _)| value.clone())
    }

    fn remember(&mut self, path: &str, value: Value) {
        self.effective.insert(path.to_owned(), value);
    }

    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        let value = self.raw(path)?;
        let text = value.as_str().map(str::to_owned);
        self.remember(path, value);
        text
    }

    pub(super) fn text_or(&mut self, path: &str, default: &str) -> String {
        let text = self.text(path).unwrap_or_else(|| default.to_owned());
        self.remember(path, Value::String(text.clone()));
        text
    }

    /// Parses a string; refuses the key where it does not parse.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, path: &str) -> Option<T> {
        let text = self.text(path)?;
        text.parse()
            .map_err(|error| self.refuse(path, format!("\"{text}\": {error}")))
            .ok()
    }

    pub(super) fn parsed_list<T: FromStr<Err: fmt::Display>>(&mut self, path: &str) -> Vec<T> {
        let mut parsed = Vec::new();
        for text in self.list(path) {
            match text.parse() {
                Ok(value) => parsed.push(value),
                Err(error) => self.refuse(path, format!("\"{text}\": {error}")),
            }
        }
        parsed
    }

    pub(super) fn list(&mut self, path: &str) -> Vec<String> {
        let value = self.raw(path).unwrap_or_else(|| Value::Array(Vec::new()));
        let strings = |items: &Vec<Value>| {
            items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let list = value.as_array().map(strings).unwrap_or_default();
        self.remember(path, value);
        list
    }

    pub(super) fn map(&mut self, path: &str) -> BTreeMap<String, String> {
        let Some(value) = self.raw(path) else {
            return BTreeMap::new();
        };
        let pairs = value.as_table().into_iter().flatten();
        let map = pairs
            .filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())))
            .collect();
        self.remember(path, value);
        map
    }

    pub(super) fn number(&mut self, path: &str) -> Option<f64> {
        let value = self.raw(path)?;
        let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        self.remember(path, value);
        number
    }

    pub(super) fn number_or(&mut self, path: &str, default: f64) -> f64 {
        let value = self.raw(path);
        let number =
            value.and_then(|value| value.as_float().or_else(|| value.as_integer().map(|n| n as f64)));
        let number = number.unwrap_or(default);
        self.remember(path, Value::Float(number));
        number
    }

    pub(super) fn count_or(&mut self, path: &str, default: u64) -> u64 {
        let count = self
            .raw(path)
            .and_then(|value| value.as_integer())
            .and_then(|n| u64::try_from(n).ok());
        let count = count.unwrap_or(default);
        self.remember(path, Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
        count
    }

    pub(super) fn switch_or(&mut self, path: &str, default: bool) -> bool {
        let switch = self
            .raw(path)
            .and_then(|value| value.as_bool())
            .unwrap_or(default);
        self.remember(path, Value::Boolean(switch));
        switch
    }

    pub(super) fn duration_or(&mut self, path: &str, default: Duration) -> Duration {
        self.quantity(path, default, units::duration, |d| units::show_duration(*d))
    }

    pub(super) fn size_or(&mut self, path: &str, default: u64) -> u64 {
        self.quantity(path, default, units::size, |bytes| units::show_size(*bytes))
    }

    pub(super) fn rate_or(&mut self, path: &str, default: u64) -> u64 {
        self.quantity(path, default, units::rate, |bps| units::show_rate(*bps))
    }

    fn quantity<T>(
        &mut self,
        path: &str,
        default: T,
        read: impl FnOnce(&str) -> Result<T, UnitError>,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let value = match self
            .text(path)
            .map(|text| read(&text).map_err(|error| (text, error)))
        {
            None => default,
            Some(Ok(value)) => value,
            Some(Err((text, error))) => {
                self.refuse(path, format!("\"{text}\": {error}"));
                default
            }
        };
        self.remember(path, Value::String(show(&value)));
        value
    }
}
