//! A signalling session without its socket: what comes first, signs of life, deadlines.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::SignallingError;
use super::message::{Event, Heard, Request, read, write_ping, write_request};

/// The first message has to come this soon (as clients of the protocol demand).
const FIRST_MESSAGE_WITHIN: Duration = Duration::from_secs(5);
/// Used where the server states no times.
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Messages that wait to be sent.
const MOST_WAITING: usize = 256;

/// The state of one session.
#[derive(Debug)]
pub(super) struct Session {
    started: Instant,
    joined: bool,
    ping_interval: Duration,
    ping_timeout: Duration,
    next_ping: Option<Instant>,
    last_heard: Instant,
    events: VecDeque<Event>,
    outgoing: VecDeque<Vec<u8>>,
    over: bool,
}

impl Session {
    /// A session whose WebSocket has just opened.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            joined: false,
            ping_interval: DEFAULT_PING_INTERVAL,
            ping_timeout: DEFAULT_PING_TIMEOUT,
            next_ping: None,
            last_heard: now,
            events: VecDeque::new(),
            outgoing: VecDeque::new(),
            over: false,
        }
    }

    pub(super) fn handle_message(&mut self, now: Instant, bytes: &[u8]) {
        self.last_heard = now;
        match read(bytes) {
            Err(error) => self.close(error),
            Ok(Heard::Nothing) => {}
            Ok(Heard::Joined {
                event,
                ping_interval_s,
                ping_timeout_s,
            }) => {
                let given = |seconds: u64, otherwise| match seconds {
                    0 => otherwise,
                    seconds => Duration::from_secs(seconds.min(3_600)),
                };
                self.ping_interval = given(ping_interval_s, DEFAULT_PING_INTERVAL);
                self.ping_timeout = given(ping_timeout_s, DEFAULT_PING_TIMEOUT);
                self.joined = true;
                self.next_ping = Some(now + self.ping_interval);
                self.events.push_back(event);
            }
            Ok(Heard::Event(event @ Event::Left { .. })) => self.events.push_back(event),
            Ok(Heard::Event(_)) if !self.joined => {
                self.close(SignallingError::Protocol(
                    "its first message is no join".to_owned(),
                ));
            }
            Ok(Heard::Event(event)) => self.events.push_back(event),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if !self.joined && now >= self.started + FIRST_MESSAGE_WITHIN {
            self.close(SignallingError::Silent("for 5 s after the upgrade"));
        } else if self.joined && now >= self.last_heard + self.ping_timeout {
            self.close(SignallingError::Silent("for longer than its own ping timeout"));
        }
        if self.next_ping.is_some_and(|at| at <= now) {
            self.next_ping = Some(now + self.ping_interval);
            let since = now.saturating_duration_since(self.started).as_millis();
            self.push(write_ping(i64::try_from(since).unwrap_or(i64::MAX)));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let silence = if self.joined {
            self.last_heard + self.ping_timeout
        } else {
            self.started + FIRST_MESSAGE_WITHIN
        };
        Some(self.next_ping.map_or(silence, |ping| ping.min(silence)))
    }

    pub(super) fn send(&mut self, request: Request) {
        self.push(write_request(request));
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn close(&mut self, error: SignallingError) {
        if !self.over {
            self.over = true;
            self.next_ping = None;
            self.events.push_back(Event::Closed(error));
        }
    }

    fn push(&mut self, message: Vec<u8>) {
        if self.outgoing.len() >= MOST_WAITING {
            self.close(SignallingError::Backlog);
        } else if !self.over {
            self.outgoing.push_back(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use livekit_protocol as proto;
    use prost::Message as _;
    use proto::signal_response::Message as ToClient;

    use super::*;

    fn said(message: ToClient) -> Vec<u8> {
        proto::SignalResponse {
            message: Some(message),
        }
        .encode_to_vec()
    }

    fn join() -> Vec<u8> {
        said(ToClient::Join(proto::JoinResponse {
            ping_interval: 5,
            ping_timeout: 12,
            ..Default::default()
        }))
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up_after_five_seconds() {
        let now = Instant::now();
        let mut session = Session::new(now);
        let due = session.poll_timeout().unwrap();
        assert_eq!(due, now + FIRST_MESSAGE_WITHIN);
        session.handle_timeout(due);
        assert!(matches!(
            session.poll_event(),
            Some(Event::Closed(SignallingError::Silent(_)))
        ));
        assert_eq!(session.poll_timeout(), None);
    }

    #[test]
    fn pings_go_out_and_silence_ends_the_session() {
        let now = Instant::now();
        let mut session = Session::new(now);
        session.handle_message(now, &join());
        assert!(matches!(session.poll_event(), Some(Event::Joined { .. })));
        let mut pings = 0;
        let mut closed_at = None;
        for _ in 0..10 {
            let Some(due) = session.poll_timeout() else {
                break;
            };
            session.handle_timeout(due);
            while session.poll_transmit().is_some() {
                pings += 1;
            }
            if session.poll_timeout().is_none() {
                closed_at = Some(due.duration_since(now));
                break;
            }
        }
        assert_eq!(pings, 2);
        assert_eq!(closed_at, Some(Duration::from_secs(12)));
    }

    #[test]
    fn anything_but_a_join_first_is_another_protocol() {
        let now = Instant::now();
        for first in [
            said(ToClient::Answer(proto::SessionDescription::default())),
            b"garbage".to_vec(),
        ] {
            let mut session = Session::new(now);
            session.handle_message(now, &first);
            assert!(matches!(
                session.poll_event(),
                Some(Event::Closed(SignallingError::Protocol(_)))
            ));
        }
    }

    #[test]
    fn a_server_that_does_not_read_is_left() {
        let now = Instant::now();
        let mut session = Session::new(now);
        for _ in 0..=MOST_WAITING {
            session.send(Request::Leave);
        }
        assert!(session.poll_timeout().is_none());
    }
}
