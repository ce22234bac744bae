//! Readiness and one timer: epoll and a timer file descriptor, with names for who is ready.
//!
//! The timer is set to absolute times: a thread that is interrupted between reading the clock and arming the
//! timer would otherwise sleep longer by the interruption.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;

/// Descriptors reported per wake-up.
const EVENTS_PER_WAIT: usize = 64;

/// Longest sleep, so that idle flows are noticed.
const LONGEST_WAIT_MS: u16 = 1_000;

/// Who is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    ControlClient(usize),
    ControlListener,
    Device(usize),
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
            Self::Device(index) => (6, index),
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
            6 => Some(Self::Device(index)),
            _ => None,
        }
    }
}

/// What the thread sleeps on.
pub(super) struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    armed_for: Option<Instant>,
    clock: MonotonicClock,
    /// Wake-ups happen at multiples of this.
    quantum: Duration,
}

impl Poller {
    /// With a `quantum` above zero, wake-ups are put off to the next multiple of it, so that one of them serves
    /// all packets that are due about then.
    pub(super) fn new(quantum: Duration) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let poller = Self {
            epoll,
            timer,
            armed_for: None,
            clock: MonotonicClock::read()?,
            quantum,
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
                self.arm(due)?;
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

    fn arm(&mut self, due: Instant) -> io::Result<()> {
        if self.armed_for == Some(due) {
            return Ok(());
        }
        self.timer.set(
            Expiration::OneShot(TimeSpec::from_duration(self.clock.ring_at(due, self.quantum))),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME,
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

/// Translates the times of the standard library, which hides their origin, to those of the system's monotonic
/// clock, from which they come.
#[derive(Debug, Clone, Copy)]
struct MonotonicClock {
    at: Instant,
    since_boot: Duration,
}

impl MonotonicClock {
    fn read() -> io::Result<Self> {
        // Read in this order, an interruption in between makes wake-ups late, never early.
        let at = Instant::now();
        let since_boot = clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?.into();
        Ok(Self { at, since_boot })
    }

    /// The time since boot at which to wake for `due`: the next multiple of `quantum`, never zero (which would
    /// disarm the timer).
    fn ring_at(self, due: Instant, quantum: Duration) -> Duration {
        let exact = self.since_boot + due.saturating_duration_since(self.at);
        let step = quantum.as_nanos();
        if step == 0 {
            return exact.max(Duration::from_nanos(1));
        }
        let nanoseconds = exact.as_nanos().div_ceil(step) * step;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
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
            Token::Device(15),
            Token::Flow(511),
            Token::Listen(255),
            Token::Timer,
            Token::Wake,
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }

    #[test]
    fn wake_ups_fall_on_multiples_of_the_quantum_and_never_before_the_time() {
        let clock = MonotonicClock {
            at: Instant::now(),
            since_boot: Duration::from_micros(1_010),
        };
        let quantum = Duration::from_micros(50);
        let ring_after_us = |wait_us| {
            clock
                .ring_at(clock.at + Duration::from_micros(wait_us), quantum)
                .as_micros()
        };
        assert_eq!(
            [ring_after_us(0), ring_after_us(40), ring_after_us(41)],
            [1_050, 1_050, 1_100]
        );
        let exact = clock.ring_at(clock.at + Duration::from_nanos(7), Duration::ZERO);
        assert_eq!(exact, Duration::from_nanos(1_010_007));
    }
}
