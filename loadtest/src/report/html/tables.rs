//! The tables of the page.

use super::escape;
use super::svg::put;
use crate::report::Distribution;
use crate::report::data::{Generator, Report, Requests, Run, Target};

/// A table in a box that scrolls by itself; nothing for no rows.
fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<div class=\"scroll\" tabindex=\"0\"><table><caption>{}</caption><thead><tr>",
            escape(caption)
        ),
    );
    for title in head {
        put(&mut out, format_args!("<th scope=\"col\">{}</th>", escape(title)));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            // Cells are made here and hold markup of ours; texts from outside are escaped where they are put in.
            if at == 0 {
                put(&mut out, format_args!("<th scope=\"row\">{cell}</th>"));
            } else {
                put(&mut out, format_args!("<td>{cell}</td>"));
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

fn ms(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn word(good: bool, yes: &str, no: &str) -> String {
    let (class, text) = if good { ("ok", yes) } else { ("bad", no) };
    format!("<span class=\"{class}\">{text}</span>")
}

fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "–".to_owned())
}

/// Limits first: whether it was good enough.
pub(super) fn verdicts(report: &Report) -> String {
    let mut out = String::new();
    for warning in &report.run.warnings {
        put(
            &mut out,
            format_args!("<p class=\"note\">Beware: {}.</p>", escape(warning)),
        );
    }
    let rows: Vec<Vec<String>> = report
        .thresholds
        .iter()
        .map(|threshold| {
            vec![
                escape(&threshold.name),
                or_dash(
                    threshold
                        .value
                        .map(|value| format!("{value:.2} {}", escape(&threshold.unit))),
                ),
                escape(&threshold.limit),
                word(threshold.passed, "passed", "failed"),
            ]
        })
        .collect();
    out + &table(
        "Limits of the scenario",
        &["figure", "measured", "limit", ""],
        &rows,
    )
}

/// Two servers that were measured in turns.
pub(super) fn comparison(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .comparison
        .iter()
        .map(|row| {
            vec![
                escape(&row.figure),
                format!("{:.2}", row.a),
                format!("{:.2}", row.b),
                format!("{:.2}", row.ratio),
                format!("{:.2} to {:.2}", row.least, row.most),
                row.runs.to_string(),
            ]
        })
        .collect();
    let head = [
        "smaller is better",
        "first",
        "second",
        "second over first",
        "spread",
        "runs",
    ];
    table("Both servers, measured in turns", &head, &rows)
}

fn distribution_row(name: &str, distribution: Option<&Distribution>) -> Option<Vec<String>> {
    let d = distribution?;
    let cells = [d.min_ms, d.p50_ms, d.p95_ms, d.p99_ms, d.max_ms].map(ms);
    Some(
        [name.to_owned(), d.count.to_string()]
            .into_iter()
            .chain(cells)
            .collect(),
    )
}

pub(super) fn joins(target: &Target) -> String {
    let joins = &target.joins;
    let mut out = String::new();
    put(
        &mut out,
        format_args!("<p>{} of {} people got in.</p>", joins.succeeded, joins.planned),
    );
    let rows: Vec<Vec<String>> = [
        distribution_row("let in", joins.joined.as_ref()),
        distribution_row("media can flow", joins.connected.as_ref()),
        distribution_row("first frame", joins.first_frame.as_ref()),
        distribution_row("first picture", joins.first_picture.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect();
    out.push_str(&table(
        "Joining, ms",
        &["", "times", "least", "median", "p95", "p99", "most"],
        &rows,
    ));
    let failures: Vec<Vec<String>> = joins
        .failures
        .iter()
        .map(|(reason, count)| vec![escape(reason), count.to_string()])
        .collect();
    out + &table("Connections lost or refused", &["reason", "times"], &failures)
}

pub(super) fn media(target: &Target) -> String {
    let rows: Vec<Vec<String>> = target
        .media
        .iter()
        .map(|media| {
            let delay =
                |pick: fn(&Distribution) -> f64| or_dash(media.delay.as_ref().map(|delay| ms(pick(delay))));
            let came = (media.frames_expected > 0)
                .then(|| percent(media.frames as f64 / media.frames_expected as f64));
            vec![
                format!(
                    "{} to {} {}",
                    escape(&media.from),
                    escape(&media.to),
                    escape(&media.kind)
                ),
                escape(&media.client),
                media.legs.to_string(),
                or_dash(media.nominal_delay_ms.map(ms)),
                delay(|delay| delay.p50_ms),
                delay(|delay| delay.p99_ms),
                or_dash(came),
                media.gaps.to_string(),
                percent(media.gap_ratio),
                or_dash(media.wanted_layer.map(percent)),
                format!("{:.0}", media.bit_rate_bps / 1_000.0),
            ]
        })
        .collect();
    let head = [
        "",
        "clients",
        "legs",
        "path, ms",
        "median, ms",
        "p99, ms",
        "frames that came",
        "gaps",
        "time in gaps",
        "wanted layer",
        "kbit/s a leg",
    ];
    table("Media by pair of regions", &head, &rows)
}

pub(super) fn control(target: &Target) -> String {
    let rows: Vec<Vec<String>> = target
        .control
        .iter()
        .map(|control| {
            vec![
                escape(&control.figure),
                escape(&control.client),
                format!("{:.2}", control.light),
                format!("{:.2}", control.other),
                format!("{}", control.bound),
                word(control.agrees, "agree", "disagree"),
            ]
        })
        .collect();
    table(
        "Light clients beside others in the same room",
        &["figure", "beside", "light", "other", "may differ by", ""],
        &rows,
    )
}

pub(super) fn faults(target: &Target) -> String {
    target
        .faults
        .iter()
        .map(|fault| {
            let caption = format!(
                "{} at {:.1} s: longest gap of each participant, ms",
                fault.what, fault.at_s
            );
            let rows: Vec<Vec<String>> = fault
                .gaps
                .iter()
                .map(|gap| {
                    vec![
                        escape(&gap.participant),
                        escape(&gap.region),
                        format!("{:.0}", gap.audio_gap_ms),
                        format!("{:.0}", gap.video_gap_ms),
                        (if gap.rejoined { "joined again" } else { "stayed" }).to_owned(),
                    ]
                })
                .collect();
            table(&caption, &["participant", "region", "audio", "video", ""], &rows)
        })
        .collect()
}

pub(super) fn matrix(target: &Target) -> String {
    let matrix = &target.matrix;
    let one = |caption: &str, cells: &[Vec<Option<f64>>]| -> String {
        if cells.iter().flatten().all(Option::is_none) {
            return String::new();
        }
        let mut out = String::new();
        put(
            &mut out,
            format_args!(
                "<div class=\"scroll\" tabindex=\"0\"><table class=\"cells\"><caption>{caption}</caption><thead><tr><th></th>"
            ),
        );
        for name in &matrix.names {
            put(&mut out, format_args!("<th scope=\"col\">{}</th>", escape(name)));
        }
        out.push_str("</tr></thead><tbody>");
        for (name, row) in matrix.names.iter().zip(cells) {
            put(
                &mut out,
                format_args!("<tr><th scope=\"row\">{}</th>", escape(name)),
            );
            for cell in row {
                match cell {
                    None => out.push_str("<td></td>"),
                    Some(share) => {
                        let class = if *share >= 0.99 {
                            "full"
                        } else if *share > 0.0 {
                            "part"
                        } else {
                            "none"
                        };
                        put(
                            &mut out,
                            format_args!("<td class=\"{class}\">{:.0}</td>", share * 100.0),
                        );
                    }
                }
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div>");
        out
    };
    one(
        "Who hears whom: % of frames that came, receivers in rows",
        &matrix.audio,
    ) + &one(
        "Who sees whom: % of frames that came, receivers in rows",
        &matrix.video,
    )
}

pub(super) fn nodes(target: &Target) -> String {
    let rows: Vec<Vec<String>> = target
        .nodes
        .iter()
        .map(|node| {
            let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / 1_048_576.0);
            vec![
                escape(&node.name),
                node.participants.to_string(),
                or_dash(node.cpu_share.map(percent)),
                or_dash(node.cpu_ns_per_forwarded_packet.map(|ns| format!("{ns:.0} ns"))),
                or_dash(node.rss_bytes.map(mib)),
                or_dash(
                    node.rss_per_participant_bytes
                        .map(|bytes| format!("{:.0} KiB", bytes / 1_024.0)),
                ),
                node.packets_in.to_string(),
                node.packets_out.to_string(),
            ]
        })
        .collect();
    let head = [
        "node",
        "people",
        "CPU of a core",
        "CPU a packet out",
        "memory",
        "memory a person",
        "packets in",
        "packets out",
    ];
    table("What the servers cost", &head, &rows)
}

pub(super) fn links(target: &Target) -> String {
    let rows: Vec<Vec<String>> = target
        .links
        .iter()
        .map(|link| {
            vec![
                format!("{} to {}", escape(&link.from), escape(&link.to)),
                link.packets.to_string(),
                format!("{:.2} MB", link.bytes as f64 / 1e6),
                or_dash(link.copies.map(|copies| format!("{copies:.2}"))),
                format!("{:.2} MB", link.unwatched_bytes as f64 / 1e6),
                percent(link.loss),
            ]
        })
        .collect();
    table(
        "Links between nodes",
        &[
            "link",
            "datagrams",
            "bytes",
            "bytes over one copy of each stream",
            "beyond it",
            "lost",
        ],
        &rows,
    )
}

pub(super) fn requests(target: &Target) -> String {
    let Requests {
        keyframes,
        packets,
        unknown,
        malformed,
        offers,
        offer_bytes,
    } = target.requests;
    table(
        "What light clients asked for",
        &[
            "keyframes",
            "packets again",
            "packets of unknown streams",
            "no RTP",
            "offers",
            "bytes of offers and answers",
        ],
        &[[keyframes, packets, unknown, malformed, offers, offer_bytes]
            .map(|count| count.to_string())
            .to_vec()],
    )
}

pub(super) fn generator(generator: &Generator) -> String {
    let rows: Vec<Vec<String>> = generator
        .packets
        .iter()
        .map(|packets| {
            vec![
                escape(&packets.kind),
                packets.expected.to_string(),
                percent(packets.loss_before_repair),
                percent(packets.loss_after_repair),
                packets.duplicates.to_string(),
                packets.reordered.to_string(),
                packets.forged.to_string(),
            ]
        })
        .collect();
    let own = generator.own_delay.as_ref().map_or_else(String::new, |delay| {
        format!(
            " To the delays it states it adds {} ms (median) and {} ms (p99), measured against a bare echo.",
            ms(delay.p50_ms),
            ms(delay.p99_ms)
        )
    });
    let mut out = String::from("<section><h2>The generator itself</h2>");
    put(
        &mut out,
        format_args!(
            "<p>{} threads, {:.0} % of a core, {:.0} packets a second received.{own}</p>",
            generator.workers,
            generator.cpu_share * 100.0,
            generator.packets_per_s
        ),
    );
    out.push_str(&table(
        "Packets of all receivers",
        &[
            "",
            "expected",
            "lost at first",
            "lost for good",
            "twice",
            "out of order",
            "forged",
        ],
        &rows,
    ));
    out + "</section>"
}

pub(super) fn run(run: &Run) -> String {
    let rows = [
        ("started", run.started_at.clone()),
        ("measured", format!("{:.0} s", run.measured_s)),
        ("seed", run.seed.to_string()),
        ("machine", run.machine.clone()),
        (
            "load average",
            or_dash(run.load_average.map(|load| format!("{load:.2}"))),
        ),
        ("commit", or_dash(run.commit.clone())),
        ("loadtest", run.tool.clone()),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), escape(&value)])
        .collect();
    table("The run", &["", ""], &rows)
}
