//! `loadtest wan-accuracy`: prints the emulator's lateness beside the machine's.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use loadtest::bench::wan_accuracy::{AccuracyPlan, measure};
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
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let accuracy = measure(AccuracyPlan {
        delay: arguments.delay,
        datagrams_per_second: arguments.pps,
        duration: Duration::from_secs(u64::from(arguments.seconds)),
    })?;
    writeln!(io::stdout(), "{accuracy}")?;
    Ok(())
}
