//! The loop of one worker.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::time::{ClockId, clock_gettime};

use super::participant::{LONGEST_REST, Participant};
use super::probe::Probe;
use super::socket::ReadBuffer;
use super::wheel::Wheel;
use super::{Command, Fact, Figures, Order, Outcome, PairKey, Results, Roster, Tally};
use crate::client::{Identity, LegKey, Shown, Source};
use crate::signalling::Interest;

/// Descriptors reported at once.
const EVENTS_PER_WAIT: usize = 256;
/// Numbers of the event descriptor and of the probe's socket; no client reaches them.
const WAKE: u64 = u64::MAX;
const PROBE: u64 = u64::MAX - 1;

pub(super) struct EventLoop {
    epoll: Epoll,
    wake: Arc<EventFd>,
    identity: Identity,
    roster: Arc<Roster>,
    facts: Sender<Fact>,
    places: Vec<Option<Seat>>,
    by_id: BTreeMap<u32, usize>,
    /// Places of those who come in elsewhere and have not let go yet.
    former: BTreeMap<u32, usize>,
    /// Figures of those who have gone.
    gone: Vec<Figures>,
    wheel: Wheel,
    buffer: ReadBuffer,
    shown: Vec<Shown>,
    news: Vec<Fact>,
    tally: Tally,
    probe: Probe,
    figures_since: (Instant, Duration),
}

struct Seat {
    participant: Participant,
    /// What epoll knows of the signalling socket.
    watched: Option<Interest>,
}

