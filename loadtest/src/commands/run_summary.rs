//! The main figures of a run as lines of text, worst news last.

use std::io::{self, Write};
use std::path::Path;

use loadtest::report::Distribution;
use loadtest::report::data::{Fault, Generator, Media, Relay, Report, Target, Threshold};

/// Writes all of it.
pub(super) fn summarise(report: &Report, path: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out)?;
    for target in &report.targets {
        summarise_target(&mut out, target)?;
    }
    for row in &report.comparison {
        writeln!(
            out,
            "{}: {:.2} and {:.2}, ratio {:.2} ({:.2} to {:.2} in {} runs)",
            row.figure, row.a, row.b, row.ratio, row.least, row.most, row.runs
        )?;
    }
    summarise_generator(&mut out, &report.generator)?;
    for threshold in &report.thresholds {
        summarise_threshold(&mut out, threshold)?;
    }
    writeln!(out, "written to {}", path.display())
}

fn summarise_target(out: &mut impl Write, target: &Target) -> io::Result<()> {
    let joins = &target.joins;
    writeln!(
        out,
        "{}: {} of {} joined",
        target.name, joins.succeeded, joins.planned
    )?;
    for (reason, count) in &joins.failures {
        writeln!(out, "  {count} x {reason}")?;
    }
    for (what, first) in [("frame", &joins.first_frame), ("picture", &joins.first_picture)] {
        if let Some(first) = first {
            let (p50, p99) = (first.p50_ms, first.p99_ms);
            writeln!(
                out,
                "  first {what}: p50 {p50:.0} ms, p99 {p99:.0} ms after dialling"
            )?;
        }
    }
    for media in &target.media {
        summarise_media(out, media)?;
    }
    for control in &target.control {
        let word = if control.agrees { "agrees" } else { "DISAGREES" };
        writeln!(
            out,
            "  control {word}: {} is {:.2} for light clients, {:.2} for {} ones (may differ by {})",
            control.figure, control.light, control.other, control.client, control.bound
        )?;
    }
    for node in &target.nodes {
        let percent = |share: f64| format!("{:.0} % of a core", share * 100.0);
        let cpu = node.cpu_share.map_or_else(|| "gone".to_owned(), percent);
        let each = node
            .cpu_ns_per_forwarded_packet
            .map_or_else(String::new, |ns| format!(", {ns:.0} ns a packet"));
        writeln!(out, "  node {}: {} in, {cpu}{each}", node.name, node.participants)?;
        if let Some(trend) = &node.rss_trend {
            let (slope, noise) = (trend.slope_kib_per_min, trend.noise_kib_per_min);
            writeln!(
                out,
                "    memory: {:.1} MiB, {slope:+.1} ± {noise:.1} KiB a minute",
                trend.mean_kib / 1_024.0
            )?;
        }
    }
    let (offers, bytes) = (target.requests.offers, target.requests.offer_bytes);
    writeln!(
        out,
        "  {offers} offers, {} kB of SDP each with its answer",
        bytes / offers.max(1) / 1_000
    )?;
    if let Some(relay) = &target.relay {
        summarise_relay(out, relay)?;
    }
    target
        .faults
        .iter()
        .try_for_each(|fault| summarise_fault(out, fault))
}

fn summarise_media(out: &mut impl Write, media: &Media) -> io::Result<()> {
    let delay = media.delay.as_ref().map_or_else(
        || "nothing came".to_owned(),
        |delay| format!("p50 {:.1} ms, p99 {:.1} ms", delay.p50_ms, delay.p99_ms),
    );
    let came = 100.0 * media.frames as f64 / media.frames_expected.max(1) as f64;
    let client = if media.client == "light" {
        ""
    } else {
        media.client.as_str()
    };
    writeln!(
        out,
        "  {} > {} {:<6} {delay}, {came:.2} % of frames, {} gaps {client}",
        media.from, media.to, media.kind, media.gaps
    )
}

fn summarise_relay(out: &mut impl Write, relay: &Relay) -> io::Result<()> {
    let or_not = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
    writeln!(
        out,
        "  links: {} layers at nodes, {:.3} copies of each ({:.3} at most), {} packets repeated; {:.3} x the bytes viewers \
         wanted ({:.3} x on the wire); mean delay {} x the shortest; {:.3} of the traffic of a star (no trees within the \
         bounds have less than {})",
        relay.layers,
        relay.copies_mean,
        relay.copies_most,
        relay.repeated,
        relay.over_ideal,
        relay.wire_over_ideal,
        or_not(relay.delay_over_shortest),
        relay.star_share,
        or_not(relay.least_star_share),
    )
}

fn summarise_fault(out: &mut impl Write, fault: &Fault) -> io::Result<()> {
    let of = |gap: &Option<Distribution>| {
        gap.as_ref().map_or_else(
            || "none".to_owned(),
            |gap| format!("p50 {:.0}, worst {:.0} ms", gap.p50_ms, gap.max_ms),
        )
    };
    writeln!(
        out,
        "  {:.0} s {}: audio gaps {}, video gaps {}",
        fault.at_s,
        fault.what,
        of(&fault.audio_gap),
        of(&fault.video_gap)
    )
}

fn summarise_generator(out: &mut impl Write, generator: &Generator) -> io::Result<()> {
    let own = generator.own_delay.as_ref().map_or_else(String::new, |delay| {
        format!(
            ", own delay p50 {:.2} ms, p99 {:.2} ms",
            delay.p50_ms, delay.p99_ms
        )
    });
    writeln!(
        out,
        "generator: {:.0} % of a core for {:.0} packets a second{own}",
        generator.cpu_share * 100.0,
        generator.packets_per_s,
    )
}

fn summarise_threshold(out: &mut impl Write, threshold: &Threshold) -> io::Result<()> {
    let word = if threshold.passed { "passed" } else { "FAILED" };
    let value = threshold.value.map_or_else(
        || "not measured".to_owned(),
        |value| format!("{value:.2} {}", threshold.unit),
    );
    writeln!(
        out,
        "{word}: {} {value} (limit {})",
        threshold.name, threshold.limit
    )
}
