//! `loadtest wan-accuracy`: prints the emulator's lateness beside the machine's.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use loadtest::bench::wan_accuracy::{AccuracyPlan, measure, measure_between_namespaces, measure_throughput};
use loadtest::wan::units;

use super::CommandError;

#[derive(Args)]
pub(crate) struct Arguments {
    /// One-way delay of the emulated link.
    #[arg(long, default_value = "40ms", value_parser = units::parse_duration)]
    delay: Duration,
    /// Datagrams of 1,200 bytes per second.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pps: u32,
    /// How long to send.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Between network namespaces instead of the relay; needs root. Also measures how many packets a second pass.
    #[arg(long)]
    namespaces: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let plan = AccuracyPlan {
        delay: arguments.delay,
        datagrams_per_second: arguments.pps,
        duration: Duration::from_secs(u64::from(arguments.seconds)),
    };
    if arguments.namespaces {
        writeln!(io::stdout(), "{}", measure_between_namespaces(plan)?)?;
        writeln!(io::stdout(), "{}", measure_throughput(plan.delay)?)?;
    } else {
        writeln!(io::stdout(), "{}", measure(plan)?)?;
    }
    Ok(())
}
