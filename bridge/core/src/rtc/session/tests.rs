//! A whole client against a session, in virtual time over a network that loses datagrams.

mod handshake;
mod hostile;
mod media;
mod offering;
mod peer;
mod tcp;

use super::*;
use crate::rtc::config::RtcLimits;
use crate::rtc::io::Uplink;
use crate::rtc::testing;
use crate::shard::io::ShardId;
use peer::Peer;
use relay_proto::id::TrackSid;
use relay_proto::room::{Codec, MediaKind};
use std::time::Duration;

/// One-way delay of the virtual network.
const DELAY: Duration = Duration::from_millis(20);

fn config() -> Arc<RtcConfig> {
    Arc::new(RtcConfig {
        certificate: testing::certificate(),
        candidates: vec!["192.0.2.10:7882".parse().unwrap()],
        tcp_candidates: Vec::new(),
        shard: ShardId(1),
        estimates_paths: true,
        limits: RtcLimits::default(),
    })
}

/// A session, a client and the network between them.
struct World {
    now: Instant,
    session: Session,
    peer: Peer,
    /// Datagrams on their way: when, from where (to the session) or none (to the peer).
    flying: VecDeque<(Instant, Option<SocketAddr>, Vec<u8>)>,
    loss_percent: u32,
    dice: SeededRandom,
    events: Vec<RtcEvent>,
}

impl World {
    fn new(peer: Peer, now: Instant, loss_percent: u32, seed: u8) -> Self {
        let session = Session::new(config(), [seed; 32], now);
        let dice = SeededRandom::new(&[seed; 32]);
        Self {
            now,
            session,
            peer,
            flying: VecDeque::new(),
            loss_percent,
            dice,
            events: Vec::new(),
        }
    }

    fn negotiate(&mut self, announced: &[Announced<'_>], wanted: &[Wanted<'_>]) -> Negotiated {
        let offer = self.peer.offer.build();
        let negotiated = self
            .session
            .negotiate(self.now, &offer, announced, wanted)
            .unwrap();
        self.peer.adopt_answer(&negotiated.answer);
        negotiated
    }

    fn fly(&mut self, from: Option<SocketAddr>, datagram: Vec<u8>) {
        if self.dice.number() % 100 >= self.loss_percent {
            self.flying.push_back((self.now + DELAY, from, datagram));
        }
    }

    /// One millisecond of everything.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        while self.flying.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, from, mut datagram)) = self.flying.pop_front() else {
                return;
            };
            match from {
                Some(from) => {
                    let received = self.session.handle_datagram(self.now, from, &mut datagram);
                    self.peer.note_received_by_session(&received);
                }
                None => self.peer.handle_datagram(self.now, datagram),
            }
        }
        if self.session.poll_timeout().is_some_and(|at| at <= self.now) {
            self.session.handle_timeout(self.now);
        }
        self.peer.tick(self.now);
        while let Some((to, datagram)) = self.session.poll_transmit() {
            if to == self.peer.addr {
                self.fly(None, datagram);
            }
        }
        let from = self.peer.addr;
        while let Some(datagram) = self.peer.outbox.pop_front() {
            self.fly(Some(from), datagram);
        }
        while let Some(event) = self.session.poll_event() {
            self.events.push(event);
        }
    }

    /// Steps until the condition holds; whether it did within `limit`.
    fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    fn connect(&mut self) {
        assert!(
            self.run(Duration::from_secs(9), |world| world.both_connected()),
            "{:?}",
            self.events
        );
    }

    fn both_connected(&self) -> bool {
        self.session.is_connected() && self.peer.srtp.is_some()
    }
}

/// A world whose first offer has been answered.
fn world(peer: Peer, loss_percent: u32, seed: u8) -> World {
    let now = peer.now;
    let mut world = World::new(peer, now, loss_percent, seed);
    world.negotiate(&[], &[]);
    world
}
