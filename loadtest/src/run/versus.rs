//! Two servers in the same run: rounds of A, B, B, A with the machine's floor around each, and ratios instead of figures.

use std::collections::BTreeMap;

use super::{Options, Progress, RunError, run};
use crate::floor::forward::forward;
use crate::floor::rounds::{Contender, Rounds, Summary};
use crate::floor::{FloorError, Load};
use crate::report::compare::figures;
use crate::report::data::{Comparison, Report, Run};

/// Repetitions of rounds in which the floor moved, all together.
const MOST_REJECTED: usize = 2;
/// Viewers of the floor.
const FLOOR_VIEWERS: usize = 50;

/// Figures of one server's run, by name.
type Figures = BTreeMap<String, f64>;

/// Runs the scenario against both targets of `options` in `rounds` rounds and returns one report with both, and the ratios
/// of their figures.
///
/// # Errors
/// As [`run`]; [`RunError::Floor`] when the machine is too busy for a floor.
pub fn versus(
    options: &Options,
    about: &Run,
    rounds: usize,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Report, RunError> {
    let plan = Rounds {
        servers: options.targets.len(),
        wanted: rounds,
        most_rejected: MOST_REJECTED,
        ..Rounds::default()
    };
    let mut first: Vec<Option<Report>> = vec![None; options.targets.len()];
    // Two runs of every server in each round that counts.
    let mut all: Vec<Vec<Figures>> = vec![Vec::new(); options.targets.len()];
    let (mut counted, mut rejected) = (0, 0);
    while counted < rounds && rejected <= plan.most_rejected {
        let mut floors = Vec::new();
        let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); options.targets.len()];
        for contender in plan.order(counted) {
            match contender {
                Contender::Floor => floors.push(floor()?),
                Contender::Server(at) => {
                    let one = Options {
                        targets: vec![options.targets[at].clone()],
                        ..options.clone()
                    };
                    let report = run(&one, about.clone(), tell)?;
                    runs[at].push(figures(&report).into_iter().collect());
                    first[at].get_or_insert(report);
                }
            }
        }
        if plan.floor_of(&floors).is_some() {
            counted += 1;
            all.iter_mut().zip(runs).for_each(|(all, runs)| all.extend(runs));
        } else {
            rejected += 1;
        }
    }
    let mut reports = first.into_iter().flatten();
    let mut report = reports.next().ok_or(RunError::Stopped)?;
    for other in reports {
        report.targets.extend(other.targets);
        report.thresholds.extend(other.thresholds);
    }
    report.comparison = match &all[..] {
        [a, b] => compare_rounds(a, b),
        _ => Vec::new(),
    };
    if rejected > 0 {
        let text = format!(
            "the floor of the machine moved by more than 10 % in {rejected} rounds, which do not count"
        );
        report.run.warnings.push(text);
    }
    Ok(report)
}

/// CPU of a bare forwarder per packet, now.
fn floor() -> Result<f64, FloorError> {
    Ok(forward(&Load::default(), FLOOR_VIEWERS, true)?.cpu_ns_per_packet())
}

/// The ratio of every figure both have, run by run.
fn compare_rounds(a: &[Figures], b: &[Figures]) -> Vec<Comparison> {
    let Some(names) = a.first().map(|first| first.keys()) else {
        return Vec::new();
    };
    names
        .filter_map(|name| {
            let pairs: Vec<(f64, f64)> = a
                .iter()
                .zip(b)
                .filter_map(|(a, b)| Some((*a.get(name)?, *b.get(name)?)))
                .collect();
            let ratios: Vec<f64> = pairs
                .iter()
                .filter(|(a, _)| *a > 0.0)
                .map(|(a, b)| b / a)
                .collect();
            let ratio = Summary::of(&ratios)?;
            let middle =
                |pick: fn(&(f64, f64)) -> f64| Summary::of(&pairs.iter().map(pick).collect::<Vec<_>>());
            Some(Comparison {
                figure: name.clone(),
                a: middle(|pair| pair.0)?.median,
                b: middle(|pair| pair.1)?.median,
                ratio: ratio.median,
                least: ratio.least,
                most: ratio.most,
                runs: ratios.len() as u64,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_run_by_run() {
        let of = |values: &[(&str, f64)]| {
            values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect()
        };
        let a: Vec<Figures> = vec![
            of(&[("delay", 10.0), ("only a", 1.0)]),
            of(&[("delay", 20.0), ("none", 0.0)]),
        ];
        let b: Vec<Figures> = vec![of(&[("delay", 30.0)]), of(&[("delay", 40.0), ("none", 1.0)])];
        let [delay] = &compare_rounds(&a, &b)[..] else {
            panic!("only what both have");
        };
        assert_eq!(
            (delay.ratio, delay.least, delay.most, delay.runs),
            (2.5, 2.0, 3.0, 2)
        );
        assert_eq!((delay.a, delay.b), (15.0, 35.0));
    }
}
