//! Readiness and one timer: epoll and a timer file descriptor, with names for who is ready.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Descriptors reported per wake-up.
const EVENTS_PER_WAIT: usize = 64;

/// Longest sleep, so that idle flows are noticed.
const LONGEST_WAIT_MS: u16 = 1_000;

/// Who is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    ControlClient(usize),
    ControlListener,
    Flow(usize),
    Listen(usize),
    Timer,
    Wake,
}

impl Token {
    const INDEX_BITS: u32 = 32;

    fn encode(self) -> u64 {
        let (kind, index) = match self {
            Self::ControlClient(index) => (0, index),
            Self::ControlListener => (1, 0),
            Self::Flow(index) => (2, index),
            Self::Listen(index) => (3, index),
            Self::Timer => (4, 0),
            Self::Wake => (5, 0),
        };
        (kind << Self::INDEX_BITS) | index as u64
    }

    /// `None` for a number that [`Self::encode`] never makes.
    fn decode(number: u64) -> Option<Self> {
        let index = (number & u64::from(u32::MAX)) as usize;
        match number >> Self::INDEX_BITS {
            0 => Some(Self::ControlClient(index)),
            1 => Some(Self::ControlListener),
            2 => Some(Self::Flow(index)),
            3 => Some(Self::Listen(index)),
            4 => Some(Self::Timer),
            5 => Some(Self::Wake),
            _ => None,
        }
    }
}

/// What the thread sleeps on.
pub(super) struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    armed_for: Option<Instant>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let poller = Self {
            epoll,
            timer,
            armed_for: None,
        };
        poller.watch(&poller.timer, Token::Timer)?;
        Ok(poller)
    }

    /// Reports `token` whenever `descriptor` can be read, until it is closed.
    pub(super) fn watch(&self, descriptor: impl AsFd, token: Token) -> io::Result<()> {
        Ok(self
            .epoll
            .add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, token.encode()))?)
    }

    /// Sleeps until something is ready, `until` has come, or a second has passed.
    pub(super) fn wait(&mut self, now: Instant, until: Option<Instant>) -> io::Result<Vec<Token>> {
        let timeout = match until {
            Some(due) if due <= now => EpollTimeout::ZERO,
            Some(due) => {
                self.arm(now, due)?;
                EpollTimeout::from(LONGEST_WAIT_MS)
            }
            None => EpollTimeout::from(LONGEST_WAIT_MS),
        };
        let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        let ready: Vec<Token> = events[..count]
            .iter()
            .filter_map(|event| Token::decode(event.data()))
            .collect();
        if ready.contains(&Token::Timer) {
            self.clear_timer()?;
        }
        Ok(ready)
    }

    fn arm(&mut self, now: Instant, due: Instant) -> io::Result<()> {
        if self.armed_for == Some(due) {
            return Ok(());
        }
        let wait = due.duration_since(now).max(Duration::from_nanos(1));
        self.timer.set(
            Expiration::OneShot(TimeSpec::from_duration(wait)),
            TimerSetTimeFlags::empty(),
        )?;
        self.armed_for = Some(due);
        Ok(())
    }

    fn clear_timer(&mut self) -> io::Result<()> {
        self.armed_for = None;
        match self.timer.wait() {
            // Arming it again after it rang has already silenced it.
            Err(Errno::EAGAIN) => Ok(()),
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_survives_its_number() {
        for token in [
            Token::ControlClient(3),
            Token::ControlListener,
            Token::Flow(511),
            Token::Listen(255),
            Token::Timer,
            Token::Wake,
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }
}
