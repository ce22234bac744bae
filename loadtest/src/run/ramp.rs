//! More and more people until a limit breaks: how many a server holds.

use super::{Options, Progress, RunError, run};
use crate::report::data::{Report, Run, Step};

/// Growth from step to step.
const GROWTH: f64 = 1.4;
/// Steps of one ramp.
const MOST_STEPS: usize = 16;
/// A generator that is busier than this, or whose own delay is longer, measures itself and not the server.
const BUSIEST_GENERATOR: f64 = 0.85;
const LONGEST_OWN_DELAY_MS: f64 = 10.0;

/// Runs the scenario with ever more people until one of its limits does not hold, and returns the report of the last run
/// that kept them all (or of the first, if none did), with all steps.
///
/// # Errors
/// As [`run`]; [`RunError::Scenario`] when more people than possible would be needed.
pub fn find_max(
    options: &Options,
    about: &Run,
    tell: &mut dyn FnMut(&Progress),
    step_done: &mut dyn FnMut(&Step),
) -> Result<Report, RunError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut best: Option<Report> = None;
    let mut factor = 1.0;
    for _ in 0..MOST_STEPS {
        let mut options = options.clone();
        options.scenario.set("scale", &format!("{factor}"))?;
        let report = run(&options, about.clone(), tell)?;
        let step = step_of(&report);
        step_done(&step);
        let stopped = step.stopped_because.is_some();
        steps.push(step);
        if stopped {
            best.get_or_insert(report);
            break;
        }
        best = Some(report);
        factor *= GROWTH;
    }
    let mut report = best.ok_or(RunError::Stopped)?;
    if let Some(target) = report.targets.first_mut() {
        target.capacity = steps;
    }
    Ok(report)
}

fn step_of(report: &Report) -> Step {
    let generator = &report.generator;
    let target = report.targets.first();
    let p99_ms = target
        .into_iter()
        .flat_map(|target| &target.media)
        .filter(|media| media.client == "light")
        .filter_map(|media| Some(media.delay.as_ref()?.p99_ms - media.nominal_delay_ms.unwrap_or(0.0)))
        .fold(0.0, f64::max);
    let expected: u64 = generator.packets.iter().map(|packets| packets.expected).sum();
    let lost: f64 = generator
        .packets
        .iter()
        .map(|packets| packets.loss_after_repair * packets.expected as f64)
        .sum();
    let own_delay_ms = generator.own_delay.as_ref().map_or(0.0, |delay| delay.p99_ms);
    let broken: Vec<&str> = report
        .thresholds
        .iter()
        .filter(|threshold| !threshold.passed)
        .map(|threshold| threshold.name.as_str())
        .collect();
    let stopped_because = if !broken.is_empty() {
        Some(format!("limits broke: {}", broken.join(", ")))
    } else if generator.cpu_share / generator.workers.max(1) as f64 > BUSIEST_GENERATOR {
        Some("the generator is at its own limit: give it more --workers or another machine".to_owned())
    } else if own_delay_ms > LONGEST_OWN_DELAY_MS {
        Some("the generator measures itself: its own delay is too long".to_owned())
    } else {
        None
    };
    Step {
        participants: target.map_or(0, |target| target.joins.succeeded),
        packets_per_s: generator.packets_per_s,
        cpu_share: target
            .into_iter()
            .flat_map(|target| &target.nodes)
            .filter_map(|node| node.cpu_share)
            .sum(),
        p99_ms,
        loss: lost / expected.max(1) as f64,
        stopped_because,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::data::{Generator, SCHEMA, Threshold};

    fn report(passed: bool, cpu_share: f64) -> Report {
        Report {
            schema: SCHEMA,
            run: Run::default(),
            targets: Vec::new(),
            generator: Generator {
                workers: 1,
                cpu_share,
                ..Generator::default()
            },
            thresholds: vec![Threshold {
                name: "joined".to_owned(),
                passed,
                ..Threshold::default()
            }],
            comparison: Vec::new(),
        }
    }

    #[test]
    fn a_ramp_ends_at_a_broken_limit_or_at_the_generators_own() {
        assert_eq!(step_of(&report(true, 0.3)).stopped_because, None);
        let broken = step_of(&report(false, 0.3)).stopped_because.unwrap();
        assert!(broken.contains("joined"), "{broken}");
        let busy = step_of(&report(true, 0.95)).stopped_because.unwrap();
        assert!(busy.contains("generator"), "{busy}");
    }
}
