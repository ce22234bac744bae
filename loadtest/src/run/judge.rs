//! Holds a report against the limits of its scenario. What was not measured fails.

use crate::report::Trend;
use crate::report::data::{FaultGap, Media, Relay, Report, Target, Threshold};
use crate::scenario::{Limit, Metric};

/// Every limit with the worst value over all targets.
pub(super) fn judge(limits: &[Limit], report: &Report) -> Vec<Threshold> {
    limits
        .iter()
        .map(|limit| {
            let value = value_of(limit.metric, report);
            Threshold {
                name: limit.metric.name().to_owned(),
                limit: limit.text.clone(),
                value,
                unit: limit.metric.unit().to_owned(),
                passed: value.is_some_and(|value| limit.holds(value)),
            }
        })
        .collect()
}

fn value_of(metric: Metric, report: &Report) -> Option<f64> {
    let targets = || report.targets.iter();
    match metric {
        Metric::Joined => smallest(targets().map(|target| {
            let joins = &target.joins;
            100.0 * joins.succeeded as f64 / joins.planned.max(1) as f64
        })),
        Metric::JoinP99 => largest(targets().filter_map(|target| Some(target.joins.joined.as_ref()?.p99_ms))),
        Metric::FirstFrameP99 => {
            largest(targets().filter_map(|target| Some(target.joins.first_frame.as_ref()?.p99_ms)))
        }
        Metric::FirstFrameP50 => {
            largest(targets().filter_map(|target| Some(target.joins.first_frame.as_ref()?.p50_ms)))
        }
        Metric::FirstPictureP50 => {
            largest(targets().filter_map(|target| Some(target.joins.first_picture.as_ref()?.p50_ms)))
        }
        Metric::ExtraDelayP50 => extra(report, |media| Some(media.delay.as_ref()?.p50_ms)),
        Metric::ExtraDelayP99 => extra(report, |media| Some(media.delay.as_ref()?.p99_ms)),
        Metric::LossAfterRepair => {
            let packets = &report.generator.packets;
            let expected: u64 = packets.iter().map(|packets| packets.expected).sum();
            let lost: f64 = packets
                .iter()
                .map(|packets| packets.loss_after_repair * packets.expected as f64)
                .sum();
            (expected > 0).then(|| 100.0 * lost / expected as f64)
        }
        Metric::AudioGapRatio => largest(of_kind(report, true).map(|media| 100.0 * media.gap_ratio)),
        // A leg without gaps has no lengths: its longest is none.
        Metric::AudioGapP95 => largest(
            of_kind(report, true)
                .map(|media| media.gap_lengths.as_ref().map_or(0.0, |lengths| lengths.p95_ms)),
        ),
        Metric::ClippedP99 => largest(targets().filter_map(|target| Some(target.clipped.as_ref()?.p99_ms))),
        Metric::FreezeRatio => largest(of_kind(report, false).map(|media| 100.0 * media.gap_ratio)),
        Metric::SeenByAll => smallest(targets().flat_map(cells).map(|share| 100.0 * share)),
        Metric::MovedGapP50 => moved_gaps(report).map(|gaps| gaps[(gaps.len() - 1) / 2]),
        Metric::MovedGapP95 => moved_gaps(report).map(|gaps| gaps[(gaps.len() * 95).div_ceil(100) - 1]),
        Metric::MovedGapWorst => moved_gaps(report).and_then(|gaps| gaps.last().copied()),
        Metric::StayedAudioGap => largest(stayed(report).map(|gap| gap.audio_gap_ms)),
        Metric::StayedVideoGap => largest(stayed(report).map(|gap| gap.video_gap_ms)),
        Metric::UncleanEnds => Some(targets().map(|target| target.unclean_ends).sum::<u64>() as f64),
        Metric::Failures => {
            let failures = targets().flat_map(|target| &target.joins.failures);
            Some(failures.map(|(_, count)| *count).sum::<u64>() as f64)
        }
        Metric::LayerCopies => largest(relays(report).map(|relay| relay.copies_most)),
        Metric::RelayBytes => largest(relays(report).map(|relay| relay.over_ideal)),
        Metric::RelayDelay => largest(relays(report).filter_map(|relay| relay.delay_over_shortest)),
        Metric::StarShare => largest(relays(report).map(|relay| relay.star_share)),
        Metric::StarShareOverLeast => {
            largest(relays(report).filter_map(|relay| Some(relay.star_share / relay.least_star_share?)))
        }
        Metric::RssSlope => of_trends(report, Trend::beyond_noise),
        Metric::RssSlopeNoise => of_trends(report, |trend| trend.noise_kib_per_min),
    }
}

fn relays(report: &Report) -> impl Iterator<Item = &Relay> {
    report.targets.iter().filter_map(|target| target.relay.as_ref())
}

/// Gaps of all who did not have to move because of a fault.
fn stayed(report: &Report) -> impl Iterator<Item = &FaultGap> {
    let faults = report.targets.iter().flat_map(|target| &target.faults);
    faults.flat_map(|fact| &fact.gaps).filter(|gap| !gap.rejoined)
}

/// Audio gaps of all who had to move because of a fault, those who had none included, in order; `None` where nobody had to.
fn moved_gaps(report: &Report) -> Option<Vec<f64>> {
    let faults = report.targets.iter().flat_map(|target| &target.faults);
    let moved = faults.flat_map(|fact| &fact.gaps).filter(|gap| gap.rejoined);
    let mut gaps: Vec<f64> = moved.map(|gap| gap.audio_gap_ms).collect();
    gaps.sort_by(f64::total_cmp);
    (!gaps.is_empty()).then_some(gaps)
}

