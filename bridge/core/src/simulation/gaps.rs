//! For how long viewers are without sound and pictures when something breaks.

use super::world::World;
use relay_proto::id::{SessionId, TrackSid};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often is looked while gaps are measured: they are told too long by this at most.
pub(super) const STEP: Duration = Duration::from_millis(10);

/// When each viewer last had something of each track, and for how long at most it had nothing.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<(SessionId, TrackSid), (Instant, Duration)>);

/// Gaps in order, shortest first.
#[derive(Debug, Default)]
pub(super) struct Distribution(Vec<Duration>);

impl Distribution {
    pub(super) fn extend(&mut self, gaps: impl IntoIterator<Item = Duration>) {
        self.0.extend(gaps);
        self.0.sort();
    }

    /// The gap that such a share of all does not exceed.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0
            .get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |share| self.quantile(share).as_millis();
        let (half, most, nearly, all) = (ms(0.5), ms(0.95), ms(0.99), ms(1.0));
        write!(
            f,
            "p50 {half} ms, p95 {most} ms, p99 {nearly} ms, longest {all} ms of {}",
            self.len()
        )
    }
}

impl World {
    /// Lets time pass, and tells the longest gaps of everybody who should have something all the while: of voices, and of
    /// pictures.
    pub(super) fn gaps_in(&mut self, time: Duration) -> (Vec<Duration>, Vec<Duration>) {
        self.gaps = Some(Gaps::default());
        self.measure_gaps();
        self.run(time);
        let now = self.net.now();
        let gaps = self.gaps.take().unwrap_or_default();
        let (mut sounds, mut pictures) = (Vec::new(), Vec::new());
        for pair in self.model.expected() {
            // Whoever has had nothing at all has not been there when it began.
            let Some((last, longest)) = gaps.0.get(&pair) else {
                continue;
            };
            let gap = now.saturating_duration_since(*last).max(*longest);
            if pair.1.as_str().ends_with("voice") {
                sounds.push(gap);
            } else {
                pictures.push(gap);
            }
        }
        (sounds, pictures)
    }

    pub(super) fn measure_gaps(&mut self) {
        let Some(mut gaps) = self.gaps.take() else {
            return;
        };
        for node in 0..self.names.len() {
            for (session, attached) in &self.net.shards(node).clients {
                for (track, heard) in &attached.client.heard {
                    let Some(at) = heard.at else { continue };
                    let entry = gaps
                        .0
                        .entry((*session, track.clone()))
                        .or_insert((at, Duration::ZERO));
                    entry.1 = entry.1.max(at.saturating_duration_since(entry.0));
                    entry.0 = at;
                }
            }
        }
        self.gaps = Some(gaps);
    }
}
