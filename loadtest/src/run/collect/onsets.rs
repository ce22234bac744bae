//! Whether the first syllable is heard: what is missing where somebody begins to speak.

use std::collections::BTreeMap;

use super::Receivers;
use crate::client::{LegKey, Source, Talk};
use crate::report::Distribution;
use crate::run::driver::OutcomeOfRun;
use crate::scenario::Plan;

/// Sound in one frame.
const FRAME_MS: f64 = 20.0;
/// Who began to speak within so many frames before counting ended is left out: some may be under way. Two seconds.
const UNDER_WAY: u32 = 100;

/// For every stretch of talking that began in the measurement, and everybody else who is in the room all the time: how much of
/// it had gone before the first frame that came. All of it where none did.
pub(super) fn clipped(
    plan: &Plan,
    outcome: &OutcomeOfRun,
    receivers: &Receivers<'_>,
) -> Option<Distribution> {
    let from: BTreeMap<LegKey, u32> = outcome
        .sent_from
        .iter()
        .map(|sent| (sent.key, sent.sequence))
        .collect();
    let stayed = |id: u32| {
        outcome.people.by_id.get(id as usize).is_some_and(|person| {
            person.present
                && person.moved.is_empty()
                && person.connected_at.is_some_and(|at| at <= outcome.measured.0)
        })
    };
    let mut clipped_ms = Vec::new();
    for sent in &outcome.sent_until {
        let Some(sender) = plan.participants.get(sent.key.sender as usize) else {
            continue;
        };
        if sent.key.source != Source::Audio.number() || !stayed(sender.id) {
            continue;
        }
        let begun = from.get(&sent.key).copied().unwrap_or(0);
        let measured = |talk: &&Talk| talk.first > begun && talk.first + UNDER_WAY < sent.sequence;
        let talks = sent.talks.iter().filter(measured);
        let others = plan
            .participants
            .iter()
            .filter(|other| other.room == sender.room && other.id != sender.id && stayed(other.id));
        for (talk, other) in talks.flat_map(|talk| others.clone().map(move |other| (talk, other))) {
            let Some(figures) = receivers.get(&other.id) else {
                continue;
            };
            let until = talk.first + talk.frames;
            let first = figures
                .iter()
                .filter_map(|figures| figures.legs.get(&sent.key)?.first_within(talk.first, until))
                .min();
            clipped_ms.push(f64::from(first.unwrap_or(until) - talk.first) * FRAME_MS);
        }
    }
    Distribution::of_ms(clipped_ms)
}
