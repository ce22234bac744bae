//! The report as one page without scripts or anything from outside: verdicts first, then plots, then tables.

mod style;
mod svg;
mod tables;

use std::collections::BTreeMap;

use style::STYLE;
use svg::{Line, Mark, Plot, figure, put};

use super::data::{Report, Target};

/// Lines of one plot; more would be a tangle.
const MOST_LINES: usize = svg::COLOURS;

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let run = &report.run;
    let mut out = String::with_capacity(64 * 1024);
    put(
        &mut out,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{0} · loadtest</title><style>{STYLE}</style></head><body><header><p class=\"kicker\">Load test</p><h1>{0}</h1><p>{1}</p></header><main>",
            escape(&run.scenario),
            escape(&run.description)
        ),
    );
    out.push_str(&tables::verdicts(report));
    out.push_str(&tables::comparison(report));
    for target in &report.targets {
        put(
            &mut out,
            format_args!("<section><h2>{}</h2>", escape(&target.name)),
        );
        out.push_str(&tables::joins(target));
        out.push_str(&delays(target));
        out.push_str(&timeline(target));
        out.push_str(&capacity(target));
        out.push_str(&tables::faults(target));
        out.push_str(&tables::media(target));
        out.push_str(&tables::control(target));
        out.push_str(&tables::matrix(target));
        out.push_str(&tables::nodes(target));
        out.push_str(&tables::links(target));
        out.push_str(&tables::requests(target));
        out.push_str("</section>");
    }
    out.push_str(&tables::generator(&report.generator));
    out.push_str(&tables::run(run));
    out.push_str("</main></body></html>\n");
    out
}

/// Text as it may stand in a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// One plot of the delays of each kind, a line per pair of regions.
fn delays(target: &Target) -> String {
    let mut kinds: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    for media in target.media.iter().filter(|media| media.client == "light") {
        let Some(delay) = &media.delay else {
            continue;
        };
        let lines = kinds.entry(media.kind.as_str()).or_default();
        if lines.len() < MOST_LINES {
            lines.push(Line {
                name: format!("{} to {}", media.from, media.to),
                points: delay
                    .curve
                    .iter()
                    .map(|point| (point.value, point.share * 100.0))
                    .collect(),
            });
        }
    }
    let plot = |(kind, lines): (&str, Vec<Line>)| {
        let title = format!("One-way delay of {kind} frames");
        let description = format!(
            "Share of frames not later than each delay, for {} pairs of regions",
            lines.len()
        );
        figure(&Plot {
            title: &title,
            description,
            across: "ms",
            up: "% of frames",
            lines,
            marks: Vec::new(),
        })
    };
    kinds.into_iter().map(plot).collect()
}

fn timeline(target: &Target) -> String {
    let points = |pick: fn(&super::data::Second) -> f64| -> Vec<(f64, f64)> {
        target
            .timeline
            .iter()
            .map(|second| (second.at_s as f64, pick(second)))
            .collect()
    };
    let marks = || -> Vec<Mark> {
        let mark = |fault: &super::data::Fault| Mark {
            at: fault.at_s,
            text: fault.what.clone(),
        };
        target.faults.iter().map(mark).collect()
    };
    let delay = Plot {
        title: "Delay over time",
        description: "Median and 99th percentile of the one-way delay of all frames in each second"
            .to_owned(),
        across: "s",
        up: "ms",
        lines: vec![
            Line {
                name: "median".to_owned(),
                points: points(|second| second.p50_ms),
            },
            Line {
                name: "99th percentile".to_owned(),
                points: points(|second| second.p99_ms),
            },
        ],
        marks: marks(),
    };
    let frames = Plot {
        title: "Frames a second at all receivers",
        description: "Frames shown or heard in each second".to_owned(),
        across: "s",
        up: "frames",
        lines: vec![Line {
            name: "frames".to_owned(),
            points: points(|second| second.frames as f64),
        }],
        marks: marks(),
    };
    figure(&delay) + &figure(&frames)
}

fn capacity(target: &Target) -> String {
    let points = |pick: fn(&super::data::Step) -> f64| -> Vec<(f64, f64)> {
        target
            .capacity
            .iter()
            .map(|step| (step.participants as f64, pick(step)))
            .collect()
    };
    figure(&Plot {
        title: "Capacity",
        description: "Share of one core the server used, and the delay, at each number of participants"
            .to_owned(),
        across: "participants",
        up: "% of a core, ms",
        lines: vec![
            Line {
                name: "CPU, % of a core".to_owned(),
                points: points(|step| step.cpu_share * 100.0),
            },
            Line {
                name: "99th percentile of the delay, ms".to_owned(),
                points: points(|step| step.p99_ms),
            },
        ],
        marks: Vec::new(),
    })
}
