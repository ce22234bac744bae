//! Time: pings, verdicts, and what is due when.

use super::MeshCore;
use super::branch::Branch;
use super::config::MeshTiming;
use super::detector::Verdict;
use super::io::{CloseCause, LinkId, MeshOutput, MeshTimer};
use super::link::{Link, LinkPhase};
use super::peer::PeerEvent;
use relay_proto::control::GoodbyeCause;
use relay_proto::datagram::{Header, Kind, encode_probe};
use relay_proto::id::NodeId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// Bytes of a probe after its header.
const STAMP_BYTES: usize = 8;

/// What is due at fixed intervals.
#[derive(Debug)]
pub(super) struct Agenda {
    row_refresh_at: Instant,
    digest_at: Instant,
}

impl Agenda {
    pub(super) fn new(timing: &MeshTiming, now: Instant) -> Self {
        Self {
            row_refresh_at: now + timing.row_refresh,
            digest_at: now + timing.digest_interval,
        }
    }
}

impl Link {
    /// Judges nothing by the time in which this node stood still: `late` until `now`.
    fn on_stall(&mut self, now: Instant, late: Duration) {
        self.detector.on_stall(now, late);
        match &mut self.phase {
            LinkPhase::Greeting { until } | LinkPhase::Retiring { until, .. } => *until += late,
            LinkPhase::Established { .. } => {}
        }
    }

    /// When this link needs attention next.
    fn next_deadline(&self, now: Instant) -> (Instant, MeshTimer) {
        let phase = match self.phase {
            LinkPhase::Greeting { until } => return (until, MeshTimer::Hello),
            LinkPhase::Established { .. } => None,
            LinkPhase::Retiring { until, .. } => Some((until, MeshTimer::Retire)),
        };
        let ping = (self.next_ping, MeshTimer::Ping);
        let verdict = self
            .detector
            .next_verdict_at(now)
            .map(|at| (at, MeshTimer::Verdict));
        phase.into_iter().chain(verdict).fold(ping, Ord::min)
    }
}

