//! What a fault did to whom.

use std::time::{Duration, Instant};

use super::Receivers;
use crate::client::{Leg, LegKey, Source};
use crate::report::Distribution;
use crate::report::data::{Fault, FaultGap};
use crate::run::driver::OutcomeOfRun;
use crate::scenario::{Plan, Planned, Scenario};
use crate::worker::Figures;

/// Gaps that end within this time after a fault belong to it.
const FAULT_REACH: Duration = Duration::from_secs(30);

pub(super) fn faults(
    scenario: &Scenario,
    plan: &Plan,
    outcome: &OutcomeOfRun,
    receivers: &Receivers<'_>,
) -> Vec<Fault> {
    outcome
        .faults
        .iter()
        .map(|(at, what)| {
            let gaps: Vec<FaultGap> = plan
                .participants
                .iter()
                .filter_map(|planned| {
                    let figures = receivers.get(&planned.id)?;
                    Some(fault_gap(scenario, planned, figures, outcome, *at))
                })
                .collect();
            let of = |pick: fn(&FaultGap) -> f64| {
                Distribution::of_ms(gaps.iter().map(pick).filter(|gap| *gap > 0.0))
            };
            Fault {
                at_s: at.saturating_duration_since(outcome.start).as_secs_f64(),
                what: what.clone(),
                audio_gap: of(|gap| gap.audio_gap_ms),
                video_gap: of(|gap| gap.video_gap_ms),
                gaps,
            }
        })
        .collect()
}

/// The longest stretch without media that a fault caused somebody: a gap in a leg, or the time between the last frame
/// of a connection that was lost and the first of the next.
fn fault_gap(
    scenario: &Scenario,
    planned: &Planned,
    figures: &[&Figures],
    outcome: &OutcomeOfRun,
    at: Instant,
) -> FaultGap {
    let within = |when: Instant| when >= at && when <= at + FAULT_REACH;
    let moved = |id: u32| {
        let person = outcome.people.by_id.get(id as usize);
        person.is_some_and(|person| person.moved.iter().any(|(lost, _)| within(*lost)))
    };
    let rejoined = moved(planned.id);
    let longest = |audio: bool| {
        let of_kind = |(key, _): &(&LegKey, &Leg)| (key.source == Source::Audio.number()) == audio;
        // Who had to move himself was not to be heard meanwhile: that is his gap and not that of his listeners.
        let in_legs = figures
            .iter()
            .flat_map(|figures| &figures.legs)
            .filter(of_kind)
            .filter(|(key, _)| !moved(key.sender))
            .flat_map(|(_, leg)| &leg.longest)
            .filter(|gap| within(gap.ended))
            .map(|gap| gap.length);
        let between = rejoined.then(|| {
            let last = legs_of(figures, audio)
                .map(|leg| leg.last_at())
                .filter(|last| *last <= at + FAULT_REACH);
            let before = figures
                .first()
                .map(|first| first.legs.iter())
                .into_iter()
                .flatten();
            let last_before = before.filter(of_kind).map(|(_, leg)| leg.last_at()).max();
            let first_after = figures
                .iter()
                .skip(1)
                .flat_map(|figures| &figures.legs)
                .filter(of_kind)
                .map(|(_, leg)| leg.first_at)
                .min();
            match (last_before, first_after) {
                (Some(before), Some(after)) => Some(after.saturating_duration_since(before)),
                // Nothing came any more: the gap lasts until the end.
                (Some(before), None) => Some(outcome.measured.1.saturating_duration_since(before)),
                _ => last
                    .max()
                    .map(|last| outcome.measured.1.saturating_duration_since(last)),
            }
        });
        let longest = in_legs.chain(between.flatten()).max().unwrap_or_default();
        longest.as_secs_f64() * 1_000.0
    };
    FaultGap {
        participant: planned.identity.clone(),
        region: scenario.regions[planned.region].name.clone(),
        audio_gap_ms: longest(true),
        video_gap_ms: longest(false),
        rejoined,
    }
}

fn legs_of<'f>(figures: &'f [&Figures], audio: bool) -> impl Iterator<Item = &'f Leg> {
    figures
        .iter()
        .flat_map(|figures| &figures.legs)
        .filter(move |(key, _)| (key.source == Source::Audio.number()) == audio)
        .map(|(_, leg)| leg)
}
