//! The task that keeps a node in touch with etcd: connects, serves what lies on the desk, and tries again when that breaks.

use super::config::{EtcdConfig, EtcdTls};
use super::desk::Desk;
use super::entry::Keys;
use super::grpc::{CallError, Channel, Place};
use super::messages::{AuthenticateRequest, AuthenticateResponse};
use super::session::{Lease, Session};
use super::tls::Tls;
use aws_lc_rs::digest::{SHA256, digest};
use bridge_core::mesh::directory::DirectoryAnswer;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Longest wait for one answer of etcd.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before the first attempt after a failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A node's way to etcd.
pub struct Etcd {
    config: EtcdConfig,
    desk: Arc<Desk>,
    keys: Keys,
    lease: Lease,
    core: mpsc::Sender<DirectoryAnswer>,
    /// Whether it was reached when it was last tried.
    reached: Option<bool>,
    next: usize,
}

impl Etcd {
    /// For the node called `node`; what the core wants to hear goes to `core`.
    #[must_use]
    pub fn new(config: EtcdConfig, node: &str, desk: Arc<Desk>, core: mpsc::Sender<DirectoryAnswer>) -> Self {
        let lease = Lease {
            id: lease_id(&config.prefix, node),
            seconds: config.lease.as_secs().cast_signed(),
            begun: false,
        };
        Self {
            keys: Keys::new(&config.prefix, node),
            config,
            desk,
            lease,
            core,
            reached: None,
            next: 0,
        }
    }

    /// Runs until told to stop; everything this node has said is then taken back.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        while !*stop.borrow() {
            let Err(error) = self.serve(&mut stop, &mut pause).await else {
                return;
            };
            self.note_lost(&error);
            let shorter = pause.mul_f64(rand::random_range(0.5..1.0));
            pause = (pause * 2).min(LONGEST_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(shorter) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// One connection. Ends well when told to stop.
    async fn serve(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        pause: &mut Duration,
    ) -> Result<(), CallError> {
        let desk = self.desk.clone();
        let channel = tokio::select! {
            channel = self.connected() => channel?,
            _ = stop.changed() => return Ok(()),
        };
        let mut lease = self.lease;
        let core = self.core.clone();
        let keys = self.keys.clone();
        let (mut session, answers) = Session::open(channel, (&desk, &keys), &mut lease, &core).await?;
        self.lease = lease;
        self.note_reached();
        *pause = FIRST_PAUSE;
        tokio::select! {
            ended = session.run(answers) => ended,
            _ = stop.changed() => {
                if let Err(error) = session.end().await {
                    tracing::debug!(%error, "what this node has said in the directory ends with its lease");
                }
                Ok(())
            }
        }
    }

    async fn connected(&mut self) -> Result<Channel, CallError> {
        let endpoint = &self.config.endpoints[self.next % self.config.endpoints.len()];
        self.next = self.next.wrapping_add(1);
        let tls = match &self.config.tls {
            Some(files) if endpoint.secure => Some(read(files.clone()).await?),
            _ => None,
        };
        let place = Place {
            host: &endpoint.host,
            port: endpoint.port,
        };
        let patience = PATIENCE.min(self.config.lease / 3);
        let mut channel = Channel::open(place, tls.as_ref(), patience).await?;
        if let Some((name, password)) = &self.config.user {
            let question = AuthenticateRequest {
                name: name.clone(),
                password: password.clone(),
            };
            let answer: AuthenticateResponse =
                channel.call("/etcdserverpb.Auth/Authenticate", question).await?;
            channel.set_token(&answer.token)?;
        }
        Ok(channel)
    }

    fn note_reached(&mut self) {
        self.desk.counters().connected.store(true, Ordering::Relaxed);
        if self.reached != Some(true) {
            tracing::info!("the room directory is reached");
        }
        self.reached = Some(true);
    }

    fn note_lost(&mut self, error: &CallError) {
        self.desk.counters().connected.store(false, Ordering::Relaxed);
        self.desk.counters().errors.fetch_add(1, Ordering::Relaxed);
        if self.reached == Some(false) {
            tracing::debug!(%error, "the room directory is still not reached");
            return;
        }
        self.reached = Some(false);
        tracing::warn!(
            %error,
            "the room directory cannot be used: rooms go on, joins are placed by what is known, and nodes that newly host a \
             room are not found; trying again"
        );
    }
}

/// Files are read aside: they may lie on a disk that is slow.
async fn read(files: EtcdTls) -> Result<Tls, CallError> {
    let read = tokio::task::spawn_blocking(move || Tls::read(&files)).await;
    read.unwrap_or_else(|error| Err(CallError::Connect(error.to_string())))
}

/// The lease of a node, the same for each of its processes: so each ends what the former one has left.
fn lease_id(prefix: &str, node: &str) -> i64 {
    let hash = digest(&SHA256, format!("{prefix}\n{node}").as_bytes());
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    // Positive, and not 0, which asks etcd for one of its own choice.
    (u64::from_be_bytes(first) >> 1).max(1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_of_a_node_is_its_own_and_of_each_of_its_processes() {
        let of = lease_id("/causeway/", "fra");
        assert!(of > 0 && of == lease_id("/causeway/", "fra"));
        assert_ne!(of, lease_id("/causeway/", "sin"));
        assert_ne!(of, lease_id("/other/", "fra"));
    }
}
