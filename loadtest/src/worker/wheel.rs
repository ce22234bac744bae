//! The timers of one worker: a wheel of millisecond slots (Varghese and Lauck 1987). Setting and ringing cost some
//! nanoseconds, however many clients there are.

use std::time::{Duration, Instant};

/// Slots, and so the farthest time in milliseconds; later ones go round once more.
const SLOTS: usize = 4_096;

/// Timers by client number; the newest time set for a client is the one that rings.
#[derive(Debug)]
pub(super) struct Wheel {
    start: Instant,
    /// First millisecond that has not rung.
    now_ms: u64,
    slots: Vec<Vec<usize>>,
    /// Due time of each client, in milliseconds since `start`.
    due: Vec<Option<u64>>,
    armed: usize,
}

impl Wheel {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            now_ms: 0,
            slots: vec![Vec::new(); SLOTS],
            due: Vec::new(),
            armed: 0,
        }
    }

    /// Sets, moves or clears the timer of a client. Times are rounded up to whole milliseconds.
    pub(super) fn set(&mut self, client: usize, at: Option<Instant>) {
        if self.due.len() <= client {
            self.due.resize(client + 1, None);
        }
        let due = at.map(|at| self.ms_up(at).max(self.now_ms));
        if due == self.due[client] {
            return;
        }
        self.armed -= usize::from(self.due[client].is_some());
        self.armed += usize::from(due.is_some());
        self.due[client] = due;
        if let Some(due) = due {
            self.place(client, due);
        }
    }

    fn place(&mut self, client: usize, due: u64) {
        let reach = due.min(self.now_ms + SLOTS as u64 - 1);
        let slot = (reach % SLOTS as u64) as usize;
        if !self.slots[slot].contains(&client) {
            self.slots[slot].push(client);
        }
    }

    /// The clients whose time has come, in order of time.
    pub(super) fn ring(&mut self, now: Instant, ringing: &mut Vec<usize>) {
        let until = now.saturating_duration_since(self.start).as_millis() as u64;
        while self.now_ms <= until {
            let slot = (self.now_ms % SLOTS as u64) as usize;
            let mut waiting = std::mem::take(&mut self.slots[slot]);
            let this_ms = self.now_ms;
            self.now_ms += 1;
            for client in waiting.drain(..) {
                match self.due[client] {
                    Some(due) if due <= this_ms => {
                        self.due[client] = None;
                        self.armed -= 1;
                        ringing.push(client);
                    }
                    // Set far ahead, or moved to later.
                    Some(due) => self.place(client, due),
                    None => {}
                }
            }
            if self.slots[slot].is_empty() {
                self.slots[slot] = waiting;
            }
        }
    }

    /// How long nothing rings; at most `longest`.
    pub(super) fn rest(&self, now: Instant, longest: Duration) -> Duration {
        if self.armed == 0 {
            return longest;
        }
        let within = (longest.as_millis() as u64).min(SLOTS as u64 - 1);
        let next = (self.now_ms..=self.now_ms + within)
            .find(|ms| !self.slots[(ms % SLOTS as u64) as usize].is_empty());
        let at = next.map(|ms| self.start + Duration::from_millis(ms));
        at.map_or(longest, |at| at.saturating_duration_since(now).min(longest))
    }

    fn ms_up(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start)
            .as_nanos()
            .div_ceil(1_000_000) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_moved_timer_rings_once_at_its_new_time() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.set(3, Some(ms(start, 10)));
        wheel.set(3, Some(ms(start, 20)));
        wheel.set(4, Some(ms(start, 10_000)));
        wheel.set(5, Some(ms(start, 15)));
        wheel.set(5, None);
        let mut rung = Vec::new();
        wheel.ring(ms(start, 19), &mut rung);
        assert!(rung.is_empty());
        wheel.ring(ms(start, 20), &mut rung);
        assert_eq!(rung, [3]);
        rung.clear();
        wheel.ring(ms(start, 9_999), &mut rung);
        assert!(rung.is_empty());
        wheel.ring(ms(start, 10_000), &mut rung);
        assert_eq!(rung, [4]);
    }

    #[test]
    fn an_idle_wheel_rests_long_and_a_set_one_until_its_time() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let longest = Duration::from_millis(500);
        assert_eq!(wheel.rest(start, longest), longest);
        wheel.set(0, Some(ms(start, 30)));
        assert_eq!(wheel.rest(start, longest), Duration::from_millis(30));
    }

    proptest! {
        #[test]
        fn every_timer_rings_at_its_time(dues in proptest::collection::vec(0_u64..9_000, 1..60), step in 1_u64..700) {
            let start = Instant::now();
            let mut wheel = Wheel::new(start);
            for (client, due) in dues.iter().enumerate() {
                wheel.set(client, Some(ms(start, *due)));
            }
            let mut left = dues.len();
            let mut now = 0;
            while left > 0 {
                let mut rung = Vec::new();
                wheel.ring(ms(start, now), &mut rung);
                for client in rung {
                    left -= 1;
                    prop_assert!(dues[client] <= now && now < dues[client] + step);
                }
                now += step;
                prop_assert!(now < 20_000);
            }
        }
    }
}
