//! Runs a scenario: servers up, people in, faults on time, figures out.
//!
//! Composes [`crate::scenario`], [`crate::target`], [`crate::worker`] and [`crate::report`]; the only place that knows all
//! of them. `driver` does what the plan says when it says so, `collect` makes a report of what came back, `judge` holds
//! it against the scenario's limits.

mod browsers;
mod collect;
mod control;
mod controls;
mod driver;
mod facts;
mod judge;
mod placement;
mod ramp;
mod target;
mod versus;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;

pub use browsers::BrowserError;
pub use ramp::find_max;
pub use target::TargetChoice;
pub use versus::versus;

use crate::client::{ClientError, Identity};
use crate::floor::FloorError;
use crate::full::FullError;
use crate::report::data::{Report, Run, SCHEMA};
use crate::scenario::{Plan, Scenario, ScenarioError};
use crate::signalling::SignallingError;
use crate::target::TargetError;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum RunError {
    /// The scenario cannot be planned.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A server cannot be tested.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No certificate.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No floor beside two servers.
    #[error("the floor: {0}")]
    Floor(#[from] FloorError),
    /// No token.
    #[error(transparent)]
    Signalling(#[from] SignallingError),
    /// The system refused a thread or a descriptor.
    #[error("the system refused a worker: {0}")]
    Worker(std::io::Error),
    /// A worker ended before its time; what it printed says why.
    #[error("a worker ended before the run was over")]
    WorkerGone,
    /// Full clients were wanted and did not hold.
    #[error(transparent)]
    Full(#[from] FullError),
    /// Browsers were wanted and are not to be had.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The scenario wants faults, and the server is not ours.
    #[error(
        "this scenario kills, cuts or drains, which can only be done to a mesh of our own: leave --url away"
    )]
    NotOurs,
    /// Nobody was let in before the measurement began.
    #[error("nobody could join: {0}")]
    NobodyJoined(String),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scenario.
    pub scenario: Scenario,
    /// The servers, one after the other.
    pub targets: Vec<TargetChoice>,
    /// Threads that run clients.
    pub workers: usize,
    /// Of the packets that need not be opened, one in so many is.
    pub open_one_in: u32,
    /// Clients of the `webrtc` crate in the first room, at its first region, as a control.
    pub full: usize,
    /// Real browsers in the first room, at its first region, as a control.
    pub browsers: usize,
    /// The script that runs them.
    pub browser_script: PathBuf,
    /// Folder for logs and configurations of our own nodes; removed in the end.
    pub folder: PathBuf,
    /// Set from elsewhere to end the run; everything is cleaned up.
    pub stop: Arc<AtomicBool>,
}

/// How a run goes, once a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Which server.
    pub target: String,
    /// Since the start of the run.
    pub at: Duration,
    /// How long it will take.
    pub of: Duration,
    /// People in.
    pub participants: usize,
    /// Joins that failed so far.
    pub failed: u64,
    /// What has just happened, in words.
    pub news: Vec<String>,
}

/// Runs the scenario against every target. `tell` is called about once a second.
///
/// # Errors
/// [`RunError`]; processes, sockets and files of the run are gone then.
pub fn run(options: &Options, about: Run, tell: &mut dyn FnMut(&Progress)) -> Result<Report, RunError> {
    let plan = Plan::of(&options.scenario)?;
    let identity = Identity::generate()?;
    let mut report = Report {
        schema: SCHEMA,
        run: Run {
            scenario: options.scenario.name.clone(),
            description: options.scenario.description.clone(),
            seed: options.scenario.seed,
            measured_s: options.scenario.duration.as_secs_f64(),
            ..about
        },
        targets: Vec::new(),
        generator: Default::default(),
        thresholds: Vec::new(),
        comparison: Vec::new(),
    };
    for choice in &options.targets {
        if options.stop.load(Ordering::Relaxed) {
            return Err(RunError::Stopped);
        }
        let outcome = driver::run_target(options, &plan, choice, &identity, tell)?;
        if outcome.dropped_before_reading > 0 {
            report.run.warnings.push(format!(
                "{}: this machine was too slow for the emulated links, which lost {} packets by that",
                outcome.name, outcome.dropped_before_reading
            ));
        }
        let (target, generator) = collect::collect(&options.scenario, &plan, outcome);
        report.targets.push(target);
        report.generator = generator;
    }
    report.thresholds = judge::judge(&options.scenario.thresholds, &report);
    Ok(report)
}
