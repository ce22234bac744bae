//! The thread's loop: deliver what is due, sleep, take what has come.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant, SystemTime};

use super::flows::FlowId;
use super::handle::{Answer, Request};
use super::in_flight::{Datagram, Route};
use super::poller::Token;
use super::{Relay, WanError};
use crate::wan::command::{Between, Command};
use crate::wan::model::Verdict;
use crate::wan::stats::WanStats;

/// Datagrams taken from one socket before the others have their turn.
const DATAGRAMS_PER_TURN: usize = 64;

/// How often idle flows are closed and the capture is flushed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Relay {
    /// Carries datagrams on this thread until [`super::WanHandle::stop`], then returns the final counters.
    ///
    /// # Errors
    /// [`WanError`] if the capture cannot be written or the system fails the event loop.
    pub fn run(mut self) -> Result<WanStats, WanError> {
        let mut next_sweep = Instant::now() + SWEEP_EVERY;
        loop {
            let now = Instant::now();
            self.deliver_due(now)?;
            if now >= next_sweep {
                self.sweep(now)?;
                next_sweep = now + SWEEP_EVERY;
            }
            let earliest = self.in_flight.earliest();
            for token in self.poller.wait(Instant::now(), earliest)? {
                match token {
                    Token::ControlClient(index) => self.read_control(index),
                    Token::ControlListener => self.accept_control(),
                    Token::Flow(index) => self.receive_back(index),
                    Token::Listen(index) => self.receive_forward(index),
                    Token::Timer => {}
                    Token::Wake => {
                        if self.answer_requests()? {
                            return self.finish();
                        }
                    }
                }
            }
        }
    }

    fn finish(mut self) -> Result<WanStats, WanError> {
        if let Some(capture) = &mut self.capture {
            capture.flush().map_err(WanError::Capture)?;
        }
        Ok(self.stats())
    }

    fn sweep(&mut self, now: Instant) -> Result<(), WanError> {
        self.flows.close_idle(now);
        match &mut self.capture {
            Some(capture) => capture.flush().map_err(WanError::Capture),
            None => Ok(()),
        }
    }

    /// Takes what senders have sent to a link.
    fn receive_forward(&mut self, pair: usize) {
        for _ in 0..DATAGRAMS_PER_TURN {
            let (bytes, sender) = match self.pairs[pair].socket.recv_from(&mut self.buffer) {
                Ok((bytes, SocketAddr::V4(sender))) => (bytes, sender),
                Ok((_, SocketAddr::V6(_))) => continue,
                Err(error) if is_empty(&error) => return,
                Err(_) => continue,
            };
            let now = Instant::now();
            let flow = self
                .flows
                .find(pair, sender, now)
                .map_or_else(|| self.open_flow(pair, sender, now), Some);
            self.admit(pair, flow, Route::Forward, bytes, now);
        }
    }

    /// Takes what a receiving node has answered to one sender.
    fn receive_back(&mut self, index: usize) {
        let turn = Instant::now();
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some((id, flow)) = self.flows.by_index(index, turn) else {
                return;
            };
            let bytes = match flow.socket.recv(&mut self.buffer) {
                Ok(bytes) => bytes,
                Err(error) if is_empty(&error) => return,
                // A refusal by a node that is down is reported here; no wide-area link carries
                // it back.
                Err(_) => continue,
            };
            let pair = self.pairs[flow.pair].opposite;
            self.admit(pair, Some(id), Route::Back, bytes, Instant::now());
        }
    }

    fn open_flow(&mut self, pair: usize, sender: SocketAddrV4, now: Instant) -> Option<FlowId> {
        let id = self
            .flows
            .open(pair, sender, self.pairs[pair].forward_to, now)
            .ok()?;
        let watched = self
            .poller
            .watch(&self.flows.by_id(id)?.socket, Token::Flow(id.index));
        if watched.is_err() {
            self.flows.close(id);
            return None;
        }
        Some(id)
    }

    /// Offers the datagram at the start of the buffer to a link. Without a flow it is refused.
    fn admit(&mut self, index: usize, flow: Option<FlowId>, route: Route, bytes: usize, now: Instant) {
        let pair = &mut self.pairs[index];
        pair.stats.offered.add(bytes);
        let Some(flow) = flow else {
            pair.stats.refused += 1;
            return;
        };
        if pair.stats.cut {
            pair.stats.cut_off += 1;
            return;
        }
        let due = match pair.link.offer(now, bytes) {
            Verdict::Deliver { due } => due,
            Verdict::Lost => {
                pair.stats.lost += 1;
                return;
            }
            Verdict::QueueFull => {
                pair.stats.queue_full += 1;
                return;
            }
        };
        let payload = self.buffer[..bytes].into();
        if self.in_flight.push(Datagram {
            due,
            pair: index,
            cuts: pair.cuts,
            flow,
            route,
            payload,
        }) {
            pair.stats.in_flight += 1;
        } else {
            pair.stats.refused += 1;
        }
    }

    fn deliver_due(&mut self, now: Instant) -> Result<(), WanError> {
        while let Some(datagram) = self.in_flight.pop_due(now) {
            self.deliver(&datagram)?;
        }
        Ok(())
    }

    fn deliver(&mut self, datagram: &Datagram) -> Result<(), WanError> {
        let pair = &self.pairs[datagram.pair];
        let survived = datagram.cuts == pair.cuts;
        let flow = self.flows.by_id(datagram.flow);
        let sent = match (flow, datagram.route) {
            (Some(flow), Route::Forward) if survived => {
                send_again_if_refused(|| flow.socket.send(&datagram.payload))
                    .map(|_| (flow.sender, pair.forward_to))
            }
            (Some(flow), Route::Back) if survived => {
                let entry = &self.pairs[flow.pair];
                entry
                    .socket
                    .send_to(&datagram.payload, flow.sender)
                    .map(|_| (entry.forward_to, flow.sender))
            }
            _ => Err(ErrorKind::NotConnected.into()),
        };
        if let (Ok((source, destination)), Some(capture)) = (&sent, &mut self.capture) {
            let recorded = capture.record(SystemTime::now(), *source, *destination, &datagram.payload);
            recorded.map_err(WanError::Capture)?;
        }
        let stats = &mut self.pairs[datagram.pair].stats;
        stats.in_flight -= 1;
        match sent {
            Ok(_) => stats.delivered.add(datagram.payload.len()),
            Err(_) if !survived => stats.cut_off += 1,
            Err(_) => stats.unsent += 1,
        }
        Ok(())
    }

    /// Obeys waiting commands; `true` if one of them asked to end.
    fn answer_requests(&mut self) -> Result<bool, WanError> {
        match self.wake.read() {
            Ok(_) | Err(nix::Error::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Do(command, reply) => {
                    let answer = self.obey(&command);
                    // A caller that no longer waits needs no answer.
                    let _ = reply.try_send(answer);
                }
                Request::Stop => return Ok(true),
            }
        }
        Ok(false)
    }

    fn obey(&mut self, command: &Command) -> Result<Answer, WanError> {
        match command {
            Command::Cut(between) => self.on_each(between, |relay, index| relay.pairs[index].cut()),
            Command::Heal(between) => self.on_each(between, |relay, index| relay.pairs[index].heal()),
            Command::Set(between, change) => self.on_each(between, |relay, index| {
                let link = &mut relay.pairs[index].link;
                link.change(change.applied_to(link.properties()));
            }),
            Command::Stats => Ok(Answer::Stats(self.stats())),
        }
    }

    /// Does something to every link meant, or to none if one of them does not exist.
    fn on_each(
        &mut self,
        between: &Between,
        mut change: impl FnMut(&mut Self, usize),
    ) -> Result<Answer, WanError> {
        let index_of = |(from, to): (&str, &str)| {
            let found = self
                .pairs
                .iter()
                .position(|pair| pair.from == from && pair.to == to);
            found.ok_or_else(|| WanError::UnknownLink {
                from: from.to_owned(),
                to: to.to_owned(),
            })
        };
        let indexes: Vec<usize> = between
            .directions()
            .into_iter()
            .map(index_of)
            .collect::<Result<_, _>>()?;
        for index in indexes {
            change(self, index);
        }
        Ok(Answer::Done)
    }

    fn stats(&self) -> WanStats {
        WanStats {
            links: self.pairs.iter().map(|pair| pair.stats.clone()).collect(),
            flows: self.flows.len(),
            captured: self.capture.as_ref().map_or(0, |capture| capture.captured),
            capture_skipped: self.capture.as_ref().map_or(0, |capture| capture.skipped),
        }
    }

    fn accept_control(&mut self) {
        if let Some(control) = &mut self.control {
            control.accept(|client, index| self.poller.watch(client, Token::ControlClient(index)));
        }
    }

    fn read_control(&mut self, index: usize) {
        let lines = self
            .control
            .as_mut()
            .map_or_else(Vec::new, |control| control.read_lines(index));
        for line in lines {
            let answer = match Command::parse(&line) {
                Ok(command) => match self.obey(&command) {
                    Ok(Answer::Done) => "ok".to_owned(),
                    Ok(Answer::Stats(stats)) => stats.to_json(),
                    Err(error) => format!("error: {error}"),
                },
                Err(error) => format!("error: {error}"),
            };
            if let Some(control) = &mut self.control {
                control.answer(index, &answer);
            }
        }
    }
}

fn is_empty(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// A connected socket reports an earlier refusal instead of sending; the second try sends.
fn send_again_if_refused(send: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    match send() {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => send(),
        other => other,
    }
}
