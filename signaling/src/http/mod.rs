//! The routes of signalling. Every answer, whatever its status, may be read by pages of any origin: without that a
//! browser shows its user "failed to fetch" instead of the reason, and clients cannot choose what to try next.

mod join_api;
mod placement;
mod rtc;
#[cfg(test)]
mod tests;
mod upgrade;

use crate::address::client_address;
use crate::config::SignalingConfig;
use crate::counters::Counters;
use crate::directory::RoomDirectory;
use crate::hub::{DrainProgress, Hub};
use crate::limits::Admission;
use crate::mesh_view::MeshView;
use crate::session::Site;
use crate::sid::RandomSource;
use crate::task::{FactsTask, INPUT_QUEUE, Input};
use crate::token::TokenKeys;
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use geo::slot::LocatorSlot;
use placement::CurrentPlacement;
use rand::TryRng as _;
use relay_proto::id::{NodeId, SessionId};
use relay_proto::session::SessionCommand;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The signalling of a node. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Signaling(Arc<Shared>);

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) config: SignalingConfig,
    pub(crate) counters: Arc<Counters>,
    placement: CurrentPlacement,
    drain: watch::Receiver<Option<DrainProgress>>,
    inputs: mpsc::Sender<Input>,
    admission: Mutex<Admission>,
    last_serial: AtomicU32,
}

impl Signaling {
    /// Makes the signalling and the task that must be run beside it. `locator` says where addresses are and may be
    /// reloaded at any time; `commands` go to the bridge; `mesh` is what is known of the mesh now; `directory` knows
    /// who hosts which conference where the mesh does not tell every node.
    #[must_use]
    pub fn new(
        config: SignalingConfig,
        locator: Arc<LocatorSlot>,
        commands: mpsc::Sender<SessionCommand>,
        mesh: watch::Receiver<Arc<MeshView>>,
        directory: Option<Arc<dyn RoomDirectory>>,
    ) -> (Self, FactsTask) {
        let counters = Arc::new(Counters::default());
        let site = Site {
            node: config.node.clone(),
            region: config.region.clone(),
            software: config.software.clone(),
            limits: config.limits.clone(),
            turn: config.turn.clone(),
            simulate: config.simulate,
            keys: TokenKeys(Arc::new(config.keys.clone())),
            counters: Arc::clone(&counters),
        };
        let (inputs, input_queue) = mpsc::channel(INPUT_QUEUE);
        let placement = CurrentPlacement::new(config.clone(), locator, mesh, directory);
        let (drain, drained) = watch::channel(None);
        let task = FactsTask {
            hub: Hub::new(site, Box::new(SystemRandom)).sending_to(Box::new(placement.clone())),
            drain,
            inputs: input_queue,
            commands,
            counters: Arc::clone(&counters),
            connections: BTreeMap::new(),
            outlets: BTreeMap::new(),
            kept: BTreeMap::new(),
            kept_frames_max: config.limits.send_queue_frames,
            waiting: VecDeque::new(),
        };
        let shared = Shared {
            config,
            counters,
            placement,
            drain: drained,
            inputs,
            admission: Mutex::default(),
            last_serial: AtomicU32::new(0),
        };
        (Self(Arc::new(shared)), task)
    }

    /// Figures for the metrics endpoint.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.counters)
    }

    /// Takes nobody new from now on and sends everybody to other nodes in the time `within`. Said again, it gives a new
    /// time. Nothing happens where the task is gone.
    pub async fn drain(&self, within: Duration) {
        if self.0.inputs.send(Input::Drain { within }).await.is_err() {
            tracing::debug!("told to drain after signalling had stopped");
        }
    }

    /// How far it has come with that; none while it takes everybody.
    #[must_use]
    pub fn drain_progress(&self) -> watch::Receiver<Option<DrainProgress>> {
        self.0.drain.clone()
    }

    fn is_draining(&self) -> bool {
        self.0.drain.borrow().is_some()
    }

    /// `/rtc/v1`, `/rtc` and their `validate`, a readable 404 for every other path below `/rtc`, and `/api/join`. Must be served with
    /// `ConnectInfo<SocketAddr>`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/rtc/v1", get(rtc::upgrade))
            .route("/rtc/v1/validate", get(rtc::validate))
            .route("/rtc", get(rtc::upgrade_dual))
            .route("/rtc/validate", get(rtc::validate_dual))
            .route("/rtc/{*path}", any(rtc::unknown))
            .route("/api/join", post(join_api::join).options(preflight))
            .layer(DefaultBodyLimit::max(self.0.config.limits.join_body_bytes))
            .layer(from_fn(readable_everywhere))
            .with_state(self.clone())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    fn next_session(&self) -> SessionId {
        let serial = self.last_serial.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        SessionId {
            entry: NodeId::of(&self.config.node),
            serial,
        }
    }

    /// The client's address, corrected by what trusted proxies say.
    fn client_address(&self, headers: &HeaderMap, peer: Peer) -> IpAddr {
        let forwarded: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        client_address(peer.0, forwarded.into_iter(), &self.config.trusted_proxies)
    }

    fn with_admission<R>(&self, act: impl FnOnce(&mut Admission) -> R) -> R {
        // The counts are whole after every call, also after one that panicked.
        act(&mut self.admission.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
struct Peer(IpAddr);

impl<S: Sync> axum::extract::FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        // Without it the router was composed for something else than sockets; nobody is then trusted as a proxy.
        Ok(Self(socket.map_or(
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            |ConnectInfo(socket)| socket.ip(),
        )))
    }
}

/// Lets pages of any origin read the answer.
async fn readable_everywhere(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// What browsers ask before they post JSON to another origin.
async fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "content-type, authorization"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// The operating system's random bytes.
struct SystemRandom;

impl RandomSource for SystemRandom {
    fn bytes(&mut self) -> [u8; 8] {
        let mut bytes = [0; 8];
        rand::rngs::SysRng
            .try_fill_bytes(&mut bytes)
            .expect("invariant: an operating system that runs this has random bytes");
        bytes
    }
}
