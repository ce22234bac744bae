//! The composition root: a whole node from its configuration, and its orderly end.

use crate::config::{Config, MeshConfig, MeshIdentity};
use crate::control::task::unix_now;
use crate::control::{ControlTask, Inlets, MeshFeed, Order, Outlets};
use crate::directory;
use crate::http::drain::DrainDesk;
use crate::http::server::{self, ServerError};
use crate::http::status::{self, Operations};
use crate::incarnation;
use crate::link::tls::{CredentialsError, Identity};
use crate::link::{DialState, Dialer, EndpointError, LinkEndpoint, LinkEvent, LinkSettings, LinkedPeers};
use crate::listening::{Listening, Web};
use crate::media::{MediaError, passing_shard, random_seed};
use crate::metrics::{Metrics, Sources};
use crate::places::{Places, PlacesError};
use crate::shard::{LinkTable, PassingShard, ShardThread, TrackRoutes};
use bridge_core::mesh::MeshCore;
use bridge_core::mesh::author::Authority;
use relay_proto::id::{NodeId, NodeName};
use relay_proto::unit::{MilliDegrees, PartsPerMillion};
use signaling::token::TokenKeys;
use signaling::{GeoOverrides, Signaling, SignalingConfig};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Version of the software, for people.
pub const SOFTWARE: &str = concat!("causeway/", env!("CARGO_PKG_VERSION"));

/// Events and facts that wait between two tasks; a full queue holds its sender back.
const QUEUE: usize = 4_096;
/// Longest wait for each step of stopping.
const STOP_STEP: Duration = Duration::from_secs(2);
/// Orders that wait; an operator gives one.
const ORDERS: usize = 2;

