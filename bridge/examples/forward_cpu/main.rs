//! CPU and delay per forwarded packet: one publisher to fifty viewers (or as many as told), beside the floor of the machine, in
//! one run.
//!
//! The publisher sends bursts of ten packets of 1,100 bytes, 500 packets a second or so many that 200,000 go out.
//! Measured is the CPU time of the thread that forwards, from the scheduler, and the time from the publisher's send to
//! the arrival at a viewer's socket, by the kernel's clock. The *floor* is the least any forwarder can do: receive,
//! rewrite the header, seal with AES-128-GCM, one segmented send per viewer and burst. The *real path* is a shard's
//! thread as a node runs it: authentication, demultiplexing, cache, layer choice, reports, timers, everything.
//! Both are there all the time and take turns of half a second, for what else the machine does changes within seconds; the
//! ratio is the median over rounds.
//!
//! ```text
//! cargo run --release -p bridge --example forward_cpu -- [seconds] [rounds] [viewers]
//! ```

#![allow(clippy::print_stdout)]

mod arrivals;
mod floor;
mod load;
mod real;

use load::{Cost, Shape};
use loadtest::bench::report::{self, Metric};
use std::time::Duration;

/// As in a node.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long one of both is measured at a time.
const SLICE: Duration = Duration::from_millis(500);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let time = Duration::from_secs(arguments.next().map_or(Ok(3), |text| text.parse())?);
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let viewers: usize = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let shape = Shape::of(viewers)?;
    println!(
        "1 publisher -> {viewers} viewers, {} packets/s out",
        shape.packets_per_second * viewers
    );
    let mut rounds_of: [Vec<(f64, f64)>; 4] = Default::default();
    let (mut floor, mut real) = (floor::start(shape)?, real::start(shape)?);
    for round in 1..=rounds {
        let [mut of_floor, mut of_real] = [Cost::default(); 2];
        let mut taken = Duration::ZERO;
        while taken < time {
            floor.measure(SLICE, &mut of_floor)?;
            real.measure(SLICE, &mut of_real)?;
            real.measure(SLICE, &mut of_real)?;
            floor.measure(SLICE, &mut of_floor)?;
            taken += SLICE * 2;
        }
        floor.read_delays(&mut of_floor);
        real.read_delays(&mut of_real);
        for (figure, costs) in FIGURES.iter().zip(&mut rounds_of) {
            let (real, floor) = ((figure.read)(of_real), (figure.read)(of_floor));
            println!(
                "round {round}: {:<18} real {real:>7.0} {unit}   floor {floor:>7.0} {unit}   ratio {:.2}",
                figure.name,
                real / floor,
                unit = figure.unit,
            );
            costs.push((real, floor));
        }
    }
    real.stop();
    floor.stop();
    let mut named = Vec::new();
    for (figure, costs) in FIGURES.iter().zip(&rounds_of) {
        let metric = Metric::of_rounds(figure.unit, costs).ok_or("no rounds")?;
        let name = format!("{}_1x{viewers}", figure.name);
        println!(
            "{name}: {:.0} {}, floor {:.0}, ratio {:.2}",
            metric.value,
            figure.unit,
            metric.floor.unwrap_or_default(),
            metric.ratio.unwrap_or_default()
        );
        named.push((name, metric));
    }
    let named: Vec<(&str, Metric)> = named
        .iter()
        .map(|(name, metric)| (name.as_str(), metric.clone()))
        .collect();
    let written = report::merge(report::REPORT_PATH.as_ref(), &named)?;
    println!("written to {}", written.display());
    Ok(())
}

/// One of the figures of a run.
struct Figure {
    name: &'static str,
    unit: &'static str,
    read: fn(Cost) -> f64,
}

const FIGURES: [Figure; 4] = [
    Figure {
        name: "forward_cpu",
        unit: "ns",
        read: |cost| cost.ns_per_packet(),
    },
    Figure {
        name: "forward_delay_p50",
        unit: "us",
        read: |cost| cost.p50_us,
    },
    Figure {
        name: "forward_delay_p99",
        unit: "us",
        read: |cost| cost.p99_us,
    },
    Figure {
        name: "forward_sleeps",
        unit: "1/s",
        read: |cost| cost.sleeps_per_second(),
    },
];
