//! The loop of the control task.

use super::feed::MeshFeed;
use super::tracks::TrackNames;
use super::view::for_signaling;
use crate::directory::Desk;
use crate::link::lanes::Lane;
use crate::link::{CloseReason, LinkEvent, LinkHandle, LinkedPeers};
use crate::shard::{LinkTable, PassingShard, ShardEvent, ShardInbox, TrackRoutes};
use bridge_core::mesh::MeshCore;
use bridge_core::mesh::directory::{DirectoryAnswer, DirectoryOrder};
use bridge_core::mesh::io::{CloseCause, LinkId, MeshOutput};
use bridge_core::shard::io::{ShardCommand, ShardId};
use relay_proto::id::NodeId;
use relay_proto::session::{SessionCommand, SessionFact};
use relay_proto::unit::{PartsPerMillion, UnixMillis};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};

/// How often the views are published, when anything has happened.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// Where the control task speaks to.
pub struct Outlets {
    /// Facts for signalling.
    pub facts: mpsc::Sender<SessionFact>,
    /// The inboxes of shards 0 to n.
    pub shards: Vec<ShardInbox>,
    /// The shard of tracks that only pass through.
    pub passing: Arc<PassingShard>,
    /// Which shard a track's datagrams are for.
    pub tracks: Arc<TrackRoutes>,
    /// Which link leads to a peer.
    pub links: LinkTable,
    /// Which peers need no call.
    pub linked: watch::Sender<LinkedPeers>,
    /// What signalling knows of the mesh.
    pub mesh: watch::Sender<Arc<signaling::MeshView>>,
    /// What operators see.
    pub feed: watch::Sender<Option<Arc<MeshFeed>>>,
    /// The directory outside of the mesh, where there is one.
    pub directory: Option<Arc<Desk>>,
}

/// What the control task listens to.
pub struct Inlets {
    /// Events of links.
    pub links: mpsc::Receiver<LinkEvent>,
    /// Events of shards.
    pub shards: mpsc::Receiver<ShardEvent>,
    /// Commands of signalling.
    pub commands: mpsc::Receiver<SessionCommand>,
    /// What the node itself is to do.
    pub orders: mpsc::Receiver<Order>,
    /// Answers of the directory outside of the mesh; none come where there is none.
    pub directory: mpsc::Receiver<DirectoryAnswer>,
}

/// What the composition root orders.
#[derive(Debug)]
pub enum Order {
    /// Take no new sessions, and say so to all nodes.
    Drain,
    /// Stop; answered when everybody has been told.
    Stop(oneshot::Sender<()>),
}

/// The one owner of a node's `MeshCore`.
pub struct ControlTask {
    core: MeshCore,
    capacity: u32,
    links: BTreeMap<LinkId, LinkHandle>,
    names: TrackNames,
    outlets: Outlets,
    /// Something has happened since the views were published.
    changed: bool,
}

impl ControlTask {
    /// A task around `core`, on a node meant for `capacity` participants.
    #[must_use]
    pub fn new(core: MeshCore, capacity: u32, outlets: Outlets) -> Self {
        Self {
            core,
            capacity,
            links: BTreeMap::new(),
            names: TrackNames::default(),
            outlets,
            changed: true,
        }
    }

