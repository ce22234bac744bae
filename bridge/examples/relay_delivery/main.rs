//! What a link delivers over an emulated ocean, beside stock quinn and beside the bare path, in one run.
//!
//! 38 ms one way, random loss, no bandwidth limit: the path cannot be the bottleneck, so everything missing beyond
//! the path's own loss was lost by a congestion controller that took random loss for congestion. Offered are
//! 4,000 video datagrams a second in bursts of 8 (35 Mbit/s) and 200 audio datagrams a second.
//!
//! ```text
//! cargo run --release -p bridge --example relay_delivery -- [seconds] [rounds]
//! ```

#![allow(clippy::print_stdout)]

mod bare;
mod load;
mod ours;
mod stock;

use load::{Measured, Path};
use loadtest::bench::report::{self, Metric};
use std::time::Duration;

/// Shares of datagrams the path loses, with the names of their metrics.
const LOSSES: [(f64, &str); 2] = [(0.01, "relay_delivery_1pct"), (0.001, "relay_delivery_0_1pct")];

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let mut metrics = Vec::new();
    let mut audio = Vec::new();
    for (loss, name) in LOSSES {
        let mut delivery = Vec::new();
        println!(
            "\n{} % random loss, 38 ms one way, 35 Mbit/s video + 200 audio datagrams/s",
            loss * 100.0
        );
        println!(
            "{:<28}{:>11}{:>9}{:>9}{:>12}{:>9}",
            "", "delivered", "p50 ms", "p99 ms", "audio deliv.", "p99 ms"
        );
        for round in 1..=rounds {
            let path = Path {
                loss,
                time: Duration::from_secs(seconds),
                seed: round as u64,
            };
            let bare = bare::measure(path)?;
            let ours = ours::measure(path)?;
            let stock = stock::measure(path)?;
            for (label, measured) in [
                ("bare path (floor)", &bare),
                ("link", &ours),
                ("stock quinn", &stock),
            ] {
                print_row(&format!("round {round}: {label}"), measured);
            }
            delivery.push((ours.video.delivered, bare.video.delivered));
            audio.push((
                ours.audio.p99_ms - bare.audio.p50_ms,
                bare.audio.p99_ms - bare.audio.p50_ms,
            ));
        }
        metrics.extend(Metric::of_rounds("share", &delivery).map(|metric| (name, metric)));
    }
    metrics.extend(Metric::of_rounds("ms", &audio).map(|metric| ("relay_audio_p99_extra", metric)));
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