/// Why a node does not start. All are for the operator, with the key to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Location data.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// HTTP listener.
    #[error(transparent)]
    Http(#[from] ServerError),
    /// Media threads.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Mesh socket.
    #[error(transparent)]
    Mesh(#[from] EndpointError),
    /// Mesh identity.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Data folder.
    #[error("node.data_dir = {path:?}: {source}", path = .path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// A running node.
pub struct Node {
    http: SocketAddr,
    mesh: Option<Arc<LinkEndpoint>>,
    links: Vec<JoinHandle<()>>,
    tcp: Option<JoinHandle<()>>,
    directory: Option<directory::Task>,
    threads: Vec<ShardThread>,
    orders: mpsc::Sender<Order>,
    signaling: Signaling,
    facts: JoinHandle<()>,
    servers: Vec<JoinHandle<()>>,
    stop_servers: watch::Sender<bool>,
    ready: watch::Sender<bool>,
    reload_places: watch::Sender<u64>,
    drain_orders: Option<mpsc::Receiver<Duration>>,
    feeds: watch::Receiver<Option<Arc<MeshFeed>>>,
}

impl Node {
    /// Starts everything; the node takes clients when this returns. Call it within a tokio runtime of several threads.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let places = Places::open(config.geo.clone())?;
        let listening = Listening::open(&config)?;
        let (http, web, metrics) = (listening.http, listening.web, listening.metrics);
        let (tcp, shards) = (listening.tcp, listening.shards);
        let inboxes = shards.inboxes();
        let links = LinkTable::default();
        let (shard_events, shard_queue) = mpsc::channel(QUEUE);
        let us = NodeId::of(config.node.name.as_str());
        let passing = Arc::new(passing_shard(us, &config.limits, &links, &shard_events)?);
        let tracks = Arc::new(TrackRoutes::new(inboxes.clone()).with_passing(passing.clone()));
        let (link_events, link_queue) = mpsc::channel(QUEUE);
        let (linked, linked_peers) = watch::channel(LinkedPeers::new());
        let mesh = config.mesh.as_ref();
        let bound = mesh.map(|mesh| bind(mesh, &config.node.name, link_events, tracks.clone()));
        let endpoint = bound.transpose()?;
        let core = mesh_core(&config, http)?;

        let ways = (&links, &tracks);
        let threads = shards.start(us, &config.media, &config.limits, ways, &shard_events)?;
        let directory = directory::start(&config);
        let (commands, command_queue) = mpsc::channel(QUEUE);
        let (mesh_view, mesh_views) = watch::channel(Arc::default());
        let (feed, feeds) = watch::channel(None);
        let settings = signaling_config(&config, http);
        let joins = directory.for_joins();
        let (signaling, facts_task) = Signaling::new(settings, places.slot(), commands, mesh_views, joins);
        let (facts, fact_queue) = mpsc::channel(QUEUE);
        let (orders, order_queue) = mpsc::channel(ORDERS);
        let sources = Sources {
            signaling: signaling.counters(),
            shards: threads.iter().map(ShardThread::report).collect(),
            passing: passing.clone(),
            tracks: tracks.clone(),
            tcp: tcp.media.counters(),
            directory: directory.desk.clone(),
            feed: feeds.clone(),
        };
        let outlets = Outlets {
            facts,
            shards: inboxes,
            passing: passing.clone(),
            tracks,
            links,
            linked,
            mesh: mesh_view,
            feed,
            directory: directory.desk,
        };
        let inlets = Inlets {
            links: link_queue,
            shards: shard_queue,
            commands: command_queue,
            orders: order_queue,
            directory: directory.answers,
        };
        tokio::spawn(ControlTask::new(core, config.node.capacity, outlets).run(inlets));
        let facts_task = tokio::spawn(facts_task.run_facts(fact_queue));

        let (link_tasks, diallers) = start_links(endpoint.as_ref(), mesh, (&linked_peers, passing));
        let (ready, ready_state) = watch::channel(true);
        let operations = operations(feeds.clone(), diallers, ready_state, sources);
        let (stop_servers, stopped) = watch::channel(false);
        let (desk, drain_orders) = drain_desk(&config, &signaling);
        let servers = start_servers(&signaling, (operations, desk), web, metrics, &stopped);
        log_ready(&config, http);
        Ok(Self {
            http,
            mesh: endpoint,
            links: link_tasks,
            tcp: tcp.start(),
            directory: directory.task,
            threads,
            orders,
            signaling,
            facts: facts_task,
            servers,
            stop_servers,
            ready,
            reload_places: watched(places),
            drain_orders: Some(drain_orders),
            feeds,
        })
    }

    /// Where the node listens for HTTP, with the port really taken.
    #[must_use]
    pub const fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Where the node listens for peers, with the port really taken.
    #[must_use]
    pub fn mesh_address(&self) -> Option<SocketAddr> {
        self.mesh.as_ref().and_then(|endpoint| endpoint.local_addr().ok())
    }

    /// Reads location data and mesh certificate again.
    pub fn reload(&self) {
        self.reload_places.send_modify(|count| *count += 1);
        if let Some(endpoint) = &self.mesh {
            endpoint.renew_certificate();
        }
    }

    /// Where orders of operators to drain come from, each with its time. Whoever takes it must follow them.
    pub const fn drain_orders(&mut self) -> Option<mpsc::Receiver<Duration>> {
        self.drain_orders.take()
    }

    /// Takes nobody new and sends everybody to other nodes; returns when nobody is left, nobody can be sent anywhere, or
    /// the time is over. Called again while it goes on, it gives a new time.
    pub async fn drain(&self, within: Duration) {
        self.ready.send_replace(false);
        let mut progress = self.signaling.drain_progress();
        if self.orders.send(Order::Drain).await.is_err() {
            return;
        }
        let until = Instant::now() + within;
        self.signaling.drain(within).await;
        let done = progress.wait_for(|progress| progress.is_some_and(|progress| progress.done));
        // Signalling keeps the time itself; this is for one that hangs.
        if tokio::time::timeout(within + STOP_STEP, done).await.is_err() {
            tracing::warn!("draining did not end in time");
        }
        self.steered_are_gone(until.saturating_duration_since(Instant::now()))
            .await;
        if let Some(progress) = *progress.borrow() {
            tracing::info!(
                people = progress.people,
                moved = progress.moved,
                left = progress.left,
                "node has drained"
            );
        }
    }

    /// Waits until the nodes with the clients have taken the sessions back whose media is here.
    async fn steered_are_gone(&self, within: Duration) {
        let mut feeds = self.feeds.clone();
        let gone = feeds.wait_for(|feed| {
            let links = feed.iter().flat_map(|feed| &feed.view().links);
            links.map(|link| link.steered_from).sum::<usize>() == 0
        });
        if tokio::time::timeout(within, gone).await.is_err() {
            tracing::warn!("clients of other nodes still had their media here");
        }
    }

    /// Stops in order: no new peers and clients, sessions and peers told, answers finished, threads ended. Takes a few
    /// seconds at most, whatever hangs.
    pub async fn stop(self) {
        self.ready.send_replace(false);
        for task in self.links.iter().chain(&self.tcp) {
            task.abort();
        }
        if let Some(task) = self.directory {
            limited("the room directory", task.stop()).await;
        }
        let (told, everybody_told) = oneshot::channel();
        if self.orders.send(Order::Stop(told)).await.is_ok() {
            limited("the control task", everybody_told).await;
        }
        limited("signalling", self.facts).await;
        if let Some(endpoint) = &self.mesh {
            limited("the links", endpoint.wait_idle()).await;
            limited("the mesh socket", endpoint.close()).await;
        }
        self.stop_servers.send_replace(true);
        for server in self.servers {
            let aborted = server.abort_handle();
            limited("an HTTP listener", server).await;
            aborted.abort();
        }
        for thread in self.threads {
            thread.stop();
        }
        tracing::info!("node has stopped");
    }
}

/// What the operator routes read from.
fn operations(
    feed: watch::Receiver<Option<Arc<MeshFeed>>>,
    diallers: Diallers,
    ready: watch::Receiver<bool>,
    sources: Sources,
) -> Operations {
    Operations {
        feed,
        diallers: Arc::new(diallers),
        ready,
        metrics: Metrics::new(sources),
    }
}

/// Lets location data be read again at each change of what is returned.
fn watched(places: Places) -> watch::Sender<u64> {
    let (reload, reloads) = watch::channel(0);
    tokio::spawn(places.watch(reloads));
    reload
}

fn drain_desk(config: &Config, signaling: &Signaling) -> (DrainDesk, mpsc::Receiver<Duration>) {
    let (orders, queue) = mpsc::channel(ORDERS);
    let desk = DrainDesk {
        node: config.node.name.to_string(),
        keys: TokenKeys(Arc::new(config.auth.keys.clone())),
        orders,
        progress: signaling.drain_progress(),
    };
    (desk, queue)
}

fn start_servers(
    signaling: &Signaling,
    (operations, desk): (Operations, DrainDesk),
    (listener, tls): Web,
    metrics: Option<TcpListener>,
    stopped: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let router = crate::http::router(signaling, operations.clone(), desk, metrics.is_none());
    let mut servers = vec![serve(server::serve(listener, tls, router, stopped.clone()))];
    if let Some(listener) = metrics {
        let router = status::metrics_router().with_state(operations);
        servers.push(serve(server::serve(listener, None, router, stopped.clone())));
    }
    servers
}

fn log_ready(config: &Config, http: SocketAddr) {
    tracing::info!(
        node = %config.node.name,
        region = config.node.region,
        %http,
        public_url = config.http.public_url,
        shards = config.media.shards,
        mesh = config.mesh.as_ref().map(|mesh| tracing::field::display(mesh.listen)),
        version = SOFTWARE,
        "node is ready"
    );
}

async fn limited<T>(what: &str, step: impl Future<Output = T>) {
    if tokio::time::timeout(STOP_STEP, step).await.is_err() {
        tracing::warn!("{what} did not end in time");
    }
}

fn serve(server: impl Future<Output = io::Result<()>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "an HTTP listener has failed");
        }
    })
}

