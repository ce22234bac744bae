//! The controller against a model of a link: fixed delay, a bottleneck with a queue, random loss.

use super::*;

const RTT: Duration = Duration::from_millis(76);
const PACKET_BYTES: u64 = 1_150;
const STEP: Duration = Duration::from_millis(2);

/// A bottleneck after which everything takes `RTT`; sends what the controller allows, up to `offered_bps`.
struct Model {
    now: Instant,
    controller: RateController,
    capacity_bps: Option<u64>,
    offered_bps: u64,
    loss_every: Option<u64>,
    extra_rtt: Duration,
    queue_bytes: f64,
    credit_bytes: f64,
    sent: u64,
    in_flight: std::collections::VecDeque<(Instant, Instant, bool)>,
}

impl Model {
    fn new(limits: RateLimits) -> Self {
        let now = Instant::now();
        let estimate = Arc::new(LinkEstimate::new(&limits));
        Self {
            now,
            controller: RateController::new(estimate, limits, now),
            capacity_bps: None,
            offered_bps: 35_000_000,
            loss_every: None,
            extra_rtt: Duration::ZERO,
            queue_bytes: 0.0,
            credit_bytes: 0.0,
            sent: 0,
            in_flight: std::collections::VecDeque::new(),
        }
    }

    fn rate(&self) -> u64 {
        self.controller.estimate.rate_bps()
    }

    fn queue(&self) -> Duration {
        self.capacity_bps.map_or(Duration::ZERO, |bps| {
            Duration::from_secs_f64(self.queue_bytes * 8.0 / bps as f64)
        })
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.send();
            self.receive();
        }
    }

    fn send(&mut self) {
        if self.offered_bps > self.rate() {
            self.controller.estimate.note_held_back();
        }
        let bps = self.offered_bps.min(self.rate());
        self.credit_bytes += bps as f64 * STEP.as_secs_f64() / 8.0;
        if let Some(capacity) = self.capacity_bps {
            self.queue_bytes = (self.queue_bytes - capacity as f64 * STEP.as_secs_f64() / 8.0).max(0.0);
        }
        while self.credit_bytes >= PACKET_BYTES as f64 {
            self.credit_bytes -= PACKET_BYTES as f64;
            self.queue_bytes += self.capacity_bps.map_or(0.0, |_| PACKET_BYTES as f64);
            self.sent += 1;
            self.controller.on_sent(self.now, PACKET_BYTES, self.sent);
            let lost = self
                .loss_every
                .is_some_and(|every| self.sent.is_multiple_of(every));
            self.in_flight
                .push_back((self.now, self.now + RTT + self.extra_rtt + self.queue(), lost));
        }
    }

    /// Time passes in which nobody reads: what arrives meanwhile is acknowledged late.
    fn stall(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.send();
        }
    }

    fn receive(&mut self) {
        while let Some(&(sent, due, lost)) = self.in_flight.front() {
            if due > self.now {
                break;
            }
            self.in_flight.pop_front();
            if lost {
                self.controller
                    .on_congestion_event(self.now, sent, false, PACKET_BYTES);
            } else {
                self.controller.acknowledge(self.now, sent, PACKET_BYTES);
            }
        }
        let in_flight_bytes = self.in_flight.len() as u64 * PACKET_BYTES;
        self.controller.decide(self.now, in_flight_bytes);
    }
}

#[test]
fn random_loss_below_the_tolerance_leaves_the_rate_alone() {
    for loss_every in [1_000, 100, 12] {
        let mut link = Model::new(RateLimits::default());
        link.loss_every = Some(loss_every);
        let before = link.rate();
        link.run(Duration::from_secs(10));
        assert!(
            link.rate() >= before,
            "1 in {loss_every}: {} -> {}",
            before,
            link.rate()
        );
        let seen = f64::from(link.controller.estimate.loss_ppm());
        let expected = 1e6 / loss_every as f64;
        assert!(
            (seen - expected).abs() < 0.3 * expected + 1_500.0,
            "1 in {loss_every}: saw {seen}"
        );
    }
}

#[test]
fn heavy_loss_shrinks_the_rate() {
    let mut link = Model::new(RateLimits::default());
    link.loss_every = Some(3);
    link.run(Duration::from_secs(5));
    assert!(link.rate() < 40_000_000, "{}", link.rate());
}