/// The largest over all nodes; `None` where one of them has no trend.
fn of_trends(report: &Report, pick: impl Fn(&Trend) -> f64) -> Option<f64> {
    let nodes = report.targets.iter().flat_map(|target| &target.nodes);
    let all: Option<Vec<f64>> = nodes.map(|node| node.rss_trend.as_ref().map(&pick)).collect();
    largest(all?.into_iter())
}

fn of_kind(report: &Report, audio: bool) -> impl Iterator<Item = &Media> {
    light(report).filter(move |media| (media.kind == "audio") == audio)
}

fn extra(report: &Report, pick: impl Fn(&Media) -> Option<f64>) -> Option<f64> {
    largest(light(report).filter_map(|media| Some(pick(media)? - media.nominal_delay_ms.unwrap_or(0.0))))
}

/// Limits are for the server: what else a busy browser adds is none of its doing.
fn light(report: &Report) -> impl Iterator<Item = &Media> {
    let media = report.targets.iter().flat_map(|target| &target.media);
    media.filter(|media| media.client == "light")
}

fn cells(target: &Target) -> impl Iterator<Item = f64> + '_ {
    let matrix = &target.matrix;
    matrix
        .audio
        .iter()
        .chain(&matrix.video)
        .flatten()
        .copied()
        .flatten()
}

fn largest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.max_by(f64::total_cmp)
}

fn smallest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::data::{Generator, Joins, Matrix, Node, Run, SCHEMA};
    use crate::scenario::named;

    fn report(target: Target) -> Report {
        Report {
            schema: SCHEMA,
            run: Run::default(),
            targets: vec![target],
            generator: Generator::default(),
            thresholds: Vec::new(),
            comparison: Vec::new(),
        }
    }

    #[test]
    fn what_was_not_measured_fails_and_the_worst_counts() {
        let limits = named("smoke").unwrap().scenario().unwrap().thresholds;
        let target = Target {
            joins: Joins {
                planned: 4,
                succeeded: 4,
                ..Joins::default()
            },
            matrix: Matrix {
                names: vec!["a".to_owned(), "b".to_owned()],
                audio: vec![vec![None, Some(1.0)], vec![Some(0.5), None]],
                video: Vec::new(),
            },
            ..Target::default()
        };
        let judged = judge(&limits, &report(target));
        let of = |name: &str| judged.iter().find(|threshold| threshold.name == name).unwrap();
        assert!(of("joined").passed);
        assert_eq!(
            (of("seen_by_all").value, of("seen_by_all").passed),
            (Some(50.0), false)
        );
        assert_eq!(
            (of("extra_delay_p99").value, of("extra_delay_p99").passed),
            (None, false)
        );
    }

    #[test]
    fn gaps_of_those_who_moved_count_with_the_gaps_that_were_none() {
        use crate::report::data::Fault;
        let gap = |audio_gap_ms, rejoined| FaultGap {
            audio_gap_ms,
            rejoined,
            ..FaultGap::default()
        };
        let fault = |gaps| Fault {
            gaps,
            ..Fault::default()
        };
        let target = |faults| Target {
            faults,
            joins: Joins {
                failures: vec![("lost".to_owned(), 2), ("refused".to_owned(), 1)],
                ..Joins::default()
            },
            ..Target::default()
        };
        let faults = vec![
            fault(vec![gap(0.0, true), gap(900.0, false)]),
            fault(vec![gap(200.0, true), gap(40.0, true)]),
        ];
        let of = |metric, faults| value_of(metric, &report(target(faults)));
        assert_eq!(of(Metric::MovedGapP50, faults.clone()), Some(40.0));
        assert_eq!(of(Metric::MovedGapP95, faults.clone()), Some(200.0));
        assert_eq!(of(Metric::StayedAudioGap, faults.clone()), Some(900.0));
        assert_eq!(of(Metric::StayedAudioGap, Vec::new()), None, "there was no fault");
        assert_eq!(of(Metric::MovedGapWorst, faults), Some(200.0));
        assert_eq!(
            of(Metric::MovedGapWorst, vec![fault(vec![gap(9.0, false)])]),
            None
        );
        assert_eq!(of(Metric::Failures, Vec::new()), Some(3.0));
    }

    #[test]
    fn the_node_that_grows_most_counts_and_one_that_is_not_known_fails() {
        let limits = named("churn").unwrap().scenario().unwrap().thresholds;
        let node = |slope| Node {
            rss_trend: slope,
            ..Node::default()
        };
        let trend = |slope_kib_per_min| Trend {
            slope_kib_per_min,
            noise_kib_per_min: 5.0,
            ..Trend::default()
        };
        let judged = |nodes| {
            let target = Target {
                nodes,
                ..Target::default()
            };
            let judged = judge(&limits, &report(target));
            ["rss_slope", "rss_slope_noise"].map(|name| {
                let of = judged.iter().find(|threshold| threshold.name == name).unwrap();
                (of.value, of.passed)
            })
        };
        let both = judged(vec![node(Some(trend(4.0))), node(Some(trend(25.0)))]);
        assert_eq!(both, [(Some(20.0), false), (Some(5.0), true)]);
        assert_eq!(
            judged(vec![node(Some(trend(4.0)))]),
            [(Some(0.0), true), (Some(5.0), true)]
        );
        assert_eq!(
            judged(vec![node(Some(trend(4.0))), node(None)]),
            [(None, false); 2]
        );
    }
}
