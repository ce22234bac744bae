//! Limits on figures of a run, by name; they decide the exit code.

use std::collections::BTreeMap;

use super::{ScenarioError, span, value};

/// A figure a limit can be set on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Share of joins that succeeded, at least.
    Joined,
    /// 99th percentile of the time until the server let somebody in.
    JoinP99,
    /// 99th percentile of the time until the first frame.
    FirstFrameP99,
    /// Time to the first frame, median.
    FirstFrameP50,
    /// Time to the first picture, median.
    FirstPictureP50,
    /// Median one-way delay of frames, worst pair of regions, beyond the emulated path.
    ExtraDelayP50,
    /// 99th percentile of the same.
    ExtraDelayP99,
    /// Share of packets lost for good.
    LossAfterRepair,
    /// Share of time without sound that should have been there.
    AudioGapRatio,
    /// 95th percentile of the longest audio gap of each leg.
    AudioGapP95,
    /// 99th percentile of what others miss of the beginning of speech.
    ClippedP99,
    /// Share of time a picture stood still.
    FreezeRatio,
    /// Share of expected frames that came, worst cell of the matrix, at least.
    SeenByAll,
    /// Longest audio gap of those who had to move because of a fault, median over them and over all faults.
    MovedGapP50,
    /// The same, 95th percentile.
    MovedGapP95,
    /// The same, the longest of all.
    MovedGapWorst,
    /// Longest audio gap that a fault caused anybody who did not have to move, in what others sent who did not have to either.
    StayedAudioGap,
    /// The same of pictures.
    StayedVideoGap,
    /// Nodes that were asked to drain and had not ended with code 0 when they were started again, or when the run was over.
    UncleanEnds,
    /// Attempts to join or to stay that failed.
    Failures,
    /// Copies of a layer that came to a node over links, the most.
    LayerCopies,
    /// Bytes of media on links over those of one copy of what viewers of each node wanted.
    RelayBytes,
    /// Mean one-way delay between regions over that of the shortest ways.
    RelayDelay,
    /// Traffic of links (bytes times delay) over that of direct copies from each origin.
    StarShare,
    /// The same over the least that any trees take.
    StarShareOverLeast,
    /// Growth of the memory of the node that grows most, beyond the noise of the measurement.
    RssSlope,
    /// That noise (half of the 95 % interval), of the node with the largest: what is not seen may grow by so much.
    RssSlopeNoise,
}

/// Unit of growth.
const SLOPE: &str = "KiB/min";
/// Unit of what is so many times something else.
const RATIO: &str = "x";
/// Unit of what is counted.
const TIMES: &str = "times";

/// All of them, with their names in files, their units, and whether the value must not be below the limit.
const ALL: [(Metric, &str, &str, bool); 27] = [
    (Metric::Joined, "joined", "%", true),
    (Metric::JoinP99, "join_p99", "ms", false),
    (Metric::FirstFrameP50, "first_frame_p50", "ms", false),
    (Metric::FirstFrameP99, "first_frame_p99", "ms", false),
    (Metric::FirstPictureP50, "first_picture_p50", "ms", false),
    (Metric::ExtraDelayP50, "extra_delay_p50", "ms", false),
    (Metric::ExtraDelayP99, "extra_delay_p99", "ms", false),
    (Metric::LossAfterRepair, "loss_after_repair", "%", false),
    (Metric::AudioGapRatio, "audio_gap_ratio", "%", false),
    (Metric::AudioGapP95, "audio_gap_p95", "ms", false),
    (Metric::ClippedP99, "clipped_p99", "ms", false),
    (Metric::FreezeRatio, "freeze_ratio", "%", false),
    (Metric::SeenByAll, "seen_by_all", "%", true),
    (Metric::MovedGapP50, "moved_gap_p50", "ms", false),
    (Metric::MovedGapP95, "moved_gap_p95", "ms", false),
    (Metric::MovedGapWorst, "moved_gap_worst", "ms", false),
    (Metric::StayedAudioGap, "stayed_audio_gap", "ms", false),
    (Metric::StayedVideoGap, "stayed_video_gap", "ms", false),
    (Metric::UncleanEnds, "unclean_ends", TIMES, false),
    (Metric::Failures, "failures", TIMES, false),
    (Metric::LayerCopies, "layer_copies", RATIO, false),
    (Metric::RelayBytes, "relay_bytes", RATIO, false),
    (Metric::RelayDelay, "relay_delay", RATIO, false),
    (Metric::StarShare, "star_share", RATIO, false),
    (Metric::StarShareOverLeast, "star_share_over_least", RATIO, false),
    (Metric::RssSlope, "rss_slope", SLOPE, false),
    (Metric::RssSlopeNoise, "rss_slope_noise", SLOPE, false),
];

/// A limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// On which figure.
    pub metric: Metric,
    /// As written.
    pub text: String,
    /// In the unit of the figure.
    pub value: f64,
}

impl Metric {
    fn row(self) -> (Self, &'static str, &'static str, bool) {
        ALL.into_iter().find(|row| row.0 == self).unwrap_or(ALL[0])
    }

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Its unit: `ms`, `%`, `x`, `times` or `KiB/min`.
    #[must_use]
    pub fn unit(self) -> &'static str {
        self.row().2
    }
}

impl Limit {
    /// Whether a measured value keeps it.
    #[must_use]
    pub fn holds(&self, measured: f64) -> bool {
        if self.metric.row().3 {
            measured >= self.value
        } else {
            measured <= self.value
        }
    }
}

pub(super) fn read(table: &BTreeMap<String, String>) -> Result<Vec<Limit>, ScenarioError> {
    table
        .iter()
        .map(|(name, text)| {
            let place = format!("thresholds.{name}");
            let Some((metric, _, unit, _)) = ALL.into_iter().find(|row| row.1 == name) else {
                let names: Vec<&str> = ALL.iter().map(|row| row.1).collect();
                return Err(value(
                    place,
                    format!("no such figure; there are {}", names.join(", ")),
                ));
            };
            let number = match unit {
                "ms" => span(&place, text)?.as_secs_f64() * 1_000.0,
                RATIO => text
                    .strip_suffix(RATIO)
                    .and_then(|digits| digits.parse().ok())
                    .filter(|ratio: &f64| ratio.is_finite() && *ratio >= 0.0)
                    .ok_or_else(|| value(&place, format!("{text:?} is no ratio; write 1.06{RATIO}")))?,
                TIMES => text
                    .strip_suffix(TIMES)
                    .and_then(|digits| digits.trim_end().parse::<u32>().ok())
                    .map(f64::from)
                    .ok_or_else(|| value(&place, format!("{text:?} is no count; write 0 {TIMES}")))?,
                SLOPE => text
                    .strip_suffix(SLOPE)
                    .and_then(|digits| digits.trim_end().parse().ok())
                    .filter(|slope: &f64| slope.is_finite() && *slope >= 0.0)
                    .ok_or_else(|| value(&place, format!("{text:?} is no growth; write 8{SLOPE}")))?,
                _ => text
                    .strip_suffix('%')
                    .and_then(|digits| digits.parse().ok())
                    .filter(|share| (0.0..=100.0).contains(share))
                    .ok_or_else(|| value(&place, format!("{text:?} is no share; write 0.5%")))?,
            };
            Ok(Limit {
                metric,
                text: text.clone(),
                value: number,
            })
        })
        .collect()
}
