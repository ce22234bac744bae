//! Does what the plan says when it says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::control;
use super::controls::{ControlOrder, Controls};
use super::facts::People;
use super::placement::{by_distance, next};
use super::target::{Look, Running, TargetChoice};
use super::{Options, Progress, RunError};
use crate::client::{Identity, LegKey, Setup, Source};
use crate::full::ControlFigures;
use crate::scenario::{Plan, Planned, Scenario, What};
use crate::signalling::Endpoint;
use crate::signalling::token::{Pass, mint};
use crate::target::Entrance;
use crate::worker::{Fact, Order, Outcome, Results, Roster, SentSoFar, Worker};

/// Longest wait of the loop, so that a stop is seen soon.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// A worker that does not answer within this time is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Tokens outlive the longest run.
const TOKEN_LIFETIME: Duration = Duration::from_secs(8 * 24 * 3_600);

/// What came back from one target.
pub(super) struct OutcomeOfRun {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) start: Instant,
    pub(super) measured: (Instant, Instant),
    pub(super) before: Look,
    pub(super) from: Look,
    pub(super) until: Look,
    /// Packets lost because the emulator was too slow.
    pub(super) dropped_before_reading: u64,
    /// Nodes that were asked to drain and did not end in order in time.
    pub(super) unclean_ends: u64,
    pub(super) sent_from: Vec<SentSoFar>,
    pub(super) sent_until: Vec<SentSoFar>,
    pub(super) results: Vec<Results>,
    /// What control clients got.
    pub(super) controls: Vec<ControlFigures>,
    pub(super) people: People,
    /// People in, at the end of each second.
    pub(super) present: Vec<usize>,
    /// Memory of each node in KiB, at the end of each second.
    pub(super) rss_kib: Vec<Vec<u64>>,
    /// Faults as they happened.
    pub(super) faults: Vec<(Instant, String)>,
}

struct Driver<'r> {
    options: &'r Options,
    plan: &'r Plan,
    running: Running,
    endpoints: Vec<Endpoint>,
    /// The way into each region; none where all are on one network.
    entrances: Vec<Option<Entrance>>,
    /// For each region all regions by distance.
    nearest: Vec<Vec<usize>>,
    workers: Vec<Worker>,
    controls: Controls,
    facts: Receiver<Fact>,
    people: People,
    start: Instant,
    faults: Vec<(Instant, String)>,
    present: Vec<usize>,
    rss_kib: Vec<Vec<u64>>,
    news: Vec<String>,
    /// Who talks now; also those who are not in.
    talking: Vec<bool>,
    sharing: Vec<bool>,
}

