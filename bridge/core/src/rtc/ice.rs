//! ICE-lite (RFC 8445 section 2.7): answers checks and knows where media goes.
//!
//! The rule for the destination, proven with browsers: the first authenticated address is used at once, because
//! Chromium nominates 50 ms later. After that it moves on a nomination, on authenticated media from another validated
//! address, and on a plain check once the current address has been silent for a second, because Firefox nominates
//! only once. Only checks with the newest credentials move it. Whether we are controlling is never in question: a
//! lite agent is always controlled, so role attributes are not even read.

use super::random::SeededRandom;
use super::stun::BindingRequest;
use crate::shard::io::ShardId;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Silence of the current address after which a plain check moves the destination.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// Media still in flight from an address just left does not move the destination back for this long.
const LEFT_FOR: Duration = Duration::from_secs(1);
/// Credentials that are answered: the newest and, after an ICE restart, the one before.
const MAX_CREDENTIALS: usize = 2;
/// Length of the random part of a ufrag (RFC 8839 wants 4 in all; 8 leave no chance for collisions).
const UFRAG_RANDOM: usize = 8;
/// RFC 8839 wants at least 22.
const PASSWORD_LENGTH: usize = 24;

/// Local user fragment and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    fn new(shard: ShardId, random: &mut SeededRandom) -> Self {
        Self {
            ufrag: format!("{:02x}{}", shard.0, random.ice_text(UFRAG_RANDOM)),
            password: random.ice_text(PASSWORD_LENGTH),
        }
    }
}

/// The shard a ufrag of ours names.
pub(crate) fn shard_of_ufrag(ufrag: &str) -> Option<ShardId> {
    u8::from_str_radix(ufrag.get(..2)?, 16).ok().map(ShardId)
}

#[derive(Clone, Copy, Debug)]
struct Validated {
    addr: SocketAddr,
    last_heard: Instant,
}

/// What an authentic check led to.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) response: Vec<u8>,
    /// The destination is another one now.
    pub(crate) moved: bool,
}

/// The ICE state of one client.
#[derive(Debug)]
pub(crate) struct IceLite {
    shard: ShardId,
    /// Newest last, never empty.
    credentials: VecDeque<Credentials>,
    addresses: Vec<Validated>,
    max_addresses: usize,
    current: Option<SocketAddr>,
    /// The address left last, and when.
    left: Option<(SocketAddr, Instant)>,
}

impl IceLite {
    pub(crate) fn new(shard: ShardId, max_addresses: usize, random: &mut SeededRandom) -> Self {
        Self {
            shard,
            credentials: VecDeque::from([Credentials::new(shard, random)]),
            addresses: Vec::new(),
            max_addresses,
            current: None,
            left: None,
        }
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        self.credentials
            .back()
            .expect("invariant: there is always a newest pair of credentials")
    }

    /// New credentials; the ones before are still answered.
    pub(crate) fn restart(&mut self, random: &mut SeededRandom) {
        self.credentials.push_back(Credentials::new(self.shard, random));
        if self.credentials.len() > MAX_CREDENTIALS {
            self.credentials.pop_front();
        }
    }

    /// Where media goes.
    pub(crate) fn current(&self) -> Option<SocketAddr> {
        self.current
    }

    /// Whether an authenticated check has come from there.
    pub(crate) fn is_validated(&self, addr: SocketAddr) -> bool {
        self.addresses.iter().any(|validated| validated.addr == addr)
    }

    /// When anything authentic was last heard, from any address.
    pub(crate) fn last_heard(&self) -> Option<Instant> {
        self.addresses.iter().map(|validated| validated.last_heard).max()
    }

    /// Answers a check; none if its name or integrity is wrong. Nothing is remembered then.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &BindingRequest<'_>,
    ) -> Option<Answered> {
        let named = self
            .credentials
            .iter()
            .position(|pair| pair.ufrag == request.local_ufrag())?;
        let password = &self.credentials[named].password;
        if !request.is_authentic(password) {
            return None;
        }
        if !request.unknown.is_empty() {
            return Some(Answered {
                response: request.unknown_attributes(password),
                moved: false,
            });
        }
        let response = request.success(from, password);
        let newest = named + 1 == self.credentials.len();
        let moves = newest && (request.use_candidate || self.is_silent(now));
        self.hear(now, from);
        let moved = moves && self.move_to(now, from);
        Some(Answered { response, moved })
    }

    /// Notes authenticated media or DTLS data; whether the destination moved because of it.
    pub(crate) fn hear_media(&mut self, now: Instant, from: SocketAddr) -> bool {
        if !self.is_validated(from) {
            return false;
        }
        self.hear(now, from);
        let just_left = self
            .left
            .is_some_and(|(addr, when)| addr == from && now.saturating_duration_since(when) < LEFT_FOR);
        !just_left && self.move_to(now, from)
    }

    /// Nothing sent to `addr` arrives any more, which a TCP connection tells: whatever is checked next is used at once. That
    /// it was heard still counts, so that a client without another way in has ended in time.
    pub(crate) fn forget(&mut self, addr: SocketAddr) {
        if self.current == Some(addr) {
            self.current = None;
        }
    }

    /// Takes an address as validated and current without a check.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn assume(&mut self, now: Instant, from: SocketAddr) {
        self.hear(now, from);
        self.move_to(now, from);
    }

    /// Whether there is no current address or it has been silent for long.
    fn is_silent(&self, now: Instant) -> bool {
        let heard = self
            .current
            .and_then(|current| self.addresses.iter().find(|known| known.addr == current));
        heard.is_none_or(|known| now.saturating_duration_since(known.last_heard) >= SILENT_AFTER)
    }

    fn hear(&mut self, now: Instant, from: SocketAddr) {
        if let Some(known) = self.addresses.iter_mut().find(|known| known.addr == from) {
            known.last_heard = now;
            return;
        }
        if self.addresses.len() >= self.max_addresses {
            let stalest = (0..self.addresses.len())
                .filter(|at| Some(self.addresses[*at].addr) != self.current)
                .min_by_key(|at| self.addresses[*at].last_heard);
            if let Some(at) = stalest {
                self.addresses.remove(at);
            }
        }
        self.addresses.push(Validated {
            addr: from,
            last_heard: now,
        });
    }

    fn move_to(&mut self, now: Instant, to: SocketAddr) -> bool {
        if self.current == Some(to) {
            return false;
        }
        self.left = self.current.map(|current| (current, now));
        self.current = Some(to);
        true
    }
}

#[cfg(test)]
mod tests;
