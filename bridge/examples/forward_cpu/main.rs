//! CPU per forwarded packet: one publisher to fifty viewers (or as many as told), beside the floor of the machine, in
//! one run.
//!
//! The publisher sends bursts of ten packets of 1,100 bytes, 500 packets a second or so many that
//! 200,000 go out. Measured is the CPU
//! time of the thread that forwards, from the scheduler. The *floor* is the least any forwarder can do: receive,
//! rewrite the header, seal with AES-128-GCM, one segmented send per viewer and burst. The *real path* is a shard's
//! thread as a node runs it: authentication, demultiplexing, cache, layer choice, reports, timers, everything.
//! Rounds go floor, real, real, floor; the ratio is the median over rounds.
//!
//! ```text
//! cargo run --release -p bridge --example forward_cpu -- [seconds] [rounds] [viewers]
//! ```

#![allow(clippy::print_stdout)]

mod floor;
mod load;
mod real;

use load::{Cost, Shape};
use loadtest::bench::report::{self, Metric};
use std::time::Duration;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let time = Duration::from_secs(arguments.next().map_or(Ok(3), |text| text.parse())?);
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let viewers: usize = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let shape = Shape::of(viewers)?;
    let name = format!("forward_cpu_1x{viewers}");
    println!(
        "1 publisher -> {viewers} viewers, {} packets/s out",
        shape.packets_per_second * viewers
    );
    let mut costs = Vec::new();
    for round in 1..=rounds {
        let first_floor = floor::measure(shape, time)?;
        let first_real = real::measure(shape, time)?;
        let second_real = real::measure(shape, time)?;
        let second_floor = floor::measure(shape, time)?;
        let (real, floor) = (mean(first_real, second_real), mean(first_floor, second_floor));
        println!(
            "round {round}: real {real:>7.0} ns/packet   floor {floor:>7.0} ns/packet   ratio {:.2}",
            real / floor
        );
        costs.push((real, floor));
    }
    let metric = Metric::of_rounds("ns", &costs).ok_or("no rounds")?;
    println!(
        "{name}: {:.0} ns, floor {:.0} ns, ratio {:.2}",
        metric.value,
        metric.floor.unwrap_or_default(),
        metric.ratio.unwrap_or_default()
    );
    let written = report::merge(report::REPORT_PATH.as_ref(), &[(name.as_str(), metric)])?;
    println!("written to {}", written.display());
    Ok(())
}

fn mean(first: Cost, second: Cost) -> f64 {
    f64::midpoint(first.ns_per_packet(), second.ns_per_packet())
}