pub(super) fn run_target(
    options: &Options,
    plan: &Plan,
    choice: &TargetChoice,
    identity: &Identity,
    tell: &mut dyn FnMut(&Progress),
) -> Result<OutcomeOfRun, RunError> {
    let scenario = &options.scenario;
    let running = Running::start(choice, scenario, &options.folder)?;
    let before = running.look();
    let controls = Controls::start(options)?;
    let start = Instant::now();
    let (sender, facts) = channel();
    let roster = Arc::new(roster(plan));
    let workers = (0..options.workers.max(1))
        .map(|_| Worker::start(identity.clone(), Arc::clone(&roster), start, sender.clone()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(RunError::Worker)?;
    let mut driver = Driver {
        endpoints: running.endpoints(scenario.regions.iter().filter(|region| region.node).count())?,
        entrances: running.entrances(scenario.regions.len())?,
        nearest: (0..scenario.regions.len())
            .map(|home| by_distance(&scenario.regions, home))
            .collect(),
        options,
        plan,
        running,
        workers,
        controls,
        facts,
        people: People::new(plan.participants.len()),
        start,
        faults: Vec::new(),
        present: Vec::new(),
        rss_kib: Vec::new(),
        news: Vec::new(),
        talking: vec![true; plan.participants.len()],
        sharing: vec![false; plan.participants.len()],
    };
    let measured = driver.follow(&choice.name(), tell)?;
    Ok(OutcomeOfRun {
        dropped_before_reading: driver.running.dropped_before_reading()?,
        unclean_ends: driver.running.unclean_ends(),
        name: choice.name(),
        url: match choice {
            TargetChoice::Attached(attached) => attached.url.clone(),
            TargetChoice::Mesh { .. } => String::new(),
        },
        start,
        before,
        measured: measured.times,
        from: measured.from,
        until: measured.until,
        sent_from: measured.sent_from,
        sent_until: measured.sent_until,
        results: measured.results,
        controls: measured.controls,
        people: driver.people,
        present: driver.present,
        rss_kib: driver.rss_kib,
        faults: driver.faults,
    })
}

struct Measured {
    times: (Instant, Instant),
    from: Look,
    until: Look,
    sent_from: Vec<SentSoFar>,
    sent_until: Vec<SentSoFar>,
    results: Vec<Results>,
    controls: Vec<ControlFigures>,
}

impl Driver<'_> {
    fn scenario(&self) -> &Scenario {
        &self.options.scenario
    }

    /// Follows the whole list.
    fn follow(&mut self, name: &str, tell: &mut dyn FnMut(&Progress)) -> Result<Measured, RunError> {
        let plan = self.plan;
        self.let_controls_in()?;
        let mut begun: Option<(Instant, Look, Vec<SentSoFar>)> = None;
        for event in &plan.events {
            self.wait_until(self.start + event.at, name, tell)?;
            match &event.what {
                What::Join(id) => self.enter(*id)?,
                What::Leave(id) => {
                    self.people.leave(*id);
                    self.worker(*id).leave(*id);
                }
                What::Talk(id, on) => {
                    self.talking[*id as usize] = *on;
                    self.worker(*id).set_active(*id, Source::Audio, *on);
                }
                What::Share(id) => {
                    self.sharing[*id as usize] = true;
                    self.worker(*id).set_active(*id, Source::Screen, true);
                }
                What::Fault(fault) => {
                    self.running.cause(&fault.kind)?;
                    self.faults.push((Instant::now(), fault.kind.to_string()));
                    self.news.push(fault.kind.to_string());
                }
                What::MeasureFrom => {
                    self.must_have_joined()?;
                    let in_time = self.controls.begin()?;
                    self.news.extend(in_time);
                    self.workers.iter().for_each(Worker::restart_figures);
                    begun = Some((Instant::now(), self.running.look(), self.sent()?));
                }
                What::MeasureUntil => break,
            }
        }
        let until = Instant::now();
        let controls = self.controls.finish()?;
        let look = self.running.look();
        let sent_until = self.sent()?;
        let mut sending: Vec<LegKey> = sent_until
            .iter()
            .filter(|sent| sent.sending)
            .map(|sent| sent.key)
            .collect();
        sending.sort();
        let sending = Arc::new(sending);
        let results = self
            .workers
            .iter()
            .map(|worker| {
                let reply = worker.finish(Arc::clone(&sending));
                reply
                    .recv_timeout(ANSWER_WITHIN)
                    .map_err(|_| RunError::WorkerGone)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (from, from_look, sent_from) = begun.ok_or(RunError::WorkerGone)?;
        Ok(Measured {
            times: (from, until),
            from: from_look,
            until: look,
            sent_from,
            sent_until,
            results,
            controls,
        })
    }

    /// There is no point in measuring silence.
    fn must_have_joined(&self) -> Result<(), RunError> {
        if self.people.succeeded > 0 || self.people.failures.is_empty() {
            return Ok(());
        }
        let reasons: Vec<&str> = self.people.failures.keys().map(String::as_str).collect();
        Err(RunError::NobodyJoined(reasons.join("; ")))
    }

    /// They look on in the first room, from its first region, at pictures as large as the first group wants them.
    fn let_controls_in(&mut self) -> Result<(), RunError> {
        let Some(first) = self.plan.participants.first() else {
            return Ok(());
        };
        for number in 0..self.options.full + self.options.browsers {
            let identity = format!("control-{number}");
            let pass = Pass {
                identity: &identity,
                room: &first.room,
                publish: false,
            };
            let order = ControlOrder {
                id: (self.plan.participants.len() + number) as u32,
                endpoint: &self.endpoints[self.nearest_node(first.region)],
                entrance: self.entrances[first.region].as_ref(),
                token: mint(self.running.api(), pass, now_s(), TOKEN_LIFETIME)?,
                picture: control::picture(first.layout),
            };
            if number < self.options.full {
                self.controls.join_full(order)?;
            } else {
                self.controls.join_browser(&order)?;
            }
        }
        Ok(())
    }

    fn worker(&self, id: u32) -> &Worker {
        &self.workers[id as usize % self.workers.len()]
    }

    fn sent(&self) -> Result<Vec<SentSoFar>, RunError> {
        let mut all = Vec::new();
        for worker in &self.workers {
            let reply = worker.sent();
            all.extend(
                reply
                    .recv_timeout(ANSWER_WITHIN)
                    .map_err(|_| RunError::WorkerGone)?,
            );
        }
        Ok(all)
    }

    /// Reads facts until it is time.
    fn wait_until(
        &mut self,
        due: Instant,
        name: &str,
        tell: &mut dyn FnMut(&Progress),
    ) -> Result<(), RunError> {
        loop {
            if self.options.stop.load(Ordering::Relaxed) {
                return Err(RunError::Stopped);
            }
            let now = Instant::now();
            self.count_second(now, name, tell);
            for id in self.people.due(now) {
                self.dial_again(id)?;
            }
            if now >= due {
                return Ok(());
            }
            let next = self.people.next_retry().map_or(due, |retry| retry.min(due));
            let wait = next.saturating_duration_since(now).min(LONGEST_WAIT);
            match self.facts.recv_timeout(wait) {
                Ok(Fact::SentAway { id, next }) => self.follow_to(id, next)?,
                Ok(fact) => self.take_fact(&fact),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::WorkerGone),
            }
        }
    }

    fn take_fact(&mut self, fact: &Fact) {
        self.people.note(fact, Instant::now());
        if let Fact::Ended { id, outcome } = fact
            && *outcome != Outcome::Left
            && self.news.len() < 8
        {
            let who = &self.plan.participants[*id as usize].identity;
            self.news.push(format!("{who}: {outcome}"));
        }
        if let Fact::Connected { id, .. } = fact {
            // Whoever comes back goes on with what he was doing.
            let worker = self.worker(*id);
            worker.set_active(*id, Source::Audio, self.talking[*id as usize]);
            worker.set_active(*id, Source::Screen, self.sharing[*id as usize]);
        }
    }

    fn count_second(&mut self, now: Instant, name: &str, tell: &mut dyn FnMut(&Progress)) {
        let second = now.saturating_duration_since(self.start).as_secs() as usize;
        if self.present.len() > second {
            return;
        }
        let present = self.people.present();
        self.present.resize(second + 1, present);
        self.rss_kib.resize(second + 1, self.running.rss_kib());
        tell(&Progress {
            target: name.to_owned(),
            at: now.saturating_duration_since(self.start),
            of: self.scenario().warm_up + self.scenario().duration,
            participants: present,
            failed: self.people.failed(),
            news: std::mem::take(&mut self.news),
        });
    }

    fn enter(&mut self, id: u32) -> Result<(), RunError> {
        let place = self.nearest_node(self.plan.participants[id as usize].region);
        self.people.enter(id, place);
        self.dial(id, place)
    }

    /// The node people of a region use first.
    fn nearest_node(&self, home: usize) -> usize {
        self.nearest[home].first().copied().unwrap_or(home)
    }

    /// The connection was lost: the next place, as a client does that has a list of alternatives.
    fn dial_again(&mut self, id: u32) -> Result<(), RunError> {
        let home = self.plan.participants[id as usize].region;
        let person = &mut self.people.by_id[id as usize];
        person.place = next(&self.nearest[home], person.place);
        let place = person.place;
        self.dial(id, place)
    }

    /// The server wants somebody elsewhere.
    fn follow_to(&mut self, id: u32, next_nodes: Vec<String>) -> Result<(), RunError> {
        let regions = &self.scenario().regions;
        let named = next_nodes
            .first()
            .and_then(|name| regions.iter().position(|region| region.name == *name));
        let home = self.plan.participants[id as usize].region;
        let place = named.unwrap_or_else(|| next(&self.nearest[home], self.people.by_id[id as usize].place));
        self.people
            .note(&Fact::SentAway { id, next: next_nodes }, Instant::now());
        if !self.people.by_id[id as usize].wanted {
            return Ok(());
        }
        self.people.by_id[id as usize].place = place;
        self.dial(id, place)
    }

    fn dial(&self, id: u32, place: usize) -> Result<(), RunError> {
        let planned = &self.plan.participants[id as usize];
        let order = self.order(planned, place)?;
        self.worker(id).join(order);
        Ok(())
    }

    fn order(&self, planned: &Planned, place: usize) -> Result<Order, RunError> {
        let pass = Pass {
            identity: &planned.identity,
            room: &planned.room,
            publish: !planned.sources.is_empty(),
        };
        let endpoint = self.endpoints[place].clone();
        Ok(Order {
            setup: Setup {
                id: planned.id,
                seed: self
                    .scenario()
                    .seed
                    .wrapping_mul(1 << 20)
                    .wrapping_add(u64::from(planned.id)),
                sources: planned.sources.clone(),
                open_one_in: self.options.open_one_in,
            },
            token: mint(self.running.api(), pass, now_s(), TOKEN_LIFETIME)?,
            identity: planned.identity.clone(),
            region: planned.region as u16,
            entrance: self.entrances[planned.region].clone(),
            layout: planned.layout,
            follows: true,
            local: if endpoint.address.is_ipv4() {
                std::net::IpAddr::from([0, 0, 0, 0])
            } else {
                std::net::IpAddr::from([0; 16])
            },
            endpoint,
        })
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn roster(plan: &Plan) -> Roster {
    let all = plan.participants.iter();
    Roster {
        identities: all
            .clone()
            .map(|planned| (planned.identity.clone(), planned.id))
            .collect(),
        regions: all.map(|planned| (planned.id, planned.region as u16)).collect(),
    }
}
