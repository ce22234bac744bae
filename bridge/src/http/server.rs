//! The HTTP listener: plain or TLS, with a graceful end.

use crate::config::HttpTls;
use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, connect_info::IntoMakeServiceWithConnectInfo};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest TLS handshake; slower clients are dropped.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// TLS handshakes under way at once; further connections wait in the kernel.
const MAX_HANDSHAKES: usize = 256;

/// Why the HTTP listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("{key} = \"{address}\": {source}")]
    Listen {
        /// Configuration key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A file cannot be read as what it should be.
    #[error("{key} = \"{path}\": {reason}")]
    File {
        /// Configuration key.
        key: &'static str,
        /// Its value.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not belong together.
    #[error("http.tls: {0}")]
    Tls(#[from] rustls::Error),
}

/// Takes a TCP address.
///
/// # Errors
/// [`ServerError::Listen`] names `key` and the address.
pub async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServerError::Listen { key, address, source })
}

/// Serves `router` until `stop` turns true, then finishes what is under way.
///
/// # Errors
/// Whatever the listener says.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let stopped = async move {
        // A dropped sender means the node is gone: also an end.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    match tls {
        None => {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service)
                .with_graceful_shutdown(stopped)
                .await
        }
        Some(acceptor) => {
            let listener = TlsListener::start(listener, acceptor)?;
            axum::serve(listener, tls_service(router))
                .with_graceful_shutdown(stopped)
                .await
        }
    }
}

/// Reads the certificate of the HTTP listener.
///
/// # Errors
/// [`ServerError::File`] names key and path; [`ServerError::Tls`] where the two do not match.
pub fn tls_acceptor(files: &HttpTls) -> Result<TlsAcceptor, ServerError> {
    let unreadable = |key, path: &Path, reason: String| ServerError::File {
        key,
        path: path.display().to_string(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unreadable("http.tls.cert", &files.certificate, e.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| unreadable("http.tls.key", &files.key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Shakes hands in tasks of its own, so that a slow client holds nobody up.
struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    fn start(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(MAX_HANDSHAKES);
        tokio::spawn(accept_all(listener, acceptor, sender));
        Ok(Self { address, ready })
    }
}

async fn accept_all(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let Ok(place) = ready.clone().reserve_owned().await else {
            return;
        };
        let (stream, from) = Listener::accept(&mut listener).await;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    place.send((stream, from));
                }
                Ok(Err(error)) => tracing::debug!(%from, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%from, "TLS handshake took too long"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The accepting task is gone with the runtime: there is nothing more to accept.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// Where a TLS client is; axum knows only how to find that of a plain one.
#[derive(Clone, Copy)]
struct TlsClient(SocketAddr);

impl Connected<IncomingStream<'_, TlsListener>> for TlsClient {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

fn tls_service(router: Router) -> IntoMakeServiceWithConnectInfo<Router, TlsClient> {
    async fn as_plain(mut request: Request, next: Next) -> Response {
        if let Some(ConnectInfo(TlsClient(address))) =
            request.extensions().get::<ConnectInfo<TlsClient>>().copied()
        {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        next.run(request).await
    }
    router
        .layer(from_fn(as_plain))
        .into_make_service_with_connect_info::<TlsClient>()
}
