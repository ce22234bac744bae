//! What a link delivers over an emulated ocean, beside stock quinn and beside the bare path, in one run.
//!
//! 38 ms one way, random loss, no bandwidth limit: the path cannot be the bottleneck, so everything missing beyond
//! the path's own loss was lost by a congestion controller that took random loss for congestion. Offered are
//! 4,000 video datagrams a second in bursts of 8 (35 Mbit/s) and 200 audio datagrams a second. A last table shows
//! a path that is too narrow for that: there audio must come through although video cannot.
//!
//! ```text
//! cargo run --release -p bridge --example relay_delivery -- [seconds] [rounds]
//! ```

#![allow(clippy::print_stdout)]

mod bare;
mod load;
mod node;
mod ours;
mod stock;

use load::{Measured, Path};
use loadtest::bench::report::{self, Metric};
use std::time::Duration;

/// Shares of datagrams the path loses, with the names of their metrics.
const LOSSES: [(f64, &str); 2] = [(0.01, "relay_delivery_1pct"), (0.001, "relay_delivery_0_1pct")];

/// A path that cannot carry what is offered: what matters there is that audio comes through, and in time.
const NARROW_BPS: u64 = 20_000_000;

/// How often a round is tried on a busy machine.
const TRIES_PER_ROUND: usize = 2;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    let mut metrics = Vec::new();
    let mut audio = Vec::new();
    for (loss, name) in LOSSES {
        println!("\n{} % random loss, never full", loss * 100.0);
        let measured = run_rounds(
            rounds,
            Path {
                loss,
                rate_bps: None,
                time,
                seed: 0,
            },
        )?;
        let delivery: Vec<_> = measured
            .iter()
            .map(|(ours, bare)| (ours.video.delivered, bare.video.delivered))
            .collect();
        audio.extend(measured.iter().map(|(ours, bare)| {
            (
                ours.audio.p99_ms - bare.audio.p50_ms,
                bare.audio.p99_ms - bare.audio.p50_ms,
            )
        }));
        metrics.extend(Metric::of_rounds("share", &delivery).map(|metric| (name, metric)));
    }
    metrics.extend(Metric::of_rounds("ms", &audio).map(|metric| ("relay_audio_p99_extra", metric)));
    println!(
        "\n0.1 % random loss, {} Mbit/s: too little for the video",
        NARROW_BPS / 1_000_000
    );
    run_rounds(
        rounds,
        Path {
            loss: 0.001,
            rate_bps: Some(NARROW_BPS),
            time,
            seed: 0,
        },
    )?;
    println!();
    for (name, metric) in &metrics {
        println!(
            "{name}: {:.4} {} (floor {:.4})",
            metric.value,
            metric.unit,
            metric.floor.unwrap_or_default()
        );
    }
    let written = report::merge(report::REPORT_PATH.as_ref(), &metrics)?;
    println!("written to {}", written.display());
    Ok(())
}

/// (link, bare path) of each round. The bare path is measured before and after the link; where either is late by more
/// than a tenth, something else kept the machine busy and the round is repeated.
fn run_rounds(rounds: usize, path: Path) -> Result<Vec<(Measured, Measured)>, AnyError> {
    println!(
        "{:<28}{:>11}{:>9}{:>9}{:>13}{:>9}",
        "", "delivered", "p50 ms", "p99 ms", "audio deliv.", "p99 ms"
    );
    let mut all = Vec::new();
    let mut tries = rounds * TRIES_PER_ROUND;
    while all.len() < rounds {
        let path = Path {
            seed: tries as u64,
            ..path
        };
        let before = bare::measure(path)?;
        let ours = ours::measure(path)?;
        let after = bare::measure(path)?;
        let label = format!("round {}", all.len() + 1);
        print_row(&format!("{label}: bare path (floor)"), &before);
        print_row(&format!("{label}: link"), &ours);
        print_row(&format!("{label}: bare path again"), &after);
        tries -= 1;
        if path.rate_bps.is_none() && (before.is_late() || after.is_late()) {
            if tries >= rounds - all.len() {
                println!("  the machine was busy; repeating the round");
                continue;
            }
            println!("  the machine was busy, and no tries are left: this round counts as it is");
        }
        print_row(&format!("{label}: stock quinn"), &stock::measure(path)?);
        all.push((ours, before));
    }
    Ok(all)
}

fn print_row(label: &str, measured: &Measured) {
    println!(
        "{label:<28}{:>10.3}%{:>9.1}{:>9.1}{:>11.3}%{:>9.1}",
        measured.video.delivered * 100.0,
        measured.video.p50_ms,
        measured.video.p99_ms,
        measured.audio.delivered * 100.0,
        measured.audio.p99_ms
    );
}