    /// Runs until told to stop, or until signalling and every shard are gone.
    pub async fn run(mut self, mut inlets: Inlets) {
        let mut publish = tokio::time::interval(PUBLISH_INTERVAL);
        publish.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.core.poll_timeout().map(|(at, _)| at);
            tokio::select! {
                () = until(deadline) => self.on_timeout(),
                Some(event) = inlets.links.recv() => self.on_link(event),
                Some(event) = inlets.shards.recv() => self.on_shard(event),
                Some(command) = inlets.commands.recv() => {
                    self.core.handle_command(Instant::now(), unix_now(), command);
                }
                Some(answer) = inlets.directory.recv() => self.core.handle_directory(answer),
                _ = publish.tick() => {
                    self.publish();
                    continue;
                }
                order = inlets.orders.recv() => match order {
                    Some(Order::Drain) => self.core.drain(),
                    Some(Order::Stop(told)) => return self.stop(Some(told)).await,
                    None => return self.stop(None).await,
                },
            }
            self.changed = true;
            self.carry_out().await;
        }
    }

    fn on_timeout(&mut self) {
        for (id, link) in &self.links {
            if let Some((datagrams, last_at)) = link.heard() {
                self.core.handle_heard(*id, datagrams, last_at);
            }
        }
        self.core.handle_timeout(Instant::now());
    }

    fn on_link(&mut self, event: LinkEvent) {
        let now = Instant::now();
        match event {
            LinkEvent::Opened(opened) => {
                self.links.insert(opened.link, opened.handle);
                self.core.handle_link_up(now, opened.link, opened.direction);
            }
            LinkEvent::Control { link, message } => self.core.handle_control(now, link, *message),
            LinkEvent::Probe { link, bytes } => self.core.handle_probe(now, link, &bytes),
            LinkEvent::DatagramLimitChanged { link, bytes } => self.core.handle_link_mtu(now, link, bytes),
            LinkEvent::Closed { link, .. } => {
                self.links.remove(&link);
                self.core.handle_link_down(now, link);
            }
        }
    }

    async fn stop(mut self, told: Option<oneshot::Sender<()>>) {
        self.core.stop(Instant::now());
        self.carry_out().await;
        self.publish();
        if let Some(told) = told {
            // Nobody waits where the whole process is already on its way out.
            let _ = told.send(());
        }
    }

    fn on_shard(&mut self, event: ShardEvent) {
        let now = Instant::now();
        match event {
            ShardEvent::Fact(shard, fact) => self.core.handle_shard_fact(now, shard, *fact),
            ShardEvent::Ended(shard) => {
                tracing::error!(shard = shard.0, "a media thread has ended; its sessions are lost");
                self.core.handle_shard_lost(now, shard);
            }
        }
    }

    /// Does everything the core wants, in order.
    async fn carry_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                MeshOutput::SendControl { link, message } => self.send_control(link, message),
                MeshOutput::SendDatagram { link, bytes } => self.send_probe(link, bytes),
                MeshOutput::CloseLink { link, cause } => self.close_link(link, cause),
                MeshOutput::SelectLink { peer, link } => self.select_link(peer, link),
                MeshOutput::ToShard { shard, command } => self.command_shard(shard, command).await,
                MeshOutput::RouteTrack {
                    origin,
                    track,
                    shards,
                } => {
                    let gone = shards.is_empty();
                    self.outlets.tracks.set(origin, track, shards);
                    if gone {
                        self.names.forget(origin, track);
                        self.links
                            .values()
                            .for_each(|link| link.forget_track(origin, track));
                    }
                }
                MeshOutput::Directory(order) => self.order_directory(order),
                MeshOutput::ToSignaling(fact) => self.tell_signaling(fact).await,
            }
        }
    }

    fn order_directory(&self, order: DirectoryOrder) {
        if let Some(desk) = &self.outlets.directory {
            desk.order(Instant::now(), order);
        }
    }

    fn send_control(&self, link: LinkId, message: Box<relay_proto::control::ControlMessage>) {
        if let Some(Err(error)) = self.links.get(&link).map(|link| link.send_control(message)) {
            tracing::warn!(link = link.0, %error, "the peer does not read; link closed");
        }
    }

    fn send_probe(&self, link: LinkId, bytes: Vec<u8>) {
        if let Some(link) = self.links.get(&link) {
            link.send_datagram(Instant::now(), Lane::Probe, bytes.into());
        }
    }

    fn close_link(&self, link: LinkId, cause: CloseCause) {
        let Some(handle) = self.links.get(&link) else {
            return;
        };
        tracing::debug!(link = link.0, ?cause, "closing a link");
        match cause {
            CloseCause::WeLeft(cause) => handle.close(cause),
            CloseCause::PeerLeft(cause) => handle.abort(CloseReason::Peers(cause)),
            CloseCause::SelfConnection => handle.abort(CloseReason::OwnAddress),
            CloseCause::Unresponsive => handle.abort(CloseReason::Lost("no echo of our pings".to_owned())),
            CloseCause::PeerRestarted => handle.abort(CloseReason::Lost("the peer has restarted".to_owned())),
            CloseCause::LimitReached => handle.abort(CloseReason::Lost("limits.links is reached".to_owned())),
        }
    }

    fn select_link(&self, peer: NodeId, link: Option<LinkId>) {
        let handle = link.and_then(|link| self.links.get(&link)).cloned();
        let linked = handle.is_some();
        let name = self.peer_name(peer);
        if linked {
            tracing::info!(peer = name, link = link.map(|link| link.0), "peer linked");
        } else {
            tracing::warn!(peer = name, "peer not linked any more");
        }
        self.outlets.links.select(peer, handle);
        self.outlets.linked.send_modify(|peers| {
            if linked {
                peers.insert(peer);
            } else {
                peers.remove(&peer);
            }
        });
    }

    fn peer_name(&self, peer: NodeId) -> String {
        let view = self.core.view();
        let known = view.links.into_iter().find(|link| link.peer == peer);
        known.map_or_else(|| peer.to_string(), |link| link.name.to_string())
    }

    async fn command_shard(&mut self, shard: ShardId, command: ShardCommand) {
        self.names.learn(self.core.us(), &command);
        if shard == ShardId::PASSING {
            self.outlets.passing.command(Instant::now(), command);
        } else if let Some(inbox) = self.outlets.shards.get(usize::from(shard.0)) {
            // A shard that is gone says so itself, as an event.
            inbox.command(command).await;
        }
    }

    async fn tell_signaling(&self, fact: SessionFact) {
        if self.outlets.facts.send(fact).await.is_err() {
            tracing::debug!("a fact came after signalling had stopped");
        }
    }

    fn publish(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let view = self.core.view();
        let here = view
            .nodes
            .iter()
            .find(|node| node.id == view.us)
            .and_then(|node| node.facts.as_ref());
        let participants = here.map_or(0, |facts| facts.participants);
        let load = u64::from(participants) * 1_000_000 / u64::from(self.capacity.max(1));
        self.core.set_load(PartsPerMillion(
            u32::try_from(load).unwrap_or(u32::MAX).min(1_000_000),
        ));
        self.outlets.mesh.send_replace(Arc::new(for_signaling(&view)));
        let feed = MeshFeed {
            view,
            links: self.links.clone(),
            names: self.names.clone(),
        };
        self.outlets.feed.send_replace(Some(Arc::new(feed)));
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Wall time, for what people and clients read.
pub(crate) fn unix_now() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
