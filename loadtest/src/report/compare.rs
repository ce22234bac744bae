//! Two reports of the same scenario side by side.

use thiserror::Error;

use super::data::{Report, SCHEMA};

/// Why two reports cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompareError {
    /// Another version of the tool wrote it.
    #[error("a report has schema {0}, and this tool reads {SCHEMA}")]
    Schema(u32),
    /// Different things were done.
    #[error(
        "the reports are of different runs: {a} with seed {a_seed}, and {b} with seed {b_seed}; --anyway compares them all the same"
    )]
    Different {
        /// Scenario of the first.
        a: String,
        /// Its seed.
        a_seed: u64,
        /// Scenario of the second.
        b: String,
        /// Its seed.
        b_seed: u64,
    },
}

/// One figure of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// Of the first report.
    pub a: f64,
    /// Of the second.
    pub b: f64,
}

impl Row {
    /// The second over the first; `None` where the first is nothing. All figures here are the better the smaller.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.a > 0.0).then(|| self.b / self.a)
    }
}

/// The figures both reports have.
///
/// # Errors
/// [`CompareError`]; with `anyway` only for another schema.
pub fn compare(a: &Report, b: &Report, anyway: bool) -> Result<Vec<Row>, CompareError> {
    if let Some(other) = [a, b].into_iter().find(|report| report.schema != SCHEMA) {
        return Err(CompareError::Schema(other.schema));
    }
    if !anyway && (a.run.scenario != b.run.scenario || a.run.seed != b.run.seed) {
        return Err(CompareError::Different {
            a: a.run.scenario.clone(),
            a_seed: a.run.seed,
            b: b.run.scenario.clone(),
            b_seed: b.run.seed,
        });
    }
    let other = figures(b);
    Ok(figures(a)
        .into_iter()
        .filter_map(|(name, a)| {
            let b = other.iter().find(|(known, _)| *known == name)?.1;
            Some(Row { name, a, b })
        })
        .collect())
}

/// Every figure of a report by name; all are the better the smaller.
pub(crate) fn figures(report: &Report) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for (at, target) in report.targets.iter().enumerate() {
        let mut put = |name: String, value: Option<f64>| {
            all.extend(value.map(|value| {
                (
                    format!(
                        "{}{name}",
                        if at == 0 { String::new() } else { format!("{at}: ") }
                    ),
                    value,
                )
            }))
        };
        put(
            "first frame p50, ms".to_owned(),
            target.joins.first_frame.as_ref().map(|first| first.p50_ms),
        );
        put(
            "first frame p99, ms".to_owned(),
            target.joins.first_frame.as_ref().map(|first| first.p99_ms),
        );
        put(
            "first picture p50, ms".to_owned(),
            target.joins.first_picture.as_ref().map(|first| first.p50_ms),
        );
        for media in &target.media {
            let name = format!("{} to {} {} ({})", media.from, media.to, media.kind, media.client);
            put(
                format!("{name}: delay p50, ms"),
                media.delay.as_ref().map(|delay| delay.p50_ms),
            );
            put(
                format!("{name}: delay p99, ms"),
                media.delay.as_ref().map(|delay| delay.p99_ms),
            );
            put(format!("{name}: time in gaps, ms"), Some(media.gap_ms));
        }
        for node in &target.nodes {
            put(
                format!("node {}: CPU, ns a packet", node.name),
                node.cpu_ns_per_forwarded_packet,
            );
            put(
                format!("node {}: memory a person, bytes", node.name),
                node.rss_per_participant_bytes,
            );
        }
        for link in &target.links {
            put(
                format!("link {} to {}: bytes", link.from, link.to),
                Some(link.bytes as f64),
            );
        }
        for (number, fault) in target.faults.iter().enumerate() {
            put(
                format!("fault {number} ({}): audio gap p50, ms", fault.what),
                fault.audio_gap.as_ref().map(|gap| gap.p50_ms),
            );
            put(
                format!("fault {number} ({}): video gap p50, ms", fault.what),
                fault.video_gap.as_ref().map(|gap| gap.p50_ms),
            );
        }
    }
    for packets in &report.generator.packets {
        all.push((
            format!("{} lost for good, share", packets.kind),
            packets.loss_after_repair,
        ));
    }
    all
}
