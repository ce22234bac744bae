//! Figures that whole scenarios give, each beside its floor, for the one place of figures.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thiserror::Error;

use super::arrivals::departures;
use super::report::Metric;
use crate::floor::echo::echo;
use crate::floor::forward::{forward, forward_arrivals};
use crate::floor::{FloorError, Load, Passed};
use crate::report::Distribution;
use crate::report::data::{Media, Report, Run, Target};
use crate::run::{Options, Progress, RunError, TargetChoice, run};
use crate::scenario::{Plan, Scenario, ScenarioError, named};
use crate::target::Ground;

/// Length of a floor's measurement.
const FLOOR_TIME: Duration = Duration::from_secs(3);
/// The same where senders have beats of their own: some turns of talk, and two loops of their traces.
const ARRIVALS_TIME: Duration = Duration::from_secs(8);

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum BenchError {
    /// No such metric.
    #[error("there is no metric {0:?}; there are {known}", known = names().collect::<Vec<_>>().join(", "))]
    Unknown(String),
    /// The scenario is not there.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// It could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its floor could not be measured.
    #[error("the floor: {0}")]
    Floor(#[from] FloorError),
}

/// One figure of one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its name in the report.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What was measured.
    pub value: f64,
    /// What this machine and path allow, where that can be measured.
    pub floor: Option<f64>,
}

/// Which scenario gives which figures. Those of a longer run come last.
const TABLE: [(&str, &[&str]); 8] = [
    (
        "instrument",
        &[
            "instrument_cpu",
            "instrument_delay_error_p99",
            "forward_latency_p50",
            "forward_latency_p99",
            "forward_latency_p50_paced",
            "forward_latency_p99_paced",
        ],
    ),
    ("s5", &["join_first_frame"]),
    ("s4", &["viewer_memory"]),
    ("s3", &["forward_cpu_30x30"]),
    ("s11", &["shard_speedup"]),
    ("s2", &["path_delay", "relay_bytes"]),
    ("s6", &["kill_audio_gap_p50"]),
    ("s6-cut", &["cut_audio_gap_p95"]),
];

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.into_iter().flat_map(|(_, names)| names.iter().copied())
}

/// What to measure, and with what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program `causeway`.
    pub program: PathBuf,
    /// Folder for what nodes write.
    pub folder: PathBuf,
    /// Rounds of each.
    pub rounds: usize,
    /// Set from elsewhere to end it.
    pub stop: Arc<AtomicBool>,
}

