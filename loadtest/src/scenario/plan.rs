//! The participants of a run and the ordered list of what happens.

use std::fmt;
use std::time::Duration;

use super::model::{Arrival, ClientKind, FaultSpec, Group, Role, Scenario, SpeechModel};
use super::speech::{Spurt, alone, turns};
use super::{MOST_EVENTS, ScenarioError, value};
use crate::client::{Source, SourceSetup};
use crate::trace::Codec;
use crate::wan::model::random::SplitMix64;
use crate::worker::Layout;

/// A participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Number, from 0; stamps carry it.
    pub id: u32,
    /// Identity in its room.
    pub identity: String,
    /// Its room.
    pub room: String,
    /// Region, by its place in the scenario.
    pub region: usize,
    /// What it does.
    pub role: Role,
    /// What it sends.
    pub sources: Vec<SourceSetup>,
    /// Which pictures it wants.
    pub layout: Layout,
    /// What it uses.
    pub client: ClientKind,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Somebody comes, for the first time or again.
    Join(u32),
    /// Somebody goes.
    Leave(u32),
    /// Somebody begins to talk or stops.
    Talk(u32, bool),
    /// Somebody begins to share a screen.
    Share(u32),
    /// Something breaks or is mended.
    Fault(Box<FaultSpec>),
    /// Warm-up is over.
    MeasureFrom,
    /// The run is over.
    MeasureUntil,
}

/// An event and its time after the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedEvent {
    /// When.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// Who is there, and what happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// By number.
    pub participants: Vec<Planned>,
    /// In order of time.
    pub events: Vec<PlannedEvent>,
}

impl Plan {
    /// Makes the plan of a scenario; equal scenarios give equal plans.
    ///
    /// # Errors
    /// [`ScenarioError::Value`] when it would have too many events.
    pub fn of(scenario: &Scenario) -> Result<Self, ScenarioError> {
        let mut random = SplitMix64::new(scenario.seed);
        let mut plan = Self {
            participants: Vec::new(),
            events: Vec::new(),
        };
        let end = scenario.warm_up + scenario.duration;
        for room in 0..scenario.rooms {
            let first = plan.participants.len();
            for group in &scenario.groups {
                plan.add_group(scenario, group, room, &mut random);
            }
            plan.check()?;
            plan.add_speech(scenario.speech, first, end, &mut random);
            plan.check()?;
        }
        if let Some(churn) = scenario.churn {
            plan.add_churn(churn.mean_stay, churn.mean_away, end, &mut random)?;
        }
        let faults = scenario.faults.iter().map(|fault| PlannedEvent {
            at: fault.at,
            what: What::Fault(Box::new(fault.clone())),
        });
        plan.events.extend(faults);
        plan.push(scenario.warm_up, What::MeasureFrom);
        plan.push(end, What::MeasureUntil);
        // Stable: what was added first comes first at equal times.
        plan.events.sort_by_key(|event| event.at);
        let last = plan
            .events
            .iter()
            .position(|event| event.what == What::MeasureUntil);
        plan.events.truncate(last.map_or(usize::MAX, |last| last + 1));
        Ok(plan)
    }

    fn push(&mut self, at: Duration, what: What) {
        self.events.push(PlannedEvent { at, what });
    }

    fn check(&self) -> Result<(), ScenarioError> {
        if self.events.len() > MOST_EVENTS {
            return Err(value(
                "duration",
                format!("the plan has more than {MOST_EVENTS} events"),
            ));
        }
        Ok(())
    }

    fn add_group(&mut self, scenario: &Scenario, group: &Group, room: usize, random: &mut SplitMix64) {
        let region = &scenario.regions[group.region].name;
        for number in 0..group.count {
            let id = self.participants.len() as u32;
            let at = group.at
                + match group.arrival {
                    Arrival::Even(within) => within.mul_f64(number as f64 / group.count as f64),
                    Arrival::Random(within) => within.mul_f64(random.next_unit()),
                };
            self.push(at, What::Join(id));
            if group.role == Role::Presenter {
                self.push(at, What::Share(id));
            }
            self.participants.push(Planned {
                id,
                identity: format!("{region}-{id}"),
                room: format!("{}-{room}", scenario.name),
                region: group.region,
                role: group.role,
                sources: sources(group),
                layout: group.layout,
                client: group.client,
            });
        }
    }

