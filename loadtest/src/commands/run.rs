//! `loadtest run`: a scenario against our own mesh or a server that is there already.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use clap::Args;
use loadtest::bench::report::{commit, machine};
use loadtest::report::data::{Report, Run, Step};
use loadtest::report::{html, markdown};
use loadtest::run::{self, Options, Progress, RunError, TargetChoice};
use loadtest::scenario::{Scenario, named};
use loadtest::signalling::Trust;
use loadtest::signalling::token::ApiKey;
use loadtest::target::{Attached, Ground};

use super::compare::write;
use super::run_summary::summarise;
use super::{CommandError, signals};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A built-in scenario (see `loadtest scenario list`) or a TOML file.
    scenario: String,
    /// Changes a value of the scenario: duration=30s, warm_up=5s, seed=7, rooms=2, scale=0.5.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The program `causeway`; a mesh with one node per region is started from it.
    #[arg(long, default_value = "target/release/causeway", conflicts_with = "url")]
    causeway: PathBuf,
    /// The program nodes are started again from, where it is another one: `s7` changes a whole mesh to it, node by node.
    #[arg(long, conflicts_with = "url")]
    causeway_then: Option<PathBuf>,
    /// Media threads of each node.
    #[arg(long, conflicts_with = "url")]
    shards: Option<u16>,
    /// Changes a key of each node's configuration: media.estimate_paths=false.
    #[arg(long = "node", value_name = "KEY=VALUE", conflicts_with = "url")]
    settings: Vec<String>,
    /// Runs each node, and the clients of its region, in a network namespace: all that crosses regions crosses the emulated
    /// links. Needs root and at least two regions.
    #[arg(long, conflicts_with_all = ["url", "browser"])]
    namespaces: bool,
    /// A server that is there already; everybody connects to it.
    #[arg(long, requires = "api_key", requires = "api_secret")]
    url: Option<String>,
    /// Its API key.
    #[arg(long, requires = "url")]
    api_key: Option<String>,
    /// Its API secret.
    #[arg(long, requires = "url", env = "LOADTEST_API_SECRET", hide_env_values = true)]
    api_secret: Option<String>,
    /// A PEM file with the authorities to believe when a server speaks TLS; otherwise those of this system.
    #[arg(long, requires = "url", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A second server (`--url`, `--api-key` and `--api-secret` of it, with commas between): both are measured in turns,
    /// A B B A, and their figures put beside each other.
    #[arg(long, value_name = "URL,KEY,SECRET")]
    against: Option<String>,
    /// Rounds of A B B A with --against.
    #[arg(long, default_value_t = 2, requires = "against", value_parser = clap::value_parser!(u64).range(1..=50))]
    rounds: u64,
    /// Threads that run clients.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    workers: u64,
    /// Of the packets inside of frames, one in so many is opened and authenticated; frames' ends and all audio always are.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    open_one_in: u32,
    /// Repeats the scenario with ever more people until a limit of it breaks, and prints the capacity.
    #[arg(long)]
    find_max: bool,
    /// Clients of the webrtc crate in the first room, as a control of the light clients' figures.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=16))]
    full: u64,
    /// Real Chromium browsers in the first room, as a control of the light clients' figures.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=16))]
    browser: u64,
    /// The script that runs them.
    #[arg(long, default_value = "loadtest/browser/control.mjs")]
    browser_script: PathBuf,
    /// Folder for report.json, report.html and report.md; nodes keep their files in a folder below it while they run.
    #[arg(long, default_value = "target/loadtest")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let scenario = scenario_of(&arguments.scenario, &arguments.set)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    signals::on_end(move || flag.store(true, Ordering::Relaxed))?;
    let mut targets = vec![target_of(arguments)?];
    targets.extend(second_of(arguments)?);
    let options = Options {
        scenario,
        targets,
        workers: arguments.workers as usize,
        open_one_in: arguments.open_one_in,
        full: arguments.full as usize,
        browsers: arguments.browser as usize,
        browser_script: arguments.browser_script.clone(),
        folder: arguments.out.join(format!("nodes-{}", std::process::id())),
        stop,
    };
    let terminal = io::stdout().is_terminal();
    let mut tell = |progress: &Progress| show(progress, terminal);
    let report = if arguments.find_max {
        run::find_max(&options, &about(), &mut tell, &mut show_step)
    } else if arguments.against.is_some() {
        run::versus(&options, &about(), arguments.rounds as usize, &mut tell)
    } else {
        run::run(&options, about(), &mut tell)
    };
    let report = report.map_err(refused)?;
    let path = arguments.out.join("report.json");
    write_report(&path, &report)?;
    write(&path.with_extension("html"), &html::page(&report))?;
    write(&path.with_extension("md"), &markdown::table(&report))?;
    summarise(&report, &path)?;
    if report.thresholds.iter().all(|threshold| threshold.passed) {
        Ok(())
    } else {
        Err(CommandError::Thresholds)
    }
}

