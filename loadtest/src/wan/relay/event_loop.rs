//! The thread's loop: deliver what is due, sleep, take what has come.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant, SystemTime};

use super::flows::FlowId;
use super::{Relay, Route};
use crate::wan::capture::Capture;
use crate::wan::command::Command;
use crate::wan::error::WanError;
use crate::wan::handle::Answer;
use crate::wan::in_flight::Packet;
use crate::wan::model::PacketBytes;
use crate::wan::poller::Token;
use crate::wan::stats::WanStats;

/// Datagrams taken from one socket before the others have their turn.
const DATAGRAMS_PER_TURN: usize = 64;

/// How often idle flows are closed and the capture is flushed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Relay {
    /// Carries datagrams on this thread until [`crate::wan::WanHandle::stop`], then returns the final counters.
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
            let earliest = self.links.earliest();
            for token in self.poller.wait(Instant::now(), earliest)? {
                match token {
                    Token::ControlClient(index) => self.read_control(index),
                    Token::ControlListener => self.desk.accept_control(&self.poller),
                    Token::Flow(index) => self.receive_back(index),
                    Token::Listen(index) => self.receive_forward(index),
                    // No relay has devices.
                    Token::Timer | Token::Device(_) => {}
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
        match flow {
            Some(flow) => {
                let size = PacketBytes::of_udp_payload(bytes);
                let payload = &self.buffer[..bytes];
                self.links.offer(index, now, size, (flow, route), payload);
            }
            None => self.links.refuse(index, bytes),
        }
    }

    fn deliver_due(&mut self, now: Instant) -> Result<(), WanError> {
        while let Some(datagram) = self.links.pop_due(now) {
            self.deliver(&datagram)?;
        }
        Ok(())
    }

    fn deliver(&mut self, datagram: &Packet<(FlowId, Route)>) -> Result<(), WanError> {
        let Self {
            links,
            pairs,
            flows,
            capture,
            ..
        } = self;
        let (id, route) = datagram.way;
        let flow = flows.by_id(id);
        let mut recorded = Ok(());
        links.settle(datagram, || {
            let sent = match (flow, route) {
                (Some(flow), Route::Forward) => send_again_if_refused(|| flow.socket.send(&datagram.bytes))
                    .map(|_| (flow.sender, pairs[datagram.link].forward_to)),
                (Some(flow), Route::Back) => {
                    let entry = &pairs[flow.pair];
                    let sent = entry.socket.send_to(&datagram.bytes, flow.sender);
                    sent.map(|_| (entry.forward_to, flow.sender))
                }
                (None, _) => Err(ErrorKind::NotConnected.into()),
            };
            if let (Ok((source, destination)), Some(capture), Ok(())) = (&sent, capture.as_mut(), &recorded) {
                recorded = capture.record(SystemTime::now(), *source, *destination, &datagram.bytes);
            }
            sent.is_ok()
        });
        recorded.map_err(WanError::Capture)
    }

    /// Obeys waiting commands; `true` if one of them asked to end.
    fn answer_requests(&mut self) -> Result<bool, WanError> {
        let (flows, capture) = (self.flows.len(), self.capture.as_ref());
        self.desk
            .answer_requests(|command| self.links.obey(command, || beside_links(flows, capture)))
    }

    fn read_control(&mut self, index: usize) {
        let (flows, capture) = (self.flows.len(), self.capture.as_ref());
        let obey = |command: &Command| -> Result<Answer, WanError> {
            self.links.obey(command, || beside_links(flows, capture))
        };
        self.desk.read_control(index, obey);
    }

    fn stats(&self) -> WanStats {
        self.links
            .stats(beside_links(self.flows.len(), self.capture.as_ref()))
    }
}

/// The counters that do not belong to links.
fn beside_links(flows: usize, capture: Option<&Capture>) -> WanStats {
    WanStats {
        flows,
        captured: capture.map_or(0, |capture| capture.captured),
        capture_skipped: capture.map_or(0, |capture| capture.skipped),
        ..WanStats::default()
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
