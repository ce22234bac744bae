//! The one place for figures: `target/bench/report.json`, into which every benchmark merges what it has measured.
//!
//! A metric that was not measured is absent, never zero; one that is measured again replaces its former self.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Where the report is, relative to the workspace.
pub const REPORT_PATH: &str = "target/bench/report.json";

/// One figure beside its floor.
#[derive(Debug, Clone, Serialize)]
pub struct Metric {
    /// The median over the rounds.
    pub value: f64,
    /// Unit of value, floor and spread.
    pub unit: &'static str,
    /// What this machine and path allow at best, measured in the same run.
    pub floor: Option<f64>,
    /// Median of the ratios of value and floor of each round.
    pub ratio: Option<f64>,
    /// How often it was measured.
    pub rounds: usize,
    /// Largest minus smallest value.
    pub spread: f64,
}

impl Metric {
    /// A metric from `(value, floor)` of each round; `None` without rounds.
    #[must_use]
    pub fn of_rounds(unit: &'static str, rounds: &[(f64, f64)]) -> Option<Self> {
        let values: Vec<f64> = rounds.iter().map(|(value, _)| *value).collect();
        let floors: Vec<f64> = rounds.iter().map(|(_, floor)| *floor).collect();
        let ratios: Vec<f64> = rounds
            .iter()
            .filter(|(_, floor)| *floor > 0.0)
            .map(|(value, floor)| value / floor)
            .collect();
        let largest = values.iter().copied().fold(f64::MIN, f64::max);
        let smallest = values.iter().copied().fold(f64::MAX, f64::min);
        Some(Self {
            value: median(&values)?,
            unit,
            floor: median(&floors),
            ratio: median(&ratios),
            rounds: rounds.len(),
            spread: largest - smallest,
        })
    }
}

impl Metric {
    /// A metric that has no floor; `None` without rounds.
    #[must_use]
    pub fn without_floor(unit: &'static str, values: &[f64]) -> Option<Self> {
        let rounds: Vec<(f64, f64)> = values.iter().map(|value| (*value, 0.0)).collect();
        Some(Self {
            floor: None,
            ratio: None,
            ..Self::of_rounds(unit, &rounds)?
        })
    }
}

/// The middle value; `None` for nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Merges `metrics` into the report at `path` and returns that path. A report that cannot be read is begun anew.
///
/// # Errors
/// Whatever the file system says about writing.
pub fn merge(path: &Path, metrics: &[(&str, Metric)]) -> io::Result<PathBuf> {
    let mut report = read(path);
    for (name, metric) in metrics {
        report.insert((*name).to_owned(), serde_json::to_value(metric)?);
    }
    let whole = json!({ "metrics": report, "machine": machine(), "commit": commit() });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension("json.new");
    fs::write(&draft, serde_json::to_string_pretty(&whole)? + "\n")?;
    fs::rename(&draft, path)?;
    Ok(path.to_owned())
}

fn read(path: &Path) -> Map<String, Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(mut report)) => match report.remove("metrics") {
            Some(Value::Object(metrics)) => metrics,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

/// Cores and processor of this machine.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?
                .split_once(':')
                .map(|(_, name)| name.trim())
        })
        .unwrap_or(std::env::consts::ARCH);
    format!("{cores} x {model}")
}

/// Short id of the commit the working folder is at; `None` outside of a repository.
#[must_use]
pub fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_several_benchmarks_stand_side_by_side() {
        let folder = std::env::temp_dir().join(format!("causeway-report-{}", std::process::id()));
        let path = folder.join("report.json");
        let metric = |value| Metric::of_rounds("ns", &[(value, 100.0), (value, 100.0)]).unwrap();
        merge(&path, &[("one", metric(150.0)), ("two", metric(1.0))]).unwrap();
        merge(&path, &[("two", metric(200.0))]).unwrap();
        let report: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(report["metrics"]["one"]["ratio"], 1.5);
        assert_eq!(report["metrics"]["two"]["value"], 200.0);
        assert_eq!(report["metrics"]["two"]["rounds"], 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_median_of_nothing_is_nothing() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }
}