/// Measures the named metrics (all for none). `tell` gets a line for everything done.
///
/// # Errors
/// [`BenchError`]; what was measured before is lost.
pub fn measure(
    wanted: &[String],
    settings: &Settings,
    tell: &mut dyn FnMut(String),
) -> Result<Vec<(&'static str, Metric)>, BenchError> {
    if let Some(unknown) = wanted.iter().find(|name| !names().any(|known| known == *name)) {
        return Err(BenchError::Unknown(unknown.clone()));
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let mut metrics = Vec::new();
    for (scenario, gives) in TABLE {
        if !gives.iter().any(|name| is_wanted(name)) {
            continue;
        }
        let mut rounds: Vec<Vec<Figure>> = Vec::new();
        for round in 0..settings.rounds.max(1) {
            tell(format!("{scenario}, round {}", round + 1));
            let report = run_once(plan_of(scenario)?, 1, settings)?;
            let mut figures = figures_of(scenario, &report)?;
            match scenario {
                "s4" => {
                    let fewer = run_once(with_fewer(plan_of(scenario)?), 1, settings)?;
                    figures.extend(viewer_memory(&report, &fewer));
                }
                "s11" => figures.extend(speedup(&report, &run_once(plan_of(scenario)?, 2, settings)?)),
                _ => {}
            }
            for figure in &figures {
                let floor = figure
                    .floor
                    .map_or_else(String::new, |floor| format!(", floor {floor:.3}"));
                tell(format!(
                    "  {} {:.3} {}{floor}",
                    figure.name, figure.value, figure.unit
                ));
            }
            rounds.push(figures);
        }
        for name in gives.iter().copied().filter(|name| is_wanted(name)) {
            metrics.extend(metric_of(name, &rounds).map(|metric| (name, metric)));
        }
    }
    Ok(metrics)
}

fn metric_of(name: &str, rounds: &[Vec<Figure>]) -> Option<Metric> {
    let of_name: Vec<&Figure> = rounds
        .iter()
        .flatten()
        .filter(|figure| figure.name == name)
        .collect();
    let unit = of_name.first()?.unit;
    let pairs: Option<Vec<(f64, f64)>> = of_name
        .iter()
        .map(|figure| Some((figure.value, figure.floor?)))
        .collect();
    match pairs {
        Some(pairs) => Metric::of_rounds(unit, &pairs),
        None => Metric::without_floor(
            unit,
            &of_name.iter().map(|figure| figure.value).collect::<Vec<_>>(),
        ),
    }
}

fn plan_of(scenario: &str) -> Result<Scenario, BenchError> {
    Ok(named(scenario)?.scenario()?)
}

/// The same with a tenth of everybody.
fn with_fewer(mut scenario: Scenario) -> Scenario {
    for group in &mut scenario.groups {
        group.count = group.count.div_ceil(10);
    }
    scenario
}

fn run_once(scenario: Scenario, shards: u16, settings: &Settings) -> Result<Report, BenchError> {
    let options = Options {
        scenario,
        targets: vec![TargetChoice::Mesh {
            program_then: None,
            program: settings.program.clone(),
            shards: Some(shards),
            settings: Vec::new(),
            ground: Ground::Loopback,
        }],
        workers: 1,
        open_one_in: 64,
        full: 0,
        browsers: 0,
        browser_script: PathBuf::new(),
        folder: settings.folder.clone(),
        stop: Arc::clone(&settings.stop),
    };
    Ok(run(&options, Run::default(), &mut |_: &Progress| ())?)
}

fn figures_of(scenario: &str, report: &Report) -> Result<Vec<Figure>, BenchError> {
    let Some(target) = report.targets.first() else {
        return Ok(Vec::new());
    };
    Ok(match scenario {
        "instrument" => instrument(report, target)?,
        "s5" => figure(
            "join_first_frame",
            "ms",
            target.joins.first_frame.as_ref().map(|time| time.p50_ms),
        ),
        "s3" => full_star(target)?,
        "s2" => two_and_two(target),
        "s6" => figure("kill_audio_gap_p50", "ms", moved_gap_ms(target)),
        "s6-cut" => figure(
            "cut_audio_gap_p95",
            "ms",
            target
                .faults
                .first()
                .and_then(|fault| fault.audio_gap.as_ref())
                .map(|gap| gap.p95_ms),
        ),
        _ => Vec::new(),
    })
}

fn figure(name: &'static str, unit: &'static str, value: Option<f64>) -> Vec<Figure> {
    let of = |value| Figure {
        name,
        unit,
        value,
        floor: None,
    };
    value.map(of).into_iter().collect()
}

/// The generator's own cost and error, and the latency of a hop, at about thirty thousand packets a second.
fn instrument(report: &Report, target: &Target) -> Result<Vec<Figure>, BenchError> {
    let generator = &report.generator;
    let mut figures = figure("instrument_cpu", "% of a core", Some(generator.cpu_share * 100.0));
    if let Some(own) = &generator.own_delay {
        let bare = echo(&Load {
            burst: 1,
            packets_per_second: 20,
            duration: FLOOR_TIME,
            ..Load::default()
        })?;
        figures.push(Figure {
            name: "instrument_delay_error_p99",
            unit: "ms",
            value: own.p99_ms,
            // There and back.
            floor: bare.one_way.kernel.map(|bare| 2.0 * bare.p99_ms),
        });
    }
    figures.extend(latencies(report, target)?);
    Ok(figures)
}

/// The delay of camera frames, beside that of a bare forwarder which is offered what the senders of the scenario send, at
/// their times, and beside one which is offered as many packets evenly paced.
fn latencies(report: &Report, target: &Target) -> Result<Vec<Figure>, BenchError> {
    let scenario = named(&report.run.scenario)?.scenario()?;
    let viewers = scenario.participants().saturating_sub(1).clamp(1, 900);
    let began = report.generator.began_s.iter();
    let departures = departures(
        &Plan::of(&scenario)?,
        &began
            .map(|(id, at_s)| (*id, Duration::from_secs_f64(*at_s)))
            .collect(),
        scenario.warm_up,
        ARRIVALS_TIME,
    );
    let alike = forward_arrivals(&departures, viewers)?;
    let paced = forward(
        &Load {
            burst: 2,
            packets_per_second: (report.generator.packets_per_s / viewers as f64).max(2.0) as u32,
            duration: FLOOR_TIME,
            ..Load::default()
        },
        viewers,
        true,
    )?;
    let media = target
        .media
        .iter()
        .find(|media| media.kind == "camera")
        .and_then(|media| media.delay.as_ref());
    let latency = |name, bare: &Passed, pick: fn(&Distribution) -> f64| {
        Some(Figure {
            name,
            unit: "ms",
            value: pick(media?),
            floor: bare.delay.as_ref().map(pick),
        })
    };
    Ok([
        latency("forward_latency_p50", &alike, |delay| delay.p50_ms),
        latency("forward_latency_p99", &alike, |delay| delay.p99_ms),
        latency("forward_latency_p50_paced", &paced, |delay| delay.p50_ms),
        latency("forward_latency_p99_paced", &paced, |delay| delay.p99_ms),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// What each further viewer takes: two meetings that differ in nothing but how many watch. (A node that has just started
/// holds more than it needs and gives it back meanwhile, so it says nothing of what people take.)
fn viewer_memory(many: &Report, few: &Report) -> Option<Figure> {
    let node = |report: &Report| {
        let node = report.targets.first()?.nodes.first()?;
        Some((node.rss_bytes? as f64, node.participants as f64))
    };
    let ((of_many, many), (of_few, few)) = (node(many)?, node(few)?);
    (many > few).then(|| Figure {
        name: "viewer_memory",
        unit: "KiB",
        value: (of_many - of_few) / (many - few) / 1_024.0,
        floor: None,
    })
}

/// How much more two media threads carry than one: the processor time one thread took per packet, over what the busier of
/// two took in the same meeting. Its ceiling is 2; by processor time, because the generator needs the same cores.
fn speedup(one: &Report, two: &Report) -> Option<Figure> {
    let busiest_per_packet = |report: &Report| {
        let node = report.targets.first()?.nodes.first()?;
        let busiest = node.shard_cpu_us.iter().copied().fold(0.0, f64::max);
        (busiest > 0.0 && node.packets_out > 0).then(|| busiest / node.packets_out as f64)
    };
    Some(Figure {
        name: "shard_speedup",
        unit: "times one",
        value: busiest_per_packet(one)? / busiest_per_packet(two)?,
        floor: Some(2.0),
    })
}

/// Thirty who send and see each other, beside a bare forwarder of as many packets in bursts as long.
fn full_star(target: &Target) -> Result<Vec<Figure>, BenchError> {
    let Some((node, value)) = target
        .nodes
        .first()
        .and_then(|node| Some((node, node.cpu_ns_per_forwarded_packet?)))
    else {
        return Ok(Vec::new());
    };
    let counted = |name: &str| {
        node.counters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| *value)
    };
    let batches = counted("causeway_shard_batches_out").unwrap_or(0.0).max(1.0);
    let burst = (node.packets_out as f64 / batches).round().max(1.0) as u32;
    let viewers = usize::try_from(node.participants.saturating_sub(1))
        .unwrap_or(1)
        .clamp(1, 900);
    let seconds = target.timeline.len().max(1) as f64;
    let bytes = counted("causeway_shard_bytes_out").unwrap_or(0.0) / (node.packets_out as f64).max(1.0);
    let bare = forward(
        &Load {
            burst,
            payload_bytes: (bytes as usize).clamp(100, 1_200),
            packets_per_second: (node.packets_out as f64 / seconds / viewers as f64).max(2.0) as u32,
            duration: FLOOR_TIME,
        },
        viewers,
        true,
    )?;
    Ok(vec![Figure {
        name: "forward_cpu_30x30",
        unit: "ns",
        value,
        floor: Some(bare.cpu_ns_per_packet()),
    }])
}

/// What crosses an ocean, beside the least that could, and how late it is beside the cable alone.
fn two_and_two(target: &Target) -> Vec<Figure> {
    let across = |media: &&Media| media.from != media.to;
    let delays: Vec<(f64, f64)> = target
        .media
        .iter()
        .filter(across)
        .filter_map(|media| Some((media.delay.as_ref()?.mean_ms, media.nominal_delay_ms?)))
        .collect();
    let mean =
        |pick: fn(&(f64, f64)) -> f64| delays.iter().map(pick).sum::<f64>() / delays.len().max(1) as f64;
    let mut figures = Vec::new();
    if !delays.is_empty() {
        figures.push(Figure {
            name: "path_delay",
            unit: "ms",
            value: mean(|delay| delay.0),
            floor: Some(mean(|delay| delay.1)),
        });
    }
    let crossed: f64 = target.links.iter().map(|link| link.bytes as f64).sum();
    if let Some(relay) = &target.relay {
        figures.push(Figure {
            name: "relay_bytes",
            unit: "bytes",
            value: crossed,
            floor: Some(relay.ideal_bytes as f64),
        });
    }
    figures
}

/// The median audio gap of those who had to move.
fn moved_gap_ms(target: &Target) -> Option<f64> {
    let gaps = target.faults.first()?.gaps.iter().filter(|gap| gap.rejoined);
    Some(Distribution::of_ms(gaps.map(|gap| gap.audio_gap_ms))?.p50_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_table_is_there_and_an_unknown_metric_is_named() {
        for (scenario, _) in TABLE {
            named(scenario).unwrap().scenario().unwrap();
        }
        let settings = Settings {
            program: PathBuf::new(),
            folder: PathBuf::new(),
            rounds: 1,
            stop: Arc::default(),
        };
        let error = measure(&["speed".to_owned()], &settings, &mut |_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"speed\"") && error.contains("join_first_frame"),
            "{error}"
        );
    }

    #[test]
    fn a_metric_without_a_floor_has_no_ratio() {
        let round = |value, floor| {
            vec![Figure {
                name: "x",
                unit: "ms",
                value,
                floor,
            }]
        };
        let bare = metric_of("x", &[round(2.0, None), round(4.0, None)]).unwrap();
        assert_eq!((bare.value, bare.ratio, bare.rounds), (3.0, None, 2));
        let beside = metric_of("x", &[round(2.0, Some(1.0)), round(4.0, Some(2.0))]).unwrap();
        assert_eq!((beside.value, beside.ratio), (3.0, Some(2.0)));
    }
}
