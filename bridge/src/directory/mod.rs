//! The room directory outside of the mesh, for fleets whose nodes are too many to tell each of them of every room.
//!
//! What this node says of its rooms and wants to know of others' lies on the [`desk`], which never waits: the control task and
//! signalling write there what holds, and read what is known. `etcd` carries it to etcd and back, by the calls of `grpc` in
//! the words of `messages`; `entry` is how it is written there. Where etcd cannot be reached, what is on the desk waits:
//! rooms go on, as `bridge_core::mesh::directory` sees to, and joins are placed by what is known.
//!
//! What may not live here: who hosts what by whose word; that is the core's.

pub mod config;
pub mod desk;
#[cfg(feature = "etcd")]
mod entry;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "etcd")]
mod grpc;
#[cfg(feature = "etcd")]
mod messages;
#[cfg(feature = "etcd")]
mod session;
#[cfg(feature = "etcd")]
mod tls;

pub use config::{DirectoryConfig, EtcdConfig};
pub use desk::{Desk, DirectoryCounters};

use crate::config::Config;
use bridge_core::mesh::directory::DirectoryAnswer;
use signaling::RoomDirectory;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Answers that wait for the control task; a full queue holds back whoever reads etcd.
const QUEUE: usize = 4_096;

/// A node's directory outside of the mesh, or that it has none.
pub struct Directory {
    /// What lies between.
    pub desk: Option<Arc<Desk>>,
    /// What the core is to hear; nothing where there is no such directory.
    pub answers: mpsc::Receiver<DirectoryAnswer>,
    /// Who carries it.
    pub task: Option<Task>,
}

impl Directory {
    /// What joins ask; none where they ask the mesh.
    #[must_use]
    pub fn for_joins(&self) -> Option<Arc<dyn RoomDirectory>> {
        self.desk.clone().map(|desk| desk as Arc<dyn RoomDirectory>)
    }
}

/// The task that speaks with the directory.
pub struct Task {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Task {
    /// Takes back what this node has said, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task of the room directory has failed");
        }
    }
}

/// Starts what the operator wants. Call it within a tokio runtime.
#[must_use]
pub fn start(config: &Config) -> Directory {
    let (sender, answers) = mpsc::channel(QUEUE);
    let DirectoryConfig::Etcd(etcd) = &config.directory else {
        return Directory {
            desk: None,
            answers,
            task: None,
        };
    };
    let limits = &config.limits;
    let desk = Arc::new(Desk::new(limits.directory.questions, limits.mesh.max_nodes));
    let task = carried(etcd, config, desk.clone(), sender);
    Directory {
        desk: Some(desk),
        answers,
        task,
    }
}

#[cfg(feature = "etcd")]
fn carried(
    etcd: &EtcdConfig,
    config: &Config,
    desk: Arc<Desk>,
    core: mpsc::Sender<DirectoryAnswer>,
) -> Option<Task> {
    let (stop, stopped) = watch::channel(false);
    let etcd = etcd::Etcd::new(etcd.clone(), config.node.name.as_str(), desk, core);
    let task = tokio::spawn(etcd.run(stopped));
    Some(Task { stop, task })
}

/// A configuration that asks for it is refused before.
#[cfg(not(feature = "etcd"))]
fn carried(_: &EtcdConfig, _: &Config, _: Arc<Desk>, _: mpsc::Sender<DirectoryAnswer>) -> Option<Task> {
    None
}