/// A built-in scenario or a file, with the changes of `--set`.
pub(crate) fn scenario_of(name: &str, changes: &[String]) -> Result<Scenario, CommandError> {
    let refuse = |text: String| CommandError::Refused(text.into());
    let path = Path::new(name);
    let mut scenario = if path.extension().is_some() || path.is_file() {
        let text = fs::read_to_string(path).map_err(|source| CommandError::File {
            path: path.to_owned(),
            source,
        })?;
        Scenario::from_toml(&text).map_err(|error| refuse(format!("{name}: {error}")))?
    } else {
        let builtin = named(name).map_err(|error| refuse(error.to_string()))?;
        builtin.scenario().map_err(|error| refuse(error.to_string()))?
    };
    for change in changes {
        let (key, value) = change
            .split_once('=')
            .ok_or_else(|| refuse(format!("--set {change}: write KEY=VALUE")))?;
        scenario
            .set(key, value)
            .map_err(|error| refuse(error.to_string()))?;
    }
    Ok(scenario)
}

fn target_of(arguments: &Arguments) -> Result<TargetChoice, CommandError> {
    let (Some(url), Some(key), Some(secret)) = (&arguments.url, &arguments.api_key, &arguments.api_secret)
    else {
        return Ok(TargetChoice::Mesh {
            program: arguments.causeway.clone(),
            program_then: arguments.causeway_then.clone(),
            shards: arguments.shards,
            settings: arguments.settings.clone(),
            ground: if arguments.namespaces {
                Ground::Namespaces
            } else {
                Ground::Loopback
            },
        });
    };
    attach(arguments, url, key, secret)
}

/// A server that is there, known to the authorities of `--ca` if that is given.
fn attach(arguments: &Arguments, url: &str, key: &str, secret: &str) -> Result<TargetChoice, CommandError> {
    let read = |file| Trust::of_file(file).map_err(|reason| CommandError::Refused(reason.into()));
    let trust = arguments.ca.as_deref().map(read).transpose()?;
    let api = ApiKey {
        key: key.to_owned(),
        secret: secret.to_owned(),
    };
    let attached = Attached::check(url, api, trust.as_ref());
    let attached = attached.map_err(|error| CommandError::Refused(Box::new(error)))?;
    Ok(TargetChoice::Attached(attached))
}

fn second_of(arguments: &Arguments) -> Result<Option<TargetChoice>, CommandError> {
    let Some(text) = &arguments.against else {
        return Ok(None);
    };
    let parts: Vec<&str> = text.splitn(3, ',').collect();
    let [url, key, secret] = parts[..] else {
        return Err(CommandError::Refused("--against: write URL,KEY,SECRET".into()));
    };
    attach(arguments, url, key, secret).map(Some)
}

/// What cannot be had is told apart from what went wrong.
fn refused(error: RunError) -> CommandError {
    match error {
        RunError::Stopped | RunError::WorkerGone => CommandError::Run(error),
        other => CommandError::Refused(Box::new(other)),
    }
}

fn about() -> Run {
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load_average = load.and_then(|text| text.split(' ').next()?.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut warnings = Vec::new();
    if load_average.is_some_and(|load: f64| load > cores as f64 * 0.5) {
        warnings.push("the machine was busy with something else when the run began".to_owned());
    }
    if cfg!(debug_assertions) {
        warnings.push("the generator is a debug build: its own cost is higher than need be".to_owned());
    }
    Run {
        started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        commit: commit(),
        machine: machine(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        load_average,
        warnings,
        ..Run::default()
    }
}

/// One line that is written over again on a terminal; elsewhere a line every five seconds and for every piece of news.
fn show(progress: &Progress, terminal: bool) {
    let line = format!(
        "{} {:>4.0} of {:.0} s   {} in   {} failed",
        progress.target,
        progress.at.as_secs_f64(),
        progress.of.as_secs_f64(),
        progress.participants,
        progress.failed,
    );
    let mut out = io::stdout().lock();
    // A reader that has gone away is no reason to end the run.
    let _ = if terminal {
        let news: String = progress
            .news
            .iter()
            .map(|news| format!("\r\x1b[K  {news}\n"))
            .collect();
        write!(out, "{news}\r\x1b[K{line}").and_then(|()| out.flush())
    } else if progress.at.as_secs().is_multiple_of(5) || !progress.news.is_empty() {
        let news: String = progress.news.iter().map(|news| format!("\n  {news}")).collect();
        writeln!(out, "{line}{news}")
    } else {
        Ok(())
    };
}

/// One step of a ramp, with what a whole core would hold.
fn show_step(step: &Step) {
    let per_core = step.participants as f64 / step.cpu_share.max(1e-9);
    let because = step
        .stopped_because
        .as_ref()
        .map_or_else(String::new, |because| format!("; ends here: {because}"));
    // A reader that has gone away is no reason to end the run.
    let _ = writeln!(
        io::stdout(),
        "\n{} people: {:.0} packets a second, server {:.0} % of a core ({per_core:.0} people a core), p99 {:.1} ms beyond the path, \
         {:.3} % lost{because}",
        step.participants,
        step.packets_per_s,
        step.cpu_share * 100.0,
        step.p99_ms,
        step.loss * 100.0,
    );
}

fn write_report(path: &Path, report: &Report) -> Result<(), CommandError> {
    let file = |source| CommandError::File {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(file)?;
    }
    let text =
        serde_json::to_string_pretty(report).map_err(|error| CommandError::Refused(Box::new(error)))?;
    fs::write(path, text + "\n").map_err(file)
}
