//! What is known of each participant while a run goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::worker::{Fact, Outcome};

/// First wait before somebody whose connection was lost dials again; doubled up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
/// Different reasons counted; more are counted together.
const MOST_REASONS: usize = 50;

/// One participant.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    /// It should be there.
    pub(super) wanted: bool,
    /// It is.
    pub(super) present: bool,
    /// Media flow.
    pub(super) connected: bool,
    /// Since when, for the connection it has now.
    pub(super) connected_at: Option<Instant>,
    /// The region whose server it uses.
    pub(super) place: usize,
    /// When it dials again.
    pub(super) retry_at: Option<Instant>,
    retries: u32,
    /// It was sent to another server and is not there yet.
    moving: bool,
    /// When it lost its server, or was sent away by it, and came back.
    pub(super) moved: Vec<(Instant, Option<Instant>)>,
    /// It is somewhere for the first time since the plan said so.
    first: bool,
}

/// All of them, and how they came in.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    pub(super) by_id: Vec<Person>,
    pub(super) planned: u64,
    pub(super) succeeded: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) joined_ms: Vec<f64>,
    pub(super) connected_ms: Vec<f64>,
    pub(super) first_frame_ms: Vec<f64>,
    pub(super) first_picture_ms: Vec<f64>,
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl People {
    pub(super) fn new(count: usize) -> Self {
        Self {
            by_id: vec![Person::default(); count],
            ..Self::default()
        }
    }

    pub(super) fn present(&self) -> usize {
        self.by_id.iter().filter(|person| person.connected).count()
    }

    pub(super) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The plan lets somebody in at `place`.
    pub(super) fn enter(&mut self, id: u32, place: usize) {
        if let Some(person) = self.by_id.get_mut(id as usize) {
            self.planned += 1;
            *person = Person {
                wanted: true,
                present: true,
                place,
                first: true,
                moved: std::mem::take(&mut person.moved),
                ..Person::default()
            };
        }
    }

    /// The plan lets somebody go.
    pub(super) fn leave(&mut self, id: u32) {
        if let Some(person) = self.by_id.get_mut(id as usize) {
            person.wanted = false;
            person.retry_at = None;
        }
    }

    /// Takes a fact. Somebody who should be there and is not dials again a little later.
    pub(super) fn note(&mut self, fact: &Fact, now: Instant) {
        match fact {
            Fact::Joined { after, .. } => self.joined_ms.push(ms(*after)),
            Fact::Connected { id, after } => {
                self.connected_ms.push(ms(*after));
                if let Some(person) = self.by_id.get_mut(*id as usize) {
                    person.connected = true;
                    person.connected_at = Some(now);
                    person.retries = 0;
                    person.moving = false;
                    if let Some((_, back @ None)) = person.moved.last_mut() {
                        *back = Some(now);
                    }
                    if std::mem::take(&mut person.first) {
                        self.succeeded += 1;
                    }
                }
            }
            Fact::FirstFrame { after, .. } => self.first_frame_ms.push(ms(*after)),
            Fact::FirstPicture { after, .. } => self.first_picture_ms.push(ms(*after)),
            Fact::SentAway { id, .. } => {
                if let Some(person) = self.by_id.get_mut(*id as usize).filter(|person| person.wanted) {
                    person.moving = true;
                    person.moved.push((now, None));
                }
            }
            Fact::Ended { id, outcome } => self.lose(*id, outcome, now),
        }
    }

    fn lose(&mut self, id: u32, outcome: &Outcome, now: Instant) {
        let Some(person) = self.by_id.get_mut(id as usize) else {
            return;
        };
        person.present = false;
        if std::mem::take(&mut person.connected) && person.wanted && !person.moving {
            person.moved.push((now, None));
        }
        if !person.wanted || *outcome == Outcome::Left {
            return;
        }
        let wait = (FIRST_RETRY * 2_u32.saturating_pow(person.retries)).min(LONGEST_RETRY);
        person.retries += 1;
        person.retry_at = Some(now + wait);
        let reason = outcome.to_string();
        if let Some(count) = self.failures.get_mut(&reason) {
            *count += 1;
        } else {
            let many = self.failures.len() >= MOST_REASONS;
            let reason = if many { "other reasons".to_owned() } else { reason };
            *self.failures.entry(reason).or_default() += 1;
        }
    }

    /// Those who dial again now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        for (id, person) in self.by_id.iter_mut().enumerate() {
            if person.wanted && person.retry_at.is_some_and(|at| at <= now) {
                person.retry_at = None;
                person.present = true;
                due.push(id as u32);
            }
        }
        due
    }

    /// When the next one dials again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.by_id.iter().filter_map(|person| person.retry_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::SignallingError;

    #[test]
    fn who_is_sent_away_moves_once_and_is_no_failure() {
        let now = Instant::now();
        let mut people = People::new(1);
        people.enter(0, 0);
        let connected = || Fact::Connected {
            id: 0,
            after: Duration::from_millis(9),
        };
        people.note(&connected(), now);
        let later = now + Duration::from_secs(1);
        let next = vec!["sin".to_owned()];
        people.note(&Fact::SentAway { id: 0, next }, now);
        people.note(&connected(), later);
        assert_eq!((people.failed(), people.present()), (0, 1));
        assert_eq!(people.by_id[0].moved, [(now, Some(later))]);
    }

    #[test]
    fn who_is_lost_comes_back_ever_more_slowly_and_who_leaves_does_not() {
        let mut now = Instant::now();
        let mut people = People::new(2);
        people.enter(0, 0);
        people.enter(1, 0);
        people.note(
            &Fact::Connected {
                id: 0,
                after: Duration::from_millis(9),
            },
            now,
        );
        let lost = Outcome::Signalling(SignallingError::Closed);
        let mut waits = Vec::new();
        for _ in 0..7 {
            people.note(
                &Fact::Ended {
                    id: 0,
                    outcome: lost.clone(),
                },
                now,
            );
            let at = people.next_retry().unwrap();
            waits.push((at - now).as_millis());
            now = at;
            assert_eq!(people.due(now), [0]);
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
        people.leave(1);
        people.note(
            &Fact::Ended {
                id: 1,
                outcome: Outcome::Left,
            },
            now,
        );
        assert_eq!(people.next_retry(), None);
        assert_eq!((people.planned, people.succeeded, people.failed()), (2, 1, 7));
        let moved = &people.by_id[0].moved;
        assert!(moved.len() == 1 && moved[0].1.is_none());
    }
}
