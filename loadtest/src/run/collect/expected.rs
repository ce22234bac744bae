//! What should have come, by the plan and by what senders say they sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::client::{LegKey, Source};
use crate::run::driver::OutcomeOfRun;
use crate::scenario::{Plan, Planned, Scenario};
use crate::worker::{Figures, SentSoFar};

/// Frames a second may be under way when counting ends, and are not missed.
const IN_FLIGHT: Duration = Duration::from_secs(1);

/// What should have come, by the plan and by what senders say they sent.
pub(super) struct Expected<'p> {
    measured_s: f64,
    /// Number of the newest frame of each source, and how many of them were sent in the measurement.
    sent: BTreeMap<LegKey, (u32, u32)>,
    /// Senders whose numbers began anew: what they sent is not known exactly.
    renumbered: BTreeSet<u32>,
    by_room: BTreeMap<&'p str, Vec<&'p Planned>>,
    present: Vec<bool>,
    /// Which sounds come depends on who is loud: what of one should have come is not known.
    sounds_are_chosen: bool,
    /// Those who came while it was being measured: they cannot have got everything.
    late: BTreeSet<u32>,
}

impl<'p> Expected<'p> {
    pub(super) fn new(scenario: &Scenario, plan: &'p Plan, outcome: &OutcomeOfRun) -> Self {
        let from: BTreeMap<LegKey, u32> = outcome
            .sent_from
            .iter()
            .map(|sent| (sent.key, sent.sequence))
            .collect();
        let mut sent = BTreeMap::new();
        let mut renumbered = BTreeSet::new();
        for SentSoFar { key, sequence, .. } in &outcome.sent_until {
            let begun = from.get(key).copied().unwrap_or(0);
            if *sequence < begun {
                renumbered.insert(key.sender);
            }
            sent.insert(*key, (*sequence, sequence.saturating_sub(begun)));
        }
        let mut by_room: BTreeMap<&str, Vec<&Planned>> = BTreeMap::new();
        for planned in &plan.participants {
            by_room.entry(&planned.room).or_default().push(planned);
        }
        let moved = outcome.people.by_id.iter().enumerate();
        renumbered.extend(
            moved
                .filter(|(_, person)| !person.moved.is_empty())
                .map(|(id, _)| id as u32),
        );
        Self {
            sounds_are_chosen: (1..scenario.microphones()).contains(&scenario.loudest_sounds),
            measured_s: scenario.duration.as_secs_f64(),
            sent,
            renumbered,
            by_room,
            late: outcome
                .people
                .by_id
                .iter()
                .enumerate()
                .filter(|(_, person)| person.connected_at.is_some_and(|at| at > outcome.measured.0))
                .map(|(id, _)| id as u32)
                .collect(),
            present: outcome.people.by_id.iter().map(|person| person.present).collect(),
        }
    }

    /// The sources a receiver should get: all sound of its room, and the pictures its layout shows.
    pub(super) fn legs(&self, receiver: &Planned) -> Vec<LegKey> {
        let others = self
            .by_room
            .get(receiver.room.as_str())
            .map_or(&[][..], Vec::as_slice);
        let keys: Vec<LegKey> = others
            .iter()
            .filter(|other| {
                other.id != receiver.id && self.present.get(other.id as usize).copied().unwrap_or(false)
            })
            .flat_map(|other| {
                other.sources.iter().map(|source| LegKey {
                    sender: other.id,
                    source: source.source.number(),
                })
            })
            .collect();
        let wanted = |key: &&LegKey| {
            key.source == Source::Audio.number() || receiver.layout.picture(**key, &keys).is_some()
        };
        keys.iter().filter(wanted).copied().collect()
    }

    /// Frames of a source that should have come to a receiver; `None` where nothing was sent, or where it cannot be
    /// known.
    pub(super) fn frames(&self, receiver: u32, figures: &[&Figures], key: LegKey) -> Option<u64> {
        if self.renumbered.contains(&key.sender) || self.renumbered.contains(&receiver) {
            return None;
        }
        if self.sounds_are_chosen && key.source == Source::Audio.number() {
            return None;
        }
        let (newest, in_measurement) = *self.sent.get(&key)?;
        let per_second = f64::from(in_measurement) / self.measured_s;
        let under_way = (per_second * IN_FLIGHT.as_secs_f64()).ceil() as u32;
        let sent = if self.late.contains(&receiver) {
            // From its own first frame on; who never got one is judged by the joins.
            let first = figures
                .iter()
                .filter_map(|figures| figures.legs.get(&key))
                .map(|leg| leg.first_sequence)
                .min()?;
            newest.saturating_sub(first) + 1
        } else {
            in_measurement
        };
        let sure = sent.saturating_sub(under_way);
        (sure > 0).then_some(u64::from(sure))
    }
}