fn bind(
    mesh: &MeshConfig,
    name: &NodeName,
    events: mpsc::Sender<LinkEvent>,
    tracks: Arc<TrackRoutes>,
) -> Result<Arc<LinkEndpoint>, StartError> {
    let identity = identity(mesh, name)?;
    let settings = LinkSettings {
        listen: mesh.listen,
        rates: mesh.rates,
        initial_mtu: mesh.initial_mtu,
    };
    Ok(LinkEndpoint::bind(settings, identity, events, tracks)?)
}

fn identity(mesh: &MeshConfig, name: &NodeName) -> Result<Identity, StartError> {
    Ok(match &mesh.identity {
        MeshIdentity::Secret(secret) => Identity::from_secret(secret, name)?,
        MeshIdentity::Files(files) => Identity::Files(files.clone()),
    })
}

type Diallers = Vec<(String, watch::Receiver<DialState>)>;

fn start_links(
    endpoint: Option<&Arc<LinkEndpoint>>,
    mesh: Option<&MeshConfig>,
    (linked, passing): (&watch::Receiver<LinkedPeers>, Arc<PassingShard>),
) -> (Vec<JoinHandle<()>>, Diallers) {
    let (Some(endpoint), Some(mesh)) = (endpoint, mesh) else {
        return (Vec::new(), Vec::new());
    };
    let mut tasks = vec![
        tokio::spawn(endpoint.clone().accept_links()),
        tokio::spawn(async move { passing.run().await }),
    ];
    let mut diallers = Vec::new();
    for peer in &mesh.peers {
        let (dialer, state) = Dialer::new(endpoint.clone(), peer.clone(), linked.clone());
        tasks.push(tokio::spawn(dialer.run()));
        diallers.push((peer.clone(), state));
    }
    (tasks, diallers)
}

