//! Calls the peers of the configuration, for ever.
//!
//! One task per entry of the peer list. It resolves the name anew at each attempt, backs off from 250 ms to 10 s
//! with jitter, and logs a change of state once, however often it tries. Two nodes that list each other dial each
//! other; the mesh keeps one link, and the dialler of the other rests while its peer is linked.

use super::endpoint::LinkEndpoint;
use super::event::CloseReason;
use super::transport::SMALLEST_MTU;
use bridge_core::mesh::io::LinkDirection;
use relay_proto::control::GoodbyeCause;
use relay_proto::id::NodeId;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// First and longest pause between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A link that lasted this long was good: the next attempt starts with a short pause again.
const GOOD_LINK: Duration = Duration::from_secs(2);
/// Addresses of one name tried in one attempt.
const MAX_ADDRESSES: usize = 4;
/// Longest name resolution.
const RESOLVE_TIME: Duration = Duration::from_secs(5);

/// Peers that have a link now, kept up to date by whoever selects links.
pub type LinkedPeers = BTreeSet<NodeId>;

/// What a dialler is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialState {
    /// Not tried yet, or trying again after a link has ended.
    Connecting,
    /// Its link, or another one to the same peer, stands.
    Linked,
    /// The last attempt failed, with the reason.
    Failing(String),
}

/// What to do after an attempt that did not fail.
enum Outcome {
    Again,
    OwnAddress,
}

/// Keeps calling one peer.
pub struct Dialer {
    endpoint: Arc<LinkEndpoint>,
    peer_address: String,
    linked: watch::Receiver<LinkedPeers>,
    state: watch::Sender<DialState>,
    peer: Option<NodeId>,
    known_mtu: u16,
    pause: Duration,
}

impl Dialer {
    /// A dialler for `peer_address` (`host:port`); `linked` says which peers need no call.
    #[must_use]
    pub fn new(
        endpoint: Arc<LinkEndpoint>,
        peer_address: String,
        linked: watch::Receiver<LinkedPeers>,
    ) -> (Self, watch::Receiver<DialState>) {
        let (state, states) = watch::channel(DialState::Connecting);
        let dialer = Self {
            endpoint,
            peer_address,
            linked,
            state,
            peer: None,
            known_mtu: SMALLEST_MTU,
            pause: FIRST_PAUSE,
        };
        (dialer, states)
    }

    /// Dials until the task is dropped.
    pub async fn run(mut self) {
        loop {
            if self.wait_while_linked().await.is_err() {
                return;
            }
            match self.attempt().await {
                Ok(Outcome::Again) => {}
                Ok(Outcome::OwnAddress) => {
                    tracing::warn!(
                        peer = self.peer_address,
                        "mesh.peers lists this node itself; not dialled again"
                    );
                    return;
                }
                Err(reason) => self.note_failure(reason),
            }
            self.rest().await;
        }
    }

    /// Waits until no link to the peer stands; an error where the node is stopping.
    async fn wait_while_linked(&mut self) -> Result<(), watch::error::RecvError> {
        let Some(peer) = self.peer else {
            return Ok(());
        };
        if self.linked.borrow().contains(&peer) {
            self.state.send_replace(DialState::Linked);
            self.linked.wait_for(|linked| !linked.contains(&peer)).await?;
            self.pause = FIRST_PAUSE;
        }
        Ok(())
    }

    async fn attempt(&mut self) -> Result<Outcome, String> {
        let mut last = "the name has no address".to_owned();
        for address in self.resolve().await? {
            match self.endpoint.dial(address, self.known_mtu).await {
                Ok((connection, estimate)) => {
                    let started = Instant::now();
                    let ended = self
                        .endpoint
                        .run(LinkDirection::Dialled, connection, estimate)
                        .await;
                    self.peer = ended.peer.or(self.peer);
                    self.known_mtu = ended.mtu;
                    if started.elapsed() >= GOOD_LINK {
                        self.pause = FIRST_PAUSE;
                    }
                    return self.judge(&ended.reason, ended.peer.is_some());
                }
                Err(reason) => {
                    // A raised MTU that no longer passes looks like silence: the next attempt starts low.
                    self.known_mtu = SMALLEST_MTU;
                    last = format!("{address}: {reason}");
                }
            }
        }
        Err(last)
    }

    /// A link that got as far as a hello, and was not refused for it, has shown that the peer is there.
    fn judge(&mut self, reason: &CloseReason, knew_peer: bool) -> Result<Outcome, String> {
        if let Some(misfit) = reason.misfit() {
            return Err(format!("refused: {misfit}"));
        }
        match reason {
            CloseReason::OwnAddress => return Ok(Outcome::OwnAddress),
            CloseReason::Peers(GoodbyeCause::ProtocolViolation) | CloseReason::Protocol(_) => {
                return Err(reason.to_string());
            }
            _ if !knew_peer => return Err(reason.to_string()),
            _ => {}
        }
        if *self.state.borrow() != DialState::Connecting {
            tracing::info!(peer = self.peer_address, "peer reached");
        }
        self.state.send_replace(DialState::Connecting);
        Ok(Outcome::Again)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let local = self.endpoint.local_addr().map_err(|e| e.to_string())?;
        let lookup = tokio::net::lookup_host(self.peer_address.as_str());
        let found = match tokio::time::timeout(RESOLVE_TIME, lookup).await {
            Ok(found) => found.map_err(|e| format!("cannot resolve: {e}"))?,
            Err(_) => return Err("cannot resolve: no answer in time".to_owned()),
        };
        // A socket bound to IPv4 reaches only IPv4.
        Ok(found
            .filter(|address| local.is_ipv6() || address.is_ipv4())
            .take(MAX_ADDRESSES)
            .collect())
    }

    fn note_failure(&self, reason: String) {
        let failing = DialState::Failing(reason);
        if *self.state.borrow() == failing {
            return;
        }
        if let DialState::Failing(reason) = &failing {
            tracing::warn!(
                peer = self.peer_address,
                reason,
                "peer not linked; will keep trying"
            );
        }
        self.state.send_replace(failing);
    }

    async fn rest(&mut self) {
        let jitter = rand::random_range(0.75..1.25);
        tokio::time::sleep(self.pause.mul_f64(jitter)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
