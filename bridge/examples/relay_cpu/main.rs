//! CPU per relayed packet and hop: a node in the middle that has nobody of the conference, beside a middle of stock quinn and
//! beside the least any encrypted hop does, in one run.
//!
//! Offered are 20,000 datagrams of 1,100 bytes a second in bursts of ten, over loopback. Measured is the CPU time of the
//! threads of the middle alone. *Ours* is what a node runs: QUIC, routes, the shard of what passes through, lanes, the rate controller.
//! *Stock quinn* takes a datagram from one connection and gives it to the other. The *floor* opens and seals: no QUIC, no
//! acknowledgements (see `loadtest::floor::hop`).
//!
//! ```text
//! cargo run --release -p bridge --example relay_cpu -- [seconds] [rounds]
//! ```

#![allow(clippy::print_stdout)]

mod load;
#[path = "../relay_delivery/node.rs"]
mod node;
mod ours;
mod stock;

use load::{BURST, Cost, PACKETS_PER_SECOND, PAYLOAD_BYTES};
use loadtest::bench::report::{self, Metric};
use loadtest::floor::Load;
use loadtest::floor::hop::hop;
use std::time::Duration;

/// As in a node.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Ours and stock take turns of this length: what else the machine does changes within seconds.
const SLICE: Duration = Duration::from_millis(250);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let time = Duration::from_secs(arguments.next().map_or(Ok(4), |text| text.parse())?);
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let (mut beside_stock, mut beside_floor) = (Vec::new(), Vec::new());
    let (ours, stock) = (ours::start()?, stock::start()?);
    ours.warm_up();
    stock.warm_up();
    for round in 1..=rounds {
        let [mut of_ours, mut of_stock] = [Cost::default(); 2];
        let mut taken = Duration::ZERO;
        while taken < time {
            ours.measure(SLICE, &mut of_ours)?;
            stock.measure(SLICE, &mut of_stock)?;
            stock.measure(SLICE, &mut of_stock)?;
            ours.measure(SLICE, &mut of_ours)?;
            taken += SLICE * 2;
        }
        let floor = floor(time)?;
        let (ours, stock) = (of_ours.ns_per_packet(), of_stock.ns_per_packet());
        println!(
            "round {round}: ours {ours:>6.0} ns   stock quinn {stock:>6.0} ns ({:.2})   floor {floor:>6.0} ns ({:.2})   runs a burst {:.2}, stock {:.2}",
            ours / stock,
            ours / floor,
            of_ours.runs_per_burst(),
            of_stock.runs_per_burst(),
        );
        beside_stock.push((ours, stock));
        beside_floor.push((ours, floor));
    }
    let metrics = [
        ("relay_cpu", &beside_stock),
        ("relay_cpu_beside_floor", &beside_floor),
    ]
    .into_iter()
    .filter_map(|(name, rounds)| Some((name, Metric::of_rounds("ns", rounds)?)))
    .collect::<Vec<_>>();
    for (name, metric) in &metrics {
        println!(
            "{name}: {:.0} ns, beside {:.0} ns, ratio {:.2}",
            metric.value,
            metric.floor.unwrap_or_default(),
            metric.ratio.unwrap_or_default()
        );
    }
    let written = report::merge(report::REPORT_PATH.as_ref(), &metrics)?;
    println!("written to {}", written.display());
    Ok(())
}

fn floor(time: Duration) -> Result<f64, AnyError> {
    let load = Load {
        burst: BURST,
        payload_bytes: PAYLOAD_BYTES,
        packets_per_second: PACKETS_PER_SECOND,
        duration: time,
    };
    Ok(hop(&load)?.cpu_ns_per_packet())
}
