//! Every address of the node that others may hold, taken before anything runs.

use crate::config::{Config, reached_by_tcp};
use crate::http::server::{self, Beside, ServerError};
use crate::media::PreparedShards;
use crate::node::StartError;
use crate::tcp::TcpMedia;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The listener of web client and signalling, and its TLS with whoever shares that.
pub(crate) type Web = (TcpListener, Option<(TlsAcceptor, Beside)>);

/// What a node listens with.
pub(crate) struct Listening {
    pub(crate) http: SocketAddr,
    pub(crate) web: Web,
    pub(crate) metrics: Option<TcpListener>,
    pub(crate) tcp: TcpInlet,
    pub(crate) shards: PreparedShards,
}

/// Where media comes in by TCP.
pub(crate) struct TcpInlet {
    listener: Option<TcpListener>,
    pub(crate) media: Arc<TcpMedia>,
}

impl Listening {
    pub(crate) fn open(config: &Config) -> Result<Self, StartError> {
        let address = config.http.listen;
        let listener = server::listen("http.listen", address)?;
        let http = listener.local_addr().map_err(|source| ServerError::Listen {
            key: "http.listen",
            address,
            source,
        })?;
        let metrics = match config.metrics.listen {
            Some(address) => Some(server::listen("metrics.listen", address)?),
            None => None,
        };
        let tls = config.http.tls.as_ref().map(server::tls_acceptor).transpose()?;
        let mut shards = PreparedShards::open(&config.media)?;
        let tcp = TcpInlet {
            listener: match config.media.tcp_listen {
                Some(address) => Some(server::listen("media.tcp_listen", address)?),
                None => None,
            },
            media: TcpMedia::new(config.limits.tcp, shards.inboxes()),
        };
        let beside = Some(tcp.media.clone()).filter(|_| config.media.tcp_beside_https);
        shards.tcp_candidates = tcp.candidates(config, beside.is_some().then_some(http));
        Ok(Self {
            http,
            web: (listener, tls.map(|acceptor| (acceptor, beside))),
            metrics,
            tcp,
            shards,
        })
    }
}

impl TcpInlet {
    /// Where clients are told to come: the listener of their own first, then the HTTPS listener they share.
    fn candidates(&self, config: &Config, shared: Option<SocketAddr>) -> Vec<SocketAddr> {
        let own = self
            .listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        own.into_iter()
            .chain(shared)
            .flat_map(|listener| reached_by_tcp(&config.media.advertise, listener))
            .collect()
    }

    /// Accepts from now on; abort the task to end that.
    pub(crate) fn start(self) -> Option<JoinHandle<()>> {
        let listener = self.listener?;
        Some(tokio::spawn(self.media.accept_all(listener)))
    }
}