impl EventLoop {
    pub(super) fn new(
        identity: Identity,
        roster: Arc<Roster>,
        run_start: Instant,
        facts: Sender<Fact>,
        wake: Arc<EventFd>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let probe = Probe::start()?;
        epoll.add(probe.descriptor(), EpollEvent::new(EpollFlags::EPOLLIN, PROBE))?;
        Ok(Self {
            epoll,
            wake,
            identity,
            roster,
            facts,
            places: Vec::new(),
            by_id: BTreeMap::new(),
            former: BTreeMap::new(),
            gone: Vec::new(),
            wheel: Wheel::new(Instant::now()),
            buffer: ReadBuffer::new(),
            shown: Vec::new(),
            news: Vec::new(),
            tally: Tally::new(run_start),
            probe,
            figures_since: (Instant::now(), Duration::ZERO),
        })
    }

    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
        let mut ringing = Vec::new();
        self.figures_since = (Instant::now(), thread_cpu());
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                // The descriptor is ours and open: the system itself is broken.
                Err(_) => return,
            };
            for event in &events[..count] {
                match event.data() {
                    WAKE => {
                        let _ = self.wake.read();
                        if !self.obey(commands) {
                            return;
                        }
                    }
                    PROBE => self.probe.receive(&mut self.buffer),
                    number => self.handle_ready(number),
                }
            }
            let now = Instant::now();
            self.wheel.ring(now, &mut ringing);
            for place in ringing.drain(..) {
                self.visit(place, Participant::handle_timeout);
            }
            self.tally.turn(now);
            self.probe.send_due(now);
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let now = Instant::now();
        let rest = self.wheel.rest(now, self.probe.rest(now).min(LONGEST_REST));
        let ms = rest.as_nanos().div_ceil(1_000_000);
        EpollTimeout::from(u16::try_from(ms).unwrap_or(u16::MAX))
    }

    /// Whether to go on.
    fn obey(&mut self, commands: &Receiver<Command>) -> bool {
        loop {
            match commands.try_recv() {
                Ok(Command::Join(order)) => self.join(*order),
                Ok(Command::Leave(id)) => self.with(id, |participant, news| participant.leave(news)),
                Ok(Command::SetActive { id, source, active }) => {
                    self.with(id, |participant, _| participant.set_active(source, active));
                }
                Ok(Command::Restart) => self.restart(),
                Ok(Command::Sent(reply)) => {
                    let seats = self.places.iter().flatten();
                    let sent = seats.flat_map(|seat| seat.participant.sent()).collect();
                    // Whoever asked may have given up.
                    let _ = reply.send(sent);
                }
                Ok(Command::Finish { sending, results }) => {
                    let _ = results.send(self.finish(&sending));
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn join(&mut self, order: Order) {
        let id = order.setup.id;
        match Participant::dial(order, &self.identity) {
            Ok(participant) => {
                let place = self
                    .places
                    .iter()
                    .position(Option::is_none)
                    .unwrap_or(self.places.len());
                let number = (place as u64) << 1;
                let readable = EpollEvent::new(EpollFlags::EPOLLIN, number);
                if let Err(error) = self.epoll.add(participant.media().descriptor(), readable) {
                    return self.tell_ended(id, Outcome::Socket(error.to_string()));
                }
                let seat = Seat {
                    participant,
                    watched: None,
                };
                if place == self.places.len() {
                    self.places.push(Some(seat));
                } else {
                    self.places[place] = Some(seat);
                }
                if let Some(former) = self.by_id.insert(id, place) {
                    self.former.insert(id, former);
                }
                self.visit(place, |_| ());
            }
            Err(outcome) => self.tell_ended(id, outcome),
        }
    }

    fn tell_ended(&self, id: u32, outcome: Outcome) {
        // Nobody listens any more only when the run is being given up.
        let _ = self.facts.send(Fact::Ended { id, outcome });
    }

    fn with(&mut self, id: u32, action: impl FnOnce(&mut Participant, &mut Vec<Fact>)) {
        let Some(place) = self.by_id.get(&id).copied() else {
            return;
        };
        let mut news = std::mem::take(&mut self.news);
        self.visit(place, |participant| action(participant, &mut news));
        self.tell(&mut news);
        self.news = news;
    }

    fn tell(&self, news: &mut Vec<Fact>) {
        for fact in news.drain(..) {
            let _ = self.facts.send(fact);
        }
    }

    fn handle_ready(&mut self, number: u64) {
        let place = (number >> 1) as usize;
        if number & 1 == 1 {
            self.visit(place, Participant::handle_signalling);
            return;
        }
        let mut buffer = std::mem::replace(&mut self.buffer, ReadBuffer::empty());
        self.visit(place, |participant| participant.handle_media(&mut buffer));
        self.buffer = buffer;
    }

    /// Lets a participant do something, then sends, tells, counts and sets its timer.
    fn visit(&mut self, place: usize, action: impl FnOnce(&mut Participant)) {
        let Some(Some(seat)) = self.places.get_mut(place) else {
            return;
        };
        let participant = &mut seat.participant;
        action(participant);
        participant.pump(&self.roster.identities, &mut self.news);
        participant.take_shown(&mut self.shown, &mut self.news);
        for shown in self.shown.drain(..) {
            count(&mut self.tally, &self.roster, participant, &shown);
        }
        let (id, over, hears) = (participant.id(), participant.over, participant.hears());
        let is_former = self.former.get(&id) == Some(&place);
        if is_former {
            // Whoever is on the way elsewhere has left nothing that matters.
            self.news.retain(|fact| !matches!(fact, Fact::Ended { .. }));
        }
        if over {
            self.wheel.set(place, None);
        } else {
            self.wheel.set(place, participant.poll_timeout());
            watch(&self.epoll, seat, place);
        }
        let mut news = std::mem::take(&mut self.news);
        self.tell(&mut news);
        self.news = news;
        if over {
            self.clear(place);
        } else if hears && !is_former {
            self.let_go(id);
        }
    }

    /// Somebody who was sent away hears something where it is now.
    fn let_go(&mut self, id: u32) {
        if let Some(place) = self.former.get(&id).copied() {
            let mut unheard = Vec::new();
            self.visit(place, |participant| participant.leave(&mut unheard));
        }
    }

    fn clear(&mut self, place: usize) {
        let Some(mut seat) = self.places.get_mut(place).and_then(Option::take) else {
            return;
        };
        // Closing the descriptors ends their watch.
        let _ = self.epoll.delete(seat.participant.media().descriptor());
        let id = seat.participant.id();
        for places in [&mut self.by_id, &mut self.former] {
            if places.get(&id) == Some(&place) {
                places.remove(&id);
            }
        }
        self.gone.push(seat.participant.figures(&|_| false));
    }

    fn restart(&mut self) {
        self.gone.clear();
        for seat in self.places.iter_mut().flatten() {
            seat.participant.restart_figures();
        }
        self.tally.restart();
        self.probe.restart();
        self.figures_since = (Instant::now(), thread_cpu());
    }

    fn finish(&mut self, sending: &[LegKey]) -> Results {
        let still = |key: LegKey| sending.binary_search(&key).is_ok();
        let here = self.places.iter_mut().flatten();
        let figures = here.map(|seat| seat.participant.figures(&still));
        let participants = self.gone.drain(..).chain(figures).collect();
        let (since, cpu) = self.figures_since;
        Results {
            participants,
            tally: self.tally.clone(),
            own_delay_us: self.probe.delay_us().clone(),
            cpu: thread_cpu().saturating_sub(cpu),
            wall: since.elapsed(),
        }
    }
}

fn count(tally: &mut Tally, roster: &Roster, participant: &Participant, shown: &Shown) {
    let (Some(from), Some(source)) = (
        roster.regions.get(&shown.key.sender).copied(),
        Source::of_number(shown.key.source),
    ) else {
        return;
    };
    let key = PairKey {
        from,
        to: participant.region(),
        source,
    };
    let wanted = match source {
        Source::Camera => participant.wanted(shown.key),
        Source::Audio | Source::Screen => None,
    };
    tally.add(key, shown, wanted);
}

/// Tells epoll what the signalling socket waits for, when that has changed.
fn watch(epoll: &Epoll, seat: &mut Seat, place: usize) {
    let wanted = seat.participant.interest();
    let Some(socket) = seat.participant.connection().socket() else {
        return;
    };
    if seat.watched == Some(wanted) {
        return;
    }
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, wanted.read);
    flags.set(EpollFlags::EPOLLOUT, wanted.write);
    let mut event = EpollEvent::new(flags, (place as u64) << 1 | 1);
    let told = match seat.watched {
        None => epoll.add(socket.as_fd(), event),
        Some(_) => epoll.modify(socket.as_fd(), &mut event),
    };
    if told.is_ok() {
        seat.watched = Some(wanted);
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
