//! `loadtest floor`: prints what this machine allows at best.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use loadtest::floor::echo::{Readings, echo};
use loadtest::floor::forward::forward;
use loadtest::floor::hop::hop;
use loadtest::floor::{Load, Passed};
use loadtest::report::Distribution;

use super::CommandError;

#[derive(Args)]
pub(crate) struct Arguments {
    /// One of them; all without.
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    load: LoadArguments,
    /// Viewers of the one publisher.
    #[arg(long, global = true, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=900))]
    viewers: u16,
}

#[derive(Clone, Copy, Subcommand)]
enum What {
    /// One publisher to many viewers: rewrite, seal, send in segments.
    Forward,
    /// From one encrypted hop to the next: open, copy, seal.
    Hop,
    /// How late a bare datagram is.
    Echo,
}

#[derive(Args)]
struct LoadArguments {
    /// Length of each measurement.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Packets offered a second.
    #[arg(long, global = true, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=2_000_000))]
    pps: u32,
    /// Packets of a burst.
    #[arg(long, global = true, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=512))]
    burst: u32,
    /// Payload of a packet.
    #[arg(long, global = true, default_value_t = 1_100, value_parser = clap::value_parser!(u16).range(1..=1_400))]
    bytes: u16,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let LoadArguments {
        seconds,
        pps,
        burst,
        bytes,
    } = arguments.load;
    let load = Load {
        burst,
        payload_bytes: usize::from(bytes),
        packets_per_second: pps,
        duration: Duration::from_secs(u64::from(seconds)),
    };
    let all = [What::Forward, What::Hop, What::Echo];
    let wanted = arguments.what.as_ref().map_or(&all[..], std::slice::from_ref);
    let mut out = io::stdout();
    writeln!(
        out,
        "bursts of {burst} packets of {bytes} bytes, {pps} packets/s in, {seconds} s each"
    )?;
    for what in wanted {
        match what {
            What::Forward => {
                let viewers = usize::from(arguments.viewers);
                writeln!(out, "forward to {viewers} viewers")?;
                passed(&mut out, "plain", &forward(&load, viewers, false)?)?;
                passed(&mut out, "AES-128-GCM", &forward(&load, viewers, true)?)?;
            }
            What::Hop => {
                writeln!(out, "encrypted hop")?;
                passed(&mut out, "AES-128-GCM", &hop(&load)?)?;
            }
            What::Echo => {
                let echo = echo(&load)?;
                writeln!(out, "bare datagram")?;
                readings(&mut out, "one way", &echo.one_way)?;
                readings(&mut out, "there and back", &echo.round_trip)?;
            }
        }
    }
    Ok(())
}

fn passed(out: &mut impl Write, name: &str, passed: &Passed) -> io::Result<()> {
    let ns = passed.cpu_ns_per_packet();
    writeln!(
        out,
        "  {name:<24} {ns:>7.0} ns/packet {:>9.0} packets/s/core   delay {}",
        1e9 / ns,
        delay(passed.delay.as_ref())
    )
}

fn readings(out: &mut impl Write, name: &str, readings: &Readings) -> io::Result<()> {
    let rows = [("kernel", &readings.kernel), ("thread", &readings.thread)];
    for (reader, distribution) in rows {
        writeln!(
            out,
            "  {:<24} delay {}",
            format!("{name}, {reader}"),
            delay(distribution.as_ref())
        )?;
    }
    Ok(())
}

fn delay(distribution: Option<&Distribution>) -> String {
    distribution.map_or_else(
        || "not measured".to_owned(),
        |delay| {
            format!(
                "p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms",
                delay.p50_ms, delay.p99_ms, delay.max_ms
            )
        },
    )
}
