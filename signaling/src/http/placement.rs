//! Placement in the mesh as it is now: what the join API and a draining node ask.

use crate::config::SignalingConfig;
use crate::directory::RoomDirectory;
use crate::hub::{MediaPlace, NextNodes};
use crate::mesh_view::{MeshView, RoomHost};
use crate::placement::{Placement, Question};
use crate::protocol::NextNode;
use geo::locate::Place;
use geo::rank::{NodeState, RankError, Ranking};
use geo::slot::LocatorSlot;
use relay_proto::id::RoomName;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The one placement of a node, with what it is reckoned from. Cheap to clone; all clones share their reservations.
#[derive(Clone)]
pub(crate) struct CurrentPlacement {
    config: Arc<SignalingConfig>,
    locator: Arc<LocatorSlot>,
    mesh: watch::Receiver<Arc<MeshView>>,
    directory: Option<Arc<dyn RoomDirectory>>,
    placement: Arc<Mutex<Placement>>,
}

impl CurrentPlacement {
    pub(crate) fn new(
        config: SignalingConfig,
        locator: Arc<LocatorSlot>,
        mesh: watch::Receiver<Arc<MeshView>>,
        directory: Option<Arc<dyn RoomDirectory>>,
    ) -> Self {
        Self {
            config: Arc::new(config),
            locator,
            mesh,
            directory,
            placement: Arc::default(),
        }
    }

    /// Where an address is, as far as that is known.
    pub(crate) fn locate(&self, address: IpAddr) -> Place {
        self.locator.current().locate(address)
    }

    /// Who hosts a conference somebody wants to join, asked anew where that is not known.
    pub(crate) async fn asked(&self, room: &RoomName) -> Vec<RoomHost> {
        if let Some(directory) = &self.directory {
            directory.ask(room).await;
        }
        self.hosts(room)
    }

    /// Who hosts a conference, as far as it is known: to the directory, and to the mesh.
    fn hosts(&self, room: &RoomName) -> Vec<RoomHost> {
        let directory = self.directory.as_ref();
        let mut hosts = directory.map_or_else(Vec::new, |directory| directory.hosts(room));
        for host in self.mesh.borrow().hosts(room) {
            if hosts.iter().all(|known| known.node != host.node) {
                hosts.push(*host);
            }
        }
        hosts
    }

    /// Ranks the nodes for a client and reserves a place on the best one.
    pub(crate) fn assign(&self, question: &Question<'_>, now: Instant) -> Result<Ranking, RankError> {
        let mesh = self.mesh.borrow().clone();
        // The reservations are whole after every call, also after one that panicked.
        let mut placement = self.placement.lock().unwrap_or_else(PoisonError::into_inner);
        placement.assign(question, &mesh, &self.config, now)
    }
}

impl NextNodes for CurrentPlacement {
    fn for_client(&mut self, address: Option<IpAddr>, room: &RoomName, now: Instant) -> Vec<NextNode> {
        // Of an address that says nothing nothing is known either.
        let place = self.locate(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        // The mesh may not have heard yet that this node drains.
        let exclude = BTreeSet::from([self.config.node.clone()]);
        let question = Question {
            place,
            hosts: &self.hosts(room),
            exclude: &exclude,
        };
        let ranked = self.assign(&question, now).map(|ranking| ranking.ordered);
        let next = |node: geo::rank::Ranked| NextNode {
            node: node.name,
            url: node.url,
        };
        ranked.unwrap_or_default().into_iter().map(next).collect()
    }

    fn media_for(&mut self, address: Option<IpAddr>, room: &RoomName, now: Instant) -> Option<MediaPlace> {
        let question = Question {
            place: self.locate(address?),
            hosts: &self.hosts(room),
            exclude: &BTreeSet::new(),
        };
        let mesh = self.mesh.borrow().clone();
        let mut placement = self.placement.lock().unwrap_or_else(PoisonError::into_inner);
        placement.steer(&question, &mesh, &self.config, now)
    }

    fn any(&self) -> bool {
        let mesh = self.mesh.borrow();
        let mut others = mesh.nodes.iter().filter(|node| node.name != self.config.node);
        others.any(|node| node.state == NodeState::Up)
    }
}
