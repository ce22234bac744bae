//! One imitated QUIC connection: an ordered stream that repairs loss, and datagrams that do not.

use super::chance::Chance;
use super::net::NodeIndex;
use crate::mesh::io::LinkId;
use relay_proto::control::ControlMessage;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What one direction between two nodes does to packets.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// One-way delay.
    pub delay: Duration,
    /// Most that is added to the delay, uniformly.
    pub jitter: Duration,
    /// Share of packets lost, 0.0 to 1.0.
    pub loss: f64,
    /// Whether nothing comes through.
    pub cut: bool,
}

impl Path {
    /// A lossless path of that one-way delay in milliseconds.
    #[must_use]
    pub const fn of_ms(delay: u64) -> Self {
        Self {
            delay: Duration::from_millis(delay),
            jitter: Duration::ZERO,
            loss: 0.0,
            cut: false,
        }
    }

    /// When a datagram sent now arrives, if it does.
    pub(super) fn datagram_arrival(&self, now: Instant, chance: &mut Chance) -> Option<Instant> {
        let lost = self.cut || chance.happens(self.loss);
        (!lost).then(|| now + self.delay + chance.up_to(self.jitter))
    }

    /// When a stream frame sent now arrives: every loss costs a probe timeout of about three delays.
    fn frame_arrival(&self, now: Instant, chance: &mut Chance) -> Instant {
        let mut at = now + self.delay + chance.up_to(self.jitter);
        while chance.happens(self.loss.min(0.9)) {
            at += self.delay * 3;
        }
        at
    }
}

/// What travels in order.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Control(Box<ControlMessage>),
    Close,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: NodeIndex,
    pub(super) link: LinkId,
    /// Whether this end's process still knows the connection.
    pub(super) open: bool,
    /// Datagrams that have come.
    pub(super) heard: u64,
    /// Frames on their way to this end, in order, with their arrival.
    pub(super) inbound: VecDeque<(Instant, Frame)>,
    /// Frames to this end that wait for a cut path.
    stalled: Vec<Frame>,
}

impl End {
    pub(super) const fn new(node: NodeIndex, link: LinkId) -> Self {
        Self {
            node,
            link,
            open: true,
            heard: 0,
            inbound: VecDeque::new(),
            stalled: Vec::new(),
        }
    }

    /// Puts a frame on its way to this end; answers when it arrives, none while the path is cut.
    pub(super) fn send(
        &mut self,
        now: Instant,
        frame: Frame,
        path: &Path,
        chance: &mut Chance,
    ) -> Option<Instant> {
        if path.cut {
            self.stalled.push(frame);
            return None;
        }
        let last = self.inbound.back().map_or(now, |(at, _)| *at);
        let at = path.frame_arrival(now, chance).max(last);
        self.inbound.push_back((at, frame));
        Some(at)
    }

    /// The path works again: what waited is sent again. Answers the arrivals.
    pub(super) fn resume(&mut self, now: Instant, path: &Path, chance: &mut Chance) -> Vec<Instant> {
        let stalled = std::mem::take(&mut self.stalled);
        stalled
            .into_iter()
            .filter_map(|frame| self.send(now, frame, path, chance))
            .collect()
    }
}