impl MeshCore {
    pub(super) fn next_deadline(&self) -> Option<(Instant, MeshTimer)> {
        if self.stopped {
            return None;
        }
        let fixed = [
            (self.agenda.row_refresh_at, MeshTimer::RowRefresh),
            (self.agenda.digest_at, MeshTimer::Digest),
        ];
        let links = self.links.values().map(|link| link.next_deadline(self.looked_at));
        let lease = self.remote.next_deadline().map(|at| (at, MeshTimer::Lease));
        links.chain(fixed).chain(lease).min()
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.stopped {
            return;
        }
        self.excuse_own_stall(now);
        self.looked_at = now;
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            self.tend(now, id);
        }
        self.end_leases(now);
        let timing = self.config.timing;
        self.end_ahead(now);
        if now >= self.agenda.row_refresh_at {
            self.agenda.row_refresh_at = now + timing.row_refresh;
            self.refresh_rows();
            self.review_watches();
            self.refresh_detectors();
            self.refresh_remote();
            if self.plan.measured {
                self.replant();
            }
        }
        if now >= self.agenda.digest_at {
            self.agenda.digest_at = now + timing.digest_interval;
            self.ask_everybody();
            if self.author.as_ref().is_some_and(|author| now >= author.renew_at) {
                self.write_identity_row(now);
            }
            if self.plan.stale {
                self.replant();
            }
            self.refresh_branches();
            self.mark_detours();
        }
    }

    /// Takes time in which this node itself stood still (no core free for it, the machine suspended) out of the
    /// silence of its links. Otherwise the first thing a node did after such a pause would be to close them all,
    /// with the echoes that prove them waiting in its sockets.
    fn excuse_own_stall(&mut self, now: Instant) {
        let late = self.next_deadline().map_or(Duration::ZERO, |(due_at, _)| {
            now.saturating_duration_since(due_at)
        });
        if late <= self.config.timing.ping_interval {
            return;
        }
        self.counters.stalls += 1;
        debug!(late_ms = late.as_millis() as u64, "this node stood still");
        for link in self.links.values_mut() {
            link.on_stall(now, late);
        }
        self.remote.on_stall(late);
    }

    /// Links by which media comes are watched more closely than others.
    fn refresh_detectors(&mut self) {
        let asks = |branch: &&Branch| branch.tracks.values().any(|asked| !asked.told.is_empty());
        let branches = self.branches.values().filter(asks);
        let parents: BTreeSet<NodeId> = branches.filter_map(|branch| branch.parent).collect();
        for link in self.links.values_mut() {
            if let LinkPhase::Established { peer, .. } = link.phase {
                link.detector.set_brisk(parents.contains(&peer));
            }
        }
    }

    fn tend(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        match link.phase {
            LinkPhase::Greeting { until } if now >= until => {
                warn!(link = id.0, "link closed: no hello in time");
                self.drop_link(now, id, CloseCause::Unresponsive);
            }
            LinkPhase::Greeting { .. } => {}
            LinkPhase::Retiring { until, .. } if now >= until => {
                self.drop_link(now, id, CloseCause::WeLeft(GoodbyeCause::DuplicateLink));
            }
            LinkPhase::Established { peer, .. } | LinkPhase::Retiring { peer, .. } => {
                self.judge(now, id, peer);
                self.ping(now, id);
            }
        }
    }

    fn judge(&mut self, now: Instant, id: LinkId, node: NodeId) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        match link.detector.verdict(now) {
            Verdict::Alive => {}
            Verdict::Suspect => self.step_selected(node, id, PeerEvent::EchoesMissing),
            Verdict::Dead => {
                info!(peer = %node, link = id.0, "link is silent: closed");
                self.drop_link(now, id, CloseCause::Unresponsive);
            }
        }
    }

    /// Tells the peer's state, where `id` is its link in use.
    fn step_selected(&mut self, node: NodeId, id: LinkId, event: PeerEvent) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer.state.link() != Some(id) {
            return;
        }
        let after = peer.state.step(event);
        if after != peer.state {
            info!(peer = %node, link = id.0, state = after.kind().as_str(), "peer's link has changed");
            peer.state = after;
            // Whoever waited for the verdict would be without media meanwhile.
            self.plan.forget();
            self.replant();
            if event == PeerEvent::EchoesMissing {
                self.send_ahead(node);
            }
        }
    }

    pub(super) fn on_heard(&mut self, id: LinkId, datagrams: u64, last_at: Instant) {
        if let Some(link) = self.links.get_mut(&id) {
            link.detector.on_heard(datagrams, last_at);
        }
    }

    fn ping(&mut self, now: Instant, id: LinkId) {
        let us = self.us;
        let age = now.saturating_duration_since(self.started);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if now < link.next_ping {
            return;
        }
        let interval = link.detector.interval();
        // In step with the last one, unless the shell was late by more than an interval.
        link.next_ping = (link.next_ping + interval).max(now + interval / 2);
        let number = link.detector.on_ping_sent(now);
        let stamp = (age.as_micros() as u64).to_be_bytes();
        let bytes = encode_probe(Kind::Ping, us, number, stamp);
        self.out.push(MeshOutput::SendDatagram { link: id, bytes });
    }

    pub(super) fn on_probe(&mut self, now: Instant, id: LinkId, datagram: &[u8]) {
        let us = self.us;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let peer = match link.phase {
            LinkPhase::Established { peer, .. } | LinkPhase::Retiring { peer, .. } => Some(peer),
            // Probes may overtake the hello; without an echo the peer would take a slow hello for silence.
            LinkPhase::Greeting { .. } => None,
        };
        match Header::decode(datagram) {
            Ok((header, body))
                if peer.is_none_or(|peer| header.origin == peer) && header.kind == Kind::Ping =>
            {
                if let Ok(stamp) = <[u8; STAMP_BYTES]>::try_from(body) {
                    let bytes = encode_probe(Kind::Pong, us, header.seq.0, stamp);
                    self.out.push(MeshOutput::SendDatagram { link: id, bytes });
                    return;
                }
            }
            Ok((header, _)) if peer == Some(header.origin) && header.kind == Kind::Pong => {
                link.detector.on_echo(now, header.seq.0);
                if link.detector.verdict(now) == Verdict::Alive {
                    self.step_selected(header.origin, id, PeerEvent::EchoHeard);
                }
                return;
            }
            Ok(_) | Err(_) => {}
        }
        self.counters.bad_probes += 1;
        if self.counters.bad_probes == 1 {
            warn!(link = id.0, "a datagram that is no probe of this peer");
        }
    }
}
