//! `loadtest scenario`: what there is, what it does, and whether a file is right.

use std::io::{self, Write as _};

use clap::{Args, Subcommand};
use loadtest::scenario::{Plan, builtins};

use super::CommandError;
use super::run::scenario_of;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Names and descriptions of the built-in scenarios.
    List,
    /// The list of events that a scenario (a name or a TOML file) leads to; equal seeds give equal lists.
    Show {
        scenario: String,
        /// Changes a value, as for `loadtest run`.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Reads a file and says what is wrong with it, or what it holds.
    Check { scenario: String },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let refuse = |error: loadtest::scenario::ScenarioError| CommandError::Refused(Box::new(error));
    let mut out = io::stdout().lock();
    match &arguments.what {
        What::List => {
            for builtin in builtins() {
                let scenario = builtin.scenario().map_err(refuse)?;
                writeln!(out, "{:<12}{}", builtin.name, scenario.description)?;
            }
        }
        What::Show { scenario, set } => {
            let plan = Plan::of(&scenario_of(scenario, set)?).map_err(refuse)?;
            write!(out, "{plan}")?;
        }
        What::Check { scenario } => {
            let scenario = scenario_of(scenario, &[])?;
            let plan = Plan::of(&scenario).map_err(refuse)?;
            writeln!(
                out,
                "{}: {} people in {} regions and {} rooms, {} events in {:.0} s",
                scenario.name,
                plan.participants.len(),
                scenario.regions.len(),
                scenario.rooms,
                plan.events.len(),
                (scenario.warm_up + scenario.duration).as_secs_f64()
            )?;
        }
    }
    Ok(())
}
