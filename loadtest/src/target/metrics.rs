//! Counters of a server in the text format of Prometheus, summed over their labels.

use std::collections::BTreeMap;

/// Names kept of one server; more are left out.
const MOST_NAMES: usize = 2_048;

/// Values by name, `_total` left off, labels summed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Sums.
    pub values: BTreeMap<String, f64>,
    /// Those with a label `shard`, by name and shard.
    pub by_shard: BTreeMap<(String, u16), f64>,
    /// Lines that could not be read.
    pub unread: u64,
}

impl Counters {
    /// Reads a whole page. Never fails: what does not fit is counted.
    #[must_use]
    pub fn parse(page: &str) -> Self {
        let mut counters = Self::default();
        for line in page.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, labels, value)) = read_line(line) else {
                counters.unread += 1;
                continue;
            };
            // How the format says that there is no value, such as the round trip of a link that is down.
            if !value.is_finite() {
                continue;
            }
            let name = name.strip_suffix("_total").unwrap_or(name);
            if let Some(shard) = shard_of(labels)
                && counters.by_shard.len() < MOST_NAMES
            {
                counters.by_shard.insert((name.to_owned(), shard), value);
            }
            if let Some(sum) = counters.values.get_mut(name) {
                *sum += value;
            } else if counters.values.len() < MOST_NAMES {
                counters.values.insert(name.to_owned(), value);
            } else {
                counters.unread += 1;
            }
        }
        counters
    }

    /// What has been counted since `earlier`; gauges come out as their change.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        let before = |name: &String| earlier.values.get(name).copied().unwrap_or(0.0);
        self.values
            .iter()
            .map(|(name, value)| (name.clone(), value - before(name)))
            .collect()
    }

    /// What has been counted under one name since `earlier`, shard by shard.
    #[must_use]
    pub fn of_shards_since(&self, earlier: &Self, name: &str) -> Vec<f64> {
        self.by_shard
            .iter()
            .filter(|((known, _), _)| known == name)
            .map(|(key, value)| value - earlier.by_shard.get(key).copied().unwrap_or(0.0))
            .collect()
    }
}

/// `name{labels} value [time]`.
fn read_line(line: &str) -> Option<(&str, &str, f64)> {
    let (name, labels, rest) = match line.split_once('{') {
        // A label's text may hold anything, also braces and blanks; the value stands behind the last brace.
        Some((name, rest)) => {
            let (labels, rest) = rest.rsplit_once('}')?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(char::is_whitespace)?;
            (name, "", rest)
        }
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some((name, labels, value))
}

/// The shard, where that is the only label.
fn shard_of(labels: &str) -> Option<u16> {
    labels.strip_prefix("shard=\"")?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_summed_and_garbage_is_counted() {
        let page = "# HELP x y\nx_total{shard=\"0\"} 3\nx_total{shard=\"a} {b\"} 4 1700000000\ny 1.5\nnonsense\n\
             y{peer=\"b\"} NaN\n";
        let counters = Counters::parse(page);
        assert_eq!(counters.values["x"], 7.0);
        assert_eq!(counters.values["y"], 1.5);
        assert_eq!(counters.unread, 1);
        let shards = Counters::parse("x_total{shard=\"0\"} 5\nx_total{shard=\"1\"} 7\n");
        assert_eq!(shards.of_shards_since(&counters, "x"), [2.0, 7.0]);
        let later = Counters::parse("x_total 10\nz 2\n");
        assert_eq!(
            later.since(&counters),
            BTreeMap::from([("x".to_owned(), 3.0), ("z".to_owned(), 2.0)])
        );
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(page in "\\PC{0,200}") {
            let _ = Counters::parse(&page);
        }
    }
}
