//! The media threads of a node: sockets, DTLS certificate and cores, made from the configuration.

use crate::config::{Limits, MediaConfig};
use crate::shard::inbox::{Receiving, inbox};
use crate::shard::{
    LinkTable, PassingShard, ShardEvent, ShardInbox, ShardThread, Siblings, TrackRoutes, socket,
};
use bridge_core::rtc::{Certificate, CertificateError, RtcConfig};
use bridge_core::shard::io::ShardId;
use bridge_core::shard::{ShardConfig, ShardCore};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber, date_time_ymd};
use relay_proto::id::NodeId;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Clients check the fingerprint, not the dates; some want dates that are plausible.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a node has no media.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The address is taken or not ours.
    #[error("media.udp_listen: port {port} for media thread {shard} ({address}): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Its port.
        port: u16,
        /// Which thread.
        shard: u8,
        /// The system's answer.
        source: io::Error,
    },
    /// No DTLS certificate could be made.
    #[error("cannot make the DTLS certificate: {0}")]
    Certificate(String),
    /// The system gives no thread or event descriptor.
    #[error("cannot start a media thread: {0}")]
    Thread(io::Error),
}

impl From<CertificateError> for MediaError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error.to_string())
    }
}

/// Shards that have their sockets but do not run yet.
pub struct PreparedShards {
    sockets: Vec<UdpSocket>,
    receiving: Vec<Receiving>,
    inboxes: Vec<ShardInbox>,
    /// Where clients are told to come by TCP, best first.
    pub(crate) tcp_candidates: Vec<SocketAddr>,
}

impl PreparedShards {
    /// Takes the ports of `config`.
    ///
    /// # Errors
    /// [`MediaError::Listen`] names key, port and thread.
    pub fn open(config: &MediaConfig) -> Result<Self, MediaError> {
        let mut prepared = Self {
            sockets: Vec::new(),
            receiving: Vec::new(),
            inboxes: Vec::new(),
            tcp_candidates: Vec::new(),
        };
        for shard in 0..config.shards.get() {
            let mut address = config.udp_listen;
            if address.port() != 0 {
                // The configuration has checked that the last port exists.
                address.set_port(address.port().saturating_add(u16::from(shard)));
            }
            let socket = socket::open(address).map_err(|source| MediaError::Listen {
                address,
                port: address.port(),
                shard,
                source,
            })?;
            let (inbox, receiving) = inbox().map_err(MediaError::Thread)?;
            prepared.sockets.push(socket);
            prepared.receiving.push(receiving);
            prepared.inboxes.push(inbox);
        }
        Ok(prepared)
    }

    /// How other threads speak to the shards.
    #[must_use]
    pub fn inboxes(&self) -> Vec<ShardInbox> {
        self.inboxes.clone()
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`MediaError::Certificate`] and [`MediaError::Thread`].
    pub fn start(
        self,
        node: NodeId,
        config: &MediaConfig,
        limits: &Limits,
        (links, tracks): (&LinkTable, &Arc<TrackRoutes>),
        events: &mpsc::Sender<ShardEvent>,
    ) -> Result<Vec<ShardThread>, MediaError> {
        let certificate = dtls_certificate()?;
        let mut threads = Vec::new();
        for (number, (socket, receiving)) in self.sockets.into_iter().zip(self.receiving).enumerate() {
            let shard = ShardId(number as u8);
            let port = socket.local_addr().map_err(MediaError::Thread)?.port();
            let rtc = RtcConfig {
                certificate: certificate.clone(),
                candidates: config
                    .advertise
                    .iter()
                    .map(|ip| SocketAddr::new(*ip, port))
                    .collect(),
                tcp_candidates: self.tcp_candidates.clone(),
                shard,
                estimates_paths: config.estimates_paths,
                limits: limits.rtc,
            };
            let core = core(node, rtc, limits);
            let siblings = Siblings::of(shard, node, &self.inboxes, tracks.clone());
            let ways = (links.clone(), siblings);
            let thread = ShardThread::start(shard, core, socket, receiving, ways, events.clone());
            threads.push(thread.map_err(MediaError::Thread)?);
        }
        Ok(threads)
    }
}

/// The shard of tracks that only pass through: nobody can reach it but other nodes.
///
/// # Errors
/// Where no certificate can be made, which a shard has though nobody asks this one for it.
pub fn passing_shard(
    node: NodeId,
    limits: &Limits,
    links: &LinkTable,
    events: &mpsc::Sender<ShardEvent>,
) -> Result<PassingShard, MediaError> {
    let rtc = RtcConfig {
        certificate: dtls_certificate()?,
        candidates: Vec::new(),
        tcp_candidates: Vec::new(),
        shard: ShardId::PASSING,
        estimates_paths: false,
        limits: limits.rtc,
    };
    Ok(PassingShard::new(
        core(node, rtc, limits),
        links.clone(),
        events.clone(),
    ))
}

fn core(node: NodeId, rtc: RtcConfig, limits: &Limits) -> ShardCore {
    let config = ShardConfig {
        node,
        rtc: Arc::new(rtc),
        limits: limits.shard,
    };
    ShardCore::new(config, random_seed())
}

/// 32 bytes from the system's source of randomness.
#[must_use]
pub fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).expect("invariant: the system's random source works or nothing does");
    seed
}

/// One for the life of the process. The serial number is random: Firefox refuses two certificates with the same one.
fn dtls_certificate() -> Result<Certificate, MediaError> {
    let failed = |error: rcgen::Error| MediaError::Certificate(error.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut parameters = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "causeway");
    parameters.distinguished_name = subject;
    let epoch = date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + now.saturating_sub(Duration::from_secs(24 * 3600));
    parameters.not_after = epoch + now + CERTIFICATE_LIFE;
    parameters.serial_number = Some(SerialNumber::from_slice(&random_seed()[..16]));
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    Ok(Certificate::from_der(
        certificate.der().to_vec(),
        key.serialize_der(),
    )?)
}
