//! Feedback to a publisher.
//!
//! A publisher's browser raises its bitrate only when it hears when its packets arrived. Feedback covers every sequence
//! number from the last one reported to the newest; what came late is reported again with the next feedback.

use super::{DELTA_UNIT_US, REFERENCE_UNIT_US};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often feedback is sent while packets arrive.
const INTERVAL: Duration = Duration::from_millis(50);
/// Most sequence numbers in one feedback packet, so that it fits a datagram.
const MAX_STATUSES: usize = 400;
/// A larger jump starts anew: the gap says nothing about the path.
const MAX_GAP: i64 = 2_000;
/// Arrivals remembered between two feedbacks.
const MAX_ARRIVALS: usize = 4_000;

/// Arrivals not yet reported.
#[derive(Debug)]
pub(crate) struct TwccRecorder {
    start: Instant,
    /// Unwrapped sequence number to arrival in microseconds since the start.
    arrivals: BTreeMap<i64, i64>,
    newest: Option<i64>,
    /// First number not yet covered by a feedback.
    next: Option<i64>,
    due: Option<Instant>,
    feedbacks: u8,
}

impl TwccRecorder {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            arrivals: BTreeMap::new(),
            newest: None,
            next: None,
            due: None,
            feedbacks: 0,
        }
    }

    /// Notes an authenticated packet. Cost: a tree insertion.
    pub(crate) fn record(&mut self, now: Instant, seq: u16) {
        let number = match self.newest {
            None => i64::from(seq),
            Some(newest) => newest + i64::from(seq.wrapping_sub(newest as u16) as i16),
        };
        if self
            .newest
            .is_some_and(|newest| (number - newest).abs() > MAX_GAP)
        {
            self.arrivals.clear();
            self.next = None;
        }
        self.newest = Some(
            self.newest
                .filter(|_| self.next.is_some())
                .map_or(number, |newest| newest.max(number)),
        );
        self.next.get_or_insert(number);
        if self.arrivals.len() < MAX_ARRIVALS {
            let arrival = now.saturating_duration_since(self.start).as_micros() as i64;
            self.arrivals.entry(number).or_insert(arrival);
        }
        self.due.get_or_insert(now + INTERVAL);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The bodies of the feedback packets that are due.
    pub(crate) fn poll_feedback(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        if self.due.is_none_or(|due| due > now) {
            return bodies;
        }
        self.due = None;
        while let (Some((&first, _)), Some(next)) = (self.arrivals.first_key_value(), self.next) {
            // Late packets begin before what was already covered.
            let base = first.min(next);
            let (body, covered_to) = self.write(base);
            bodies.push(body);
            self.next = Some(next.max(covered_to));
            self.arrivals.retain(|number, _| *number >= covered_to);
        }
        bodies
    }

    /// One feedback body from `base` on; with the first number it does not cover.
    fn write(&mut self, base: i64) -> (Vec<u8>, i64) {
        let first_arrival = self.arrivals.values().next().copied().unwrap_or_default();
        let reference = first_arrival.div_euclid(REFERENCE_UNIT_US);
        let last = self.arrivals.last_key_value().map_or(base, |(number, _)| *number);
        let mut clock = reference * REFERENCE_UNIT_US;
        let mut statuses = Vec::new();
        let mut deltas = Vec::new();
        for number in base..=last.min(base + MAX_STATUSES as i64 - 1) {
            let Some(arrival) = self.arrivals.get(&number) else {
                statuses.push(0);
                continue;
            };
            let delta = (arrival - clock).div_euclid(DELTA_UNIT_US);
            let Ok(large) = i16::try_from(delta) else { break };
            clock += delta * DELTA_UNIT_US;
            if let Ok(small) = u8::try_from(delta) {
                statuses.push(1);
                deltas.push(small);
            } else {
                statuses.push(2);
                deltas.extend_from_slice(&large.to_be_bytes());
            }
        }
        let mut body = Vec::with_capacity(16 + statuses.len() + deltas.len());
        body.extend_from_slice(&(base as u16).to_be_bytes());
        body.extend_from_slice(&(statuses.len() as u16).to_be_bytes());
        body.extend_from_slice(&(reference as u32).to_be_bytes()[1..]);
        body.push(self.feedbacks);
        self.feedbacks = self.feedbacks.wrapping_add(1);
        write_chunks(&mut body, &statuses);
        body.extend_from_slice(&deltas);
        (body, base + statuses.len() as i64)
    }
}

/// Run-length chunks where seven or more symbols are equal, vectors of seven two-bit symbols otherwise.
fn write_chunks(out: &mut Vec<u8>, statuses: &[u8]) {
    let mut rest = statuses;
    while let Some(&symbol) = rest.first() {
        let run = rest.iter().take_while(|other| **other == symbol).count();
        let (chunk, taken) = if run >= 7 || run == rest.len() {
            (u16::from(symbol) << 13 | run as u16, run)
        } else {
            let taken = rest.len().min(7);
            let vector = (0..7).fold(0, |bits, at| {
                bits << 2 | u16::from(rest.get(at).copied().unwrap_or(0))
            });
            (0xc000 | vector, taken)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        rest = &rest[taken..];
    }
}

#[cfg(test)]
mod tests;