#[test]
fn a_bottleneck_is_found_and_its_queue_stays_short() {
    let mut link = Model::new(RateLimits::default());
    link.capacity_bps = Some(20_000_000);
    link.run(Duration::from_secs(5));
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        link.run(Duration::from_millis(50));
        longest = longest.max(link.queue());
    }
    assert!(longest < Duration::from_millis(80), "queue of {longest:?}");
    let delivered = link.controller.estimate.delivered_bps();
    assert!((14_000_000..21_500_000).contains(&delivered), "{delivered}");
}

#[test]
fn a_bottleneck_that_widens_is_used_again() {
    let mut link = Model::new(RateLimits::default());
    link.capacity_bps = Some(5_000_000);
    link.run(Duration::from_secs(5));
    assert!(link.rate() < 8_000_000, "{}", link.rate());
    link.capacity_bps = None;
    link.run(Duration::from_secs(8));
    assert!(link.rate() > 35_000_000, "{}", link.rate());
}

#[test]
fn a_longer_path_is_not_taken_for_a_queue_for_ever() {
    let mut link = Model::new(RateLimits::default());
    link.run(Duration::from_secs(3));
    link.extra_rtt = Duration::from_millis(60);
    link.run(Duration::from_secs(6));
    assert!(link.rate() > 34_000_000, "{}", link.rate());
}

#[test]
fn a_machine_that_stalls_now_and_then_keeps_its_rate() {
    for stall_ms in [60, 150, 300] {
        let mut link = Model::new(RateLimits::default());
        let mut least = u64::MAX;
        for _ in 0..20 {
            link.run(Duration::from_millis(900));
            link.stall(Duration::from_millis(stall_ms));
            least = least.min(link.rate());
        }
        assert!(least > 35_000_000, "stalls of {stall_ms} ms: down to {least}");
    }
}

#[test]
fn a_path_that_becomes_longer_under_little_traffic_keeps_its_rate() {
    for offered_bps in [50_000, 400_000, 3_000_000] {
        let mut link = Model::new(RateLimits::default());
        link.offered_bps = offered_bps;
        link.run(Duration::from_secs(3));
        let before = link.rate();
        link.extra_rtt = Duration::from_millis(125);
        let mut least = u64::MAX;
        for _ in 0..100 {
            link.run(Duration::from_millis(100));
            least = least.min(link.rate());
        }
        assert!(least >= before, "offered {offered_bps}: {before} -> {least}");
    }
}

#[test]
fn delays_that_come_and_go_on_a_quiet_link_leave_its_rate_alone() {
    let mut link = Model::new(RateLimits::default());
    link.offered_bps = 400_000;
    let before = link.rate();
    for _ in 0..10 {
        link.run(Duration::from_secs(2));
        link.extra_rtt = Duration::from_millis(60);
        link.run(Duration::from_millis(500));
        link.extra_rtt = Duration::ZERO;
    }
    assert!(link.rate() >= before, "{}", link.rate());
}

#[test]
fn a_narrow_link_under_a_high_first_guess_is_found_all_the_same() {
    let mut link = Model::new(RateLimits::default());
    link.offered_bps = 3_000_000;
    link.capacity_bps = Some(1_000_000);
    link.run(Duration::from_secs(10));
    assert!(link.rate() < 1_500_000, "{}", link.rate());
    assert!(link.queue() < Duration::from_millis(100), "{:?}", link.queue());
}

#[test]
fn a_link_that_was_drained_in_vain_has_its_rate_back() {
    let mut link = Model::new(RateLimits::default());
    link.run(Duration::from_secs(3));
    let before = link.rate();
    link.extra_rtt = Duration::from_millis(125);
    link.run(Duration::from_secs(8));
    assert!(link.rate() >= before, "{before} -> {}", link.rate());
}

#[test]
fn an_idle_link_neither_grows_nor_shrinks() {
    let mut link = Model::new(RateLimits::default());
    link.offered_bps = 50_000;
    let before = link.rate();
    link.run(Duration::from_secs(10));
    assert_eq!(link.rate(), before);
}

#[test]
fn the_rate_stays_within_its_limits() {
    let limits = RateLimits {
        initial_bps: 9_000_000,
        floor_bps: 600_000,
        cap_bps: 10_000_000,
    };
    let mut link = Model::new(limits);
    link.run(Duration::from_secs(5));
    assert_eq!(link.rate(), 10_000_000);
    link.capacity_bps = Some(100_000);
    link.run(Duration::from_secs(20));
    assert!(link.rate() >= 600_000);
}

#[test]
fn quinn_is_never_blocked_and_never_paces() {
    let link = Model::new(RateLimits::default());
    assert!(link.controller.window() > u64::from(u32::MAX));
}
