//! The main figures as a Markdown table, for pasting.

use super::data::Report;

/// The text.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut lines = vec![
        format!(
            "**{}** (seed {}, {:.0} s): {}",
            cell(&report.run.scenario),
            report.run.seed,
            report.run.measured_s,
            cell(&report.run.description)
        ),
        String::new(),
        "| figure | value |".to_owned(),
        "| --- | ---: |".to_owned(),
    ];
    let mut row = |name: String, value: String| lines.push(format!("| {} | {} |", cell(&name), cell(&value)));
    for target in &report.targets {
        let joins = &target.joins;
        row(
            format!("{}: joined", target.name),
            format!("{} of {}", joins.succeeded, joins.planned),
        );
        for (what, first) in [("frame", &joins.first_frame), ("picture", &joins.first_picture)] {
            if let Some(first) = first {
                let times = format!("{:.0} / {:.0} ms", first.p50_ms, first.p99_ms);
                row(format!("first {what}, p50 / p99"), times);
            }
        }
        for media in &target.media {
            if let Some(delay) = &media.delay {
                row(
                    format!(
                        "{} to {}, {} ({})",
                        media.from, media.to, media.kind, media.client
                    ),
                    format!(
                        "p50 {:.1} ms, p99 {:.1} ms, {} gaps",
                        delay.p50_ms, delay.p99_ms, media.gaps
                    ),
                );
            }
        }
        if let Some(clipped) = &target.clipped {
            let what = "beginnings of speech missed, p50 / p99";
            row(what.to_owned(), spread(clipped));
        }
        for node in &target.nodes {
            if let (Some(ns), Some(share)) = (node.cpu_ns_per_forwarded_packet, node.cpu_share) {
                row(
                    format!("node {}", node.name),
                    format!("{ns:.0} ns a packet, {:.0} % of a core", share * 100.0),
                );
            }
        }
        for fault in &target.faults {
            let of = |gap: &Option<super::Distribution>| {
                gap.as_ref().map_or_else(
                    || "none".to_owned(),
                    |gap| format!("{:.0} / {:.0} ms", gap.p50_ms, gap.max_ms),
                )
            };
            row(
                format!("{}: audio gap, p50 / worst", fault.what),
                of(&fault.audio_gap),
            );
            row(
                format!("{}: video gap, p50 / worst", fault.what),
                of(&fault.video_gap),
            );
        }
    }
    for threshold in &report.thresholds {
        let word = if threshold.passed { "passed" } else { "failed" };
        let value = threshold.value.map_or_else(
            || "not measured".to_owned(),
            |value| format!("{value:.2} {}", threshold.unit),
        );
        row(
            format!("limit {} {}", threshold.name, threshold.limit),
            format!("{value}, {word}"),
        );
    }
    lines.join("\n") + "\n"
}

fn spread(clipped: &super::Distribution) -> String {
    format!(
        "{:.0} / {:.0} ms, of {}",
        clipped.p50_ms, clipped.p99_ms, clipped.count
    )
}

/// Text that cannot end a cell or a row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