    /// Lets the people of one room talk, those from `first` on.
    fn add_speech(&mut self, model: SpeechModel, first: usize, end: Duration, random: &mut SplitMix64) {
        let talkers: Vec<u32> = self.participants[first..]
            .iter()
            .filter(|participant| participant.role != Role::Audience)
            .map(|participant| participant.id)
            .collect();
        let spurts: Vec<Spurt> = match model {
            SpeechModel::None | SpeechModel::Always => Vec::new(),
            SpeechModel::Turns => turns(random, talkers.len(), end),
            SpeechModel::P59 => (0..talkers.len())
                .flat_map(|who| alone(random, who, end))
                .collect(),
        };
        if model != SpeechModel::Always {
            for talker in &talkers {
                self.push(Duration::ZERO, What::Talk(*talker, false));
            }
        }
        for spurt in spurts {
            self.push(spurt.from, What::Talk(talkers[spurt.who], true));
            self.push(spurt.until, What::Talk(talkers[spurt.who], false));
        }
    }

    fn add_churn(
        &mut self,
        stay: Duration,
        away: Duration,
        end: Duration,
        random: &mut SplitMix64,
    ) -> Result<(), ScenarioError> {
        let mut draw = |mean: Duration| mean.mul_f64(-(1.0 - random.next_unit()).ln());
        let arrivals: Vec<(Duration, u32)> = self
            .events
            .iter()
            .filter_map(|event| match event.what {
                What::Join(id) => Some((event.at, id)),
                _ => None,
            })
            .collect();
        for (mut at, id) in arrivals {
            loop {
                at += draw(stay).max(Duration::from_secs(1));
                if at >= end {
                    break;
                }
                self.push(at, What::Leave(id));
                at += draw(away).max(Duration::from_millis(100));
                if at >= end {
                    break;
                }
                self.push(at, What::Join(id));
                self.check()?;
            }
        }
        Ok(())
    }
}

fn sources(group: &Group) -> Vec<SourceSetup> {
    let audio = SourceSetup {
        source: Source::Audio,
        codec: Codec::Opus,
        layers: 1,
    };
    let camera = SourceSetup {
        source: Source::Camera,
        codec: group.codec,
        layers: group.layers,
    };
    let screen = SourceSetup {
        source: Source::Screen,
        codec: Codec::Vp8,
        layers: 1,
    };
    match group.role {
        Role::Audience => Vec::new(),
        Role::AudioOnly => vec![audio],
        Role::Speaker => vec![audio, camera],
        Role::Presenter => vec![audio, screen],
    }
}

impl fmt::Display for Plan {
    /// One line per event: seconds, then what happens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |id: &u32| {
            self.participants
                .get(*id as usize)
                .map_or("?", |planned| planned.identity.as_str())
        };
        for event in &self.events {
            write!(f, "{:>10.3}  ", event.at.as_secs_f64())?;
            match &event.what {
                What::Join(id) => writeln!(f, "join {}", who(id)),
                What::Leave(id) => writeln!(f, "leave {}", who(id)),
                What::Talk(id, true) => writeln!(f, "talk {}", who(id)),
                What::Talk(id, false) => writeln!(f, "hush {}", who(id)),
                What::Share(id) => writeln!(f, "share {}", who(id)),
                What::Fault(fault) => writeln!(f, "{}", fault.kind),
                What::MeasureFrom => writeln!(f, "measure from here"),
                What::MeasureUntil => writeln!(f, "measure until here"),
            }?;
        }
        Ok(())
    }
}
