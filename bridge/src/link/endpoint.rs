//! The UDP socket of the mesh: answers peers that dial this node, and lends itself to the dialler.

use super::connection::{EndedLink, Outlets, run_link};
use super::estimate::{LinkEstimate, RateLimits};
use super::event::{CloseReason, DatagramSink, LinkEvent};
use super::explain::explain;
use super::tls::{CredentialsError, Identity, SERVER_NAME};
use super::transport::{SMALLEST_MTU, transport};
use bridge_core::mesh::io::{LinkDirection, LinkId};
use nix::sys::socket::{setsockopt, sockopt};
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, mpsc};

/// Kernel buffers of the mesh socket: 0.2 s of 150 Mbit/s, as far as the system allows.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Handshakes under way at once; further ones must prove their address first, then are refused.
const MAX_HANDSHAKES: usize = 64;
/// Longest handshake.
pub(super) const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How often a node issues itself a new certificate (it is good for three days).
const ROTATION: Duration = Duration::from_secs(12 * 3600);
/// A stranger is logged once in this time.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Addresses remembered for that; beyond them strangers are only counted.
const MAX_LOGGED_STRANGERS: usize = 256;

/// How links of this node behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// UDP address of the mesh.
    pub listen: SocketAddr,
    /// Bounds of each link's rate.
    pub rates: RateLimits,
    /// UDP payload every path to a peer is known to take, 1,200 to 1,452 bytes.
    pub initial_mtu: u16,
}

/// Why the mesh socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// No usable certificate.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The address is taken or not ours.
    #[error("mesh.listen = \"{address}\": {source}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
}

/// The mesh socket of a node.
pub struct LinkEndpoint {
    pub(super) endpoint: Endpoint,
    pub(super) identity: Identity,
    settings: LinkSettings,
    outlets: Outlets,
    next_link: AtomicU64,
    refused: Mutex<BTreeMap<IpAddr, Instant>>,
}

impl LinkEndpoint {
    /// Opens the socket. Links report to `events`; media goes to `sink`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Any [`EndpointError`].
    pub fn bind(
        settings: LinkSettings,
        identity: Identity,
        events: mpsc::Sender<LinkEvent>,
        sink: Arc<dyn DatagramSink>,
    ) -> Result<Arc<Self>, EndpointError> {
        let server = server_config(&identity)?;
        let endpoint = open_socket(settings.listen)
            .and_then(|socket| {
                Endpoint::new(
                    EndpointConfig::default(),
                    Some(server),
                    socket,
                    Arc::new(TokioRuntime),
                )
            })
            .map_err(|source| EndpointError::Listen {
                address: settings.listen,
                source,
            })?;
        Ok(Arc::new(Self {
            endpoint,
            identity,
            settings,
            outlets: Outlets { events, sink },
            next_link: AtomicU64::new(1),
            refused: Mutex::default(),
        }))
    }

    /// The address really taken.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Answers peers and renews the certificate until the endpoint is closed.
    pub async fn accept_links(self: Arc<Self>) {
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let mut rotation = tokio::time::interval(ROTATION);
        rotation.reset();
        loop {
            let incoming = tokio::select! {
                incoming = self.endpoint.accept() => incoming,
                _ = rotation.tick() => {
                    self.renew_certificate();
                    continue;
                }
            };
            let Some(incoming) = incoming else {
                return;
            };
            self.clone().answer(incoming, &handshakes);
        }
    }

    /// Issues a new certificate (or reads the files again) for links made from now on. Where that fails, the old
    /// one stays and the reason is logged.
    pub fn renew_certificate(&self) {
        match server_config(&self.identity) {
            Ok(config) => self.endpoint.set_server_config(Some(config)),
            Err(error) => tracing::error!(%error, "the mesh certificate could not be renewed"),
        }
    }

    /// Waits until no link is left.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }

    /// Closes every link at once and waits until the peers have been told.
    pub async fn close(&self) {
        self.endpoint.close(quinn::VarInt::from_u32(0), b"stopping");
        self.endpoint.wait_idle().await;
    }

