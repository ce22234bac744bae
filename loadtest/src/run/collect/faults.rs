//! What a fault did to whom.

use std::time::{Duration, Instant};

use super::Receivers;
use crate::client::{Leg, Source};
use crate::report::Distribution;
use crate::report::data::{Fault, FaultGap};
use crate::run::driver::OutcomeOfRun;
use crate::scenario::{Plan, Planned, Scenario};
use crate::worker::Figures;

/// Gaps that begin within this time after a fault belong to it, unless another fault came between.
const FAULT_REACH: Duration = Duration::from_secs(30);
/// A gap begins with the last frame before the fault, which may be this much earlier: the pause of a silent speaker.
const BEFORE: Duration = Duration::from_millis(500);

pub(super) fn faults(
    scenario: &Scenario,
    plan: &Plan,
    outcome: &OutcomeOfRun,
    receivers: &Receivers<'_>,
) -> Vec<Fault> {
    let times: Vec<Instant> = outcome.faults.iter().map(|(at, _)| *at).collect();
    outcome
        .faults
        .iter()
        .map(|(at, what)| {
            let span = Span::of(*at, &times);
            let gaps: Vec<FaultGap> = plan
                .participants
                .iter()
                .filter_map(|planned| {
                    let figures = receivers.get(&planned.id)?;
                    Some(fault_gap(scenario, planned, figures, outcome, span))
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

/// The time in which something is put down to one fault.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    until: Instant,
}

impl Span {
    /// From a fault to the next one.
    fn of(at: Instant, all: &[Instant]) -> Self {
        let next = all.iter().copied().filter(|other| *other > at).min();
        let reach = at + FAULT_REACH;
        Self {
            from: at,
            until: next.map_or(reach, |next| next.min(reach)),
        }
    }

    fn holds(self, when: Instant) -> bool {
        when >= self.from && when < self.until
    }

    /// Whether a gap of this length that ended then began here.
    fn holds_gap(self, ended: Instant, length: Duration) -> bool {
        let began = ended.checked_sub(length).unwrap_or(ended);
        ended >= self.from && self.holds((began + BEFORE).min(ended).max(began))
    }
}

/// The longest stretch without media that a fault caused somebody: a gap in a leg, or the time between the last frame
/// of a connection that was lost and the first of the next.
fn fault_gap(
    scenario: &Scenario,
    planned: &Planned,
    figures: &[&Figures],
    outcome: &OutcomeOfRun,
    span: Span,
) -> FaultGap {
    let lost_at = |id: u32| {
        let person = outcome.people.by_id.get(id as usize)?;
        let mut lost = person.moved.iter().map(|(lost, _)| *lost);
        lost.find(|lost| span.holds(*lost))
    };
    let lost = lost_at(planned.id);
    let longest = |audio: bool| {
        // Who had to move himself was not to be heard meanwhile: that is his gap and not that of his listeners.
        let in_legs = legs_of(figures, audio)
            .filter(|(sender, _)| lost_at(*sender).is_none())
            .flat_map(|(_, leg)| &leg.longest)
            .filter(|gap| span.holds_gap(gap.ended, gap.length))
            .map(|gap| gap.length);
        let between = lost.and_then(|lost| between_connections(figures, audio, lost, outcome.measured.1));
        let longest = in_legs.chain(between).max().unwrap_or_default();
        longest.as_secs_f64() * 1_000.0
    };
    FaultGap {
        participant: planned.identity.clone(),
        region: scenario.regions[planned.region].name.clone(),
        audio_gap_ms: longest(true),
        video_gap_ms: longest(false),
        rejoined: lost.is_some(),
    }
}

/// From the last frame of a connection that was lost, or that the server wanted to be left, to the first of the next one, or
/// to the `end`; nothing where both overlap. `None` for somebody who had got none before.
fn between_connections(figures: &[&Figures], audio: bool, lost: Instant, end: Instant) -> Option<Duration> {
    let before = legs_of(figures, audio)
        .filter(|(_, leg)| leg.first_at <= lost)
        .map(|(_, leg)| leg.last_at())
        .max()?;
    let after = legs_of(figures, audio)
        .map(|(_, leg)| leg.first_at)
        .filter(|first| *first > lost)
        .min();
    Some(after.unwrap_or(end).saturating_duration_since(before))
}

/// Sender and leg of everything of one kind.
fn legs_of<'f>(figures: &'f [&Figures], audio: bool) -> impl Iterator<Item = (u32, &'f Leg)> {
    figures
        .iter()
        .flat_map(|figures| &figures.legs)
        .filter(move |(key, _)| (key.source == Source::Audio.number()) == audio)
        .map(|(key, leg)| (key.sender, leg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_belongs_to_the_fault_it_began_with_also_if_another_ended_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (cut, heal) = (at(10_000), at(16_000));
        let all = [cut, heal];
        let (of_cut, of_heal) = (Span::of(cut, &all), Span::of(heal, &all));
        let long = Duration::from_millis(6_700);
        assert!(of_cut.holds_gap(at(16_600), long) && !of_heal.holds_gap(at(16_600), long));
        let late = Duration::from_millis(200);
        assert!(of_heal.holds_gap(at(17_000), late) && !of_cut.holds_gap(at(17_000), late));
        assert!(!of_cut.holds_gap(at(9_900), late), "before the fault");
        assert!(
            of_cut.holds_gap(at(10_100), late),
            "it began with the last frame before"
        );
        assert!(!of_heal.holds_gap(at(50_000), late), "long after");
    }
}