fn mesh_core(config: &Config, http: SocketAddr) -> Result<MeshCore, StartError> {
    let thousandths = |degrees: f64| MilliDegrees((degrees * 1_000.0).round() as i32);
    let now = unix_now();
    let start = match &config.node.data_dir {
        Some(folder) => incarnation::begin(folder, now).map_err(|source| StartError::DataDir {
            path: folder.clone(),
            source,
        })?,
        None => now,
    };
    let mut mesh = bridge_core::mesh::config::MeshConfig {
        region: config.node.region.clone(),
        latitude: thousandths(config.node.point.latitude()),
        longitude: thousandths(config.node.point.longitude()),
        public_url: public_url(config, http),
        software: SOFTWARE.to_owned(),
        shards: config.media.shards,
        has_passing_shard: true,
        steering: config.mesh.as_ref().is_none_or(|mesh| mesh.steer),
        limits: config.limits.mesh,
        directory: config.directory.uses(),
        ..bridge_core::mesh::config::MeshConfig::named(config.node.name.as_str())
    };
    if let Some(links) = &config.mesh {
        let authority: Arc<dyn Authority> = Arc::new(identity(links, &config.node.name)?);
        mesh.authority = Some(authority);
        mesh.unsigned_rows = links.unsigned_rows;
        mesh.stretch = millionths(links.stretch);
    }
    Ok(MeshCore::new(mesh, random_seed(), Instant::now(), start))
}

fn millionths(times: f64) -> PartsPerMillion {
    PartsPerMillion((times * 1e6).round() as u32)
}

/// The configured URL; where the port was left to the system, with the one it gave.
fn public_url(config: &Config, http: SocketAddr) -> String {
    let chosen = format!(":{}", http.port());
    match config.http.public_url.strip_suffix(":0") {
        Some(base) => format!("{base}{chosen}"),
        None => config.http.public_url.clone(),
    }
}

/// The predicted gain from which on media is steered to a nearer node; none where it is not.
fn steer_gain_ms(config: &Config) -> Option<f64> {
    let mesh = config.mesh.as_ref().filter(|mesh| mesh.steer)?;
    Some(mesh.steer_gain.as_secs_f64() * 1_000.0)
}

fn signaling_config(config: &Config, http: SocketAddr) -> SignalingConfig {
    SignalingConfig {
        node: config.node.name.to_string(),
        region: config.node.region.clone(),
        point: config.node.point,
        public_url: public_url(config, http),
        software: SOFTWARE.to_owned(),
        keys: config.auth.keys.clone(),
        anonymous_join: config.auth.anonymous_join,
        token_ttl: config.auth.token_ttl,
        trusted_proxies: config.http.trusted_proxies.clone(),
        overrides: GeoOverrides {
            query_parameter: config.geo.query_parameter.clone(),
            header: config.geo.header.clone(),
        },
        steer_gain_ms: steer_gain_ms(config),
        policy: geo::Policy::default(),
        node_capacity: config.node.capacity,
        turn: config.turn.clone(),
        simulate: config.testing.simulate,
        limits: config.limits.signaling.clone(),
    }
}