    fn answer(self: Arc<Self>, incoming: Incoming, handshakes: &Arc<Semaphore>) {
        let from = incoming.remote_address();
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            return;
        };
        if handshakes.available_permits() < MAX_HANDSHAKES / 2 && incoming.may_retry() {
            // Busy: let strangers prove that they receive at the address they claim.
            let _ = incoming.retry();
            return;
        }
        tokio::spawn(async move {
            match self.shake_hands(incoming).await {
                Ok((connection, estimate)) => {
                    drop(permit);
                    self.run(LinkDirection::Accepted, connection, estimate).await;
                }
                Err(reason) => self.log_refusal(from, &reason),
            }
        });
    }

    async fn shake_hands(&self, incoming: Incoming) -> Result<(Connection, Arc<LinkEstimate>), String> {
        let estimate = Arc::new(LinkEstimate::new(&self.settings.rates));
        let mut config = server_config(&self.identity).map_err(|e| e.to_string())?;
        config.transport_config(Arc::new(transport(
            &estimate,
            self.settings.rates,
            self.settings.initial_mtu,
        )));
        let connecting = incoming.accept_with(Arc::new(config)).map_err(|e| explain(&e))?;
        match tokio::time::timeout(HANDSHAKE_TIME, connecting).await {
            Ok(Ok(connection)) => Ok((connection, estimate)),
            Ok(Err(error)) => Err(explain(&error)),
            Err(_) => Err("the handshake took too long".to_owned()),
        }
    }

    /// Dials `address` and shakes hands.
    pub(super) async fn dial(
        &self,
        address: SocketAddr,
        known_mtu: u16,
    ) -> Result<(Connection, Arc<LinkEstimate>), String> {
        let estimate = Arc::new(LinkEstimate::new(&self.settings.rates));
        let tls = self
            .identity
            .issue(SystemTime::now())
            .and_then(|credentials| credentials.client());
        let mut config = quinn::ClientConfig::new(Arc::new(tls.map_err(|e| e.to_string())?));
        let mtu = known_mtu.max(self.settings.initial_mtu).max(SMALLEST_MTU);
        config.transport_config(Arc::new(transport(&estimate, self.settings.rates, mtu)));
        let connecting = self
            .endpoint
            .connect_with(config, address, SERVER_NAME)
            .map_err(|e| e.to_string())?;
        match tokio::time::timeout(HANDSHAKE_TIME, connecting).await {
            Ok(Ok(connection)) => Ok((connection, estimate)),
            Ok(Err(error)) => Err(explain(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Runs an established link to its end.
    pub(super) async fn run(
        &self,
        direction: LinkDirection,
        connection: Connection,
        estimate: Arc<LinkEstimate>,
    ) -> EndedLink {
        let link = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        let address = connection.remote_address();
        tracing::debug!(link = link.0, %address, ?direction, "link opened");
        // A task of its own: whoever waits for the end may be stopped without cutting off the link's last words.
        let running = tokio::spawn(run_link(
            link,
            direction,
            connection,
            estimate,
            self.outlets.clone(),
        ));
        let ended = running.await.unwrap_or_else(|error| EndedLink::failed(&error));
        match &ended.reason {
            CloseReason::Protocol(_) | CloseReason::ControlOverflow => {
                tracing::warn!(link = link.0, %address, reason = %ended.reason, "link closed");
            }
            CloseReason::Lost(reason) if ended.peer.is_none() && direction == LinkDirection::Accepted => {
                self.log_refusal(address, reason);
            }
            reason => match reason.misfit().filter(|_| direction == LinkDirection::Accepted) {
                Some(misfit) => self.log_refusal(address, misfit),
                None => tracing::info!(link = link.0, %address, %reason, "link closed"),
            },
        }
        ended
    }

    fn log_refusal(&self, from: SocketAddr, reason: &str) {
        let mut logged = super::handle::lock(&self.refused);
        let now = Instant::now();
        logged.retain(|_, at| now.duration_since(*at) < REFUSAL_LOG_INTERVAL);
        if logged.len() >= MAX_LOGGED_STRANGERS || logged.contains_key(&from.ip()) {
            tracing::debug!(%from, reason, "link refused");
            return;
        }
        logged.insert(from.ip(), now);
        tracing::warn!(%from, reason, "a node that dialled this one was not admitted to the mesh");
    }
}

fn server_config(identity: &Identity) -> Result<ServerConfig, CredentialsError> {
    let tls = identity.issue(SystemTime::now())?.server()?;
    Ok(ServerConfig::with_crypto(Arc::new(tls)))
}

fn open_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    // The kernel grants what it allows; the rest is a matter of sysctl, not of failing.
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER_BYTES)?;
    }
    Ok(socket)
}
