//! The HTTP listener: plain or TLS, with a graceful end.

use crate::config::HttpTls;
use crate::dual;
use crate::tcp::{TcpMedia, begins_with_a_check};
use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, connect_info::IntoMakeServiceWithConnectInfo};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest TLS handshake; slower clients are dropped.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// From a connection to its first answer; whoever sends its first request byte by byte is dropped. Long enough for a
/// session that opens (4 s) over a slow line.
const REQUEST_TIME: Duration = Duration::from_secs(15);
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

/// Takes a TCP address; `[::]` takes IPv4 too.
///
/// # Errors
/// [`ServerError::Listen`] names `key` and the address.
pub fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    dual::tcp(address)
        .and_then(TcpListener::from_std)
        .map_err(|source| ServerError::Listen { key, address, source })
}

/// Who shares the HTTPS listener.
pub type Beside = Option<Arc<TcpMedia>>;

/// Serves `router` until `stop` turns true, then finishes what is under way and waits until every connection is closed,
/// WebSockets included.
///
/// # Errors
/// Whatever the listener says.
pub async fn serve(
    listener: TcpListener,
    tls: Option<(TlsAcceptor, Beside)>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let (open, mut all_closed) = mpsc::channel(1);
    let stopped = async move {
        // A dropped sender means the node is gone: also an end.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let listener = Prompt(listener);
    match tls {
        None => {
            let listener = Guarded {
                inner: listener,
                open,
            };
            axum::serve(listener, service(router))
                .with_graceful_shutdown(stopped)
                .await?;
        }
        Some((acceptor, beside)) => {
            let listener = Guarded {
                inner: TlsListener::start(listener, acceptor, beside)?,
                open,
            };
            axum::serve(listener, service(router))
                .with_graceful_shutdown(stopped)
                .await?;
        }
    }
    // Nothing is ever sent: this ends when the last connection lets go of its end.
    all_closed.recv().await;
    Ok(())
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

/// Connections whose small messages leave at once. A join is answered in two messages a moment apart: with Nagle's
/// algorithm (RFC 896) the second, the answer to the offer, waits a round trip for the acknowledgement of the first.
struct Prompt(TcpListener);

impl Listener for Prompt {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, from) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%from, %error, "small messages on this connection may be late");
        }
        (stream, dual::canonical(from))
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Shakes hands in tasks of its own, so that a slow client holds nobody up.
struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    fn start(listener: Prompt, acceptor: TlsAcceptor, beside: Beside) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(MAX_HANDSHAKES);
        tokio::spawn(accept_all(listener, acceptor, beside, sender));
        Ok(Self { address, ready })
    }
}

async fn accept_all(
    mut listener: Prompt,
    acceptor: TlsAcceptor,
    beside: Beside,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let Ok(place) = ready.clone().reserve_owned().await else {
            return;
        };
        let (stream, from) = listener.accept().await;
        let (acceptor, beside) = (acceptor.clone(), beside.clone());
        tokio::spawn(async move {
            let handshake = async {
                if let Some(media) = beside
                    && is_media(&stream).await?
                {
                    media.take(stream, from);
                    return Ok(None);
                }
                acceptor.accept(stream).await.map(Some)
            };
            match tokio::time::timeout(HANDSHAKE_TIME, handshake).await {
                Ok(Ok(Some(stream))) => {
                    place.send((stream, from));
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::debug!(%from, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%from, "TLS handshake took too long"),
            }
        });
    }
}

/// Whether a client begins with a framed check (RFC 4571, RFC 6544) and not with TLS. Takes nothing from the stream.
async fn is_media(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    // The end of the stream is for TLS to complain about.
    Ok(stream.peek(&mut first).await? == 1 && begins_with_a_check(first[0]))
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

/// A listener whose connections hold `open` for as long as they exist, and come to their first answer in time.
struct Guarded<L> {
    inner: L,
    open: mpsc::Sender<Infallible>,
}

/// A connection of it.
struct Connection<T> {
    inner: T,
    _open: mpsc::Sender<Infallible>,
    /// When its first answer is due; none once that is on its way.
    due: Option<Pin<Box<Sleep>>>,
}

impl<T> Connection<T> {
    fn new(inner: T, open: mpsc::Sender<Infallible>, time: Duration) -> Self {
        Self {
            inner,
            _open: open,
            due: Some(Box::pin(tokio::time::sleep(time))),
        }
    }
}

impl<L: Listener> Listener for Guarded<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (inner, address) = self.inner.accept().await;
        (Connection::new(inner, self.open.clone(), REQUEST_TIME), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self
            .due
            .as_mut()
            .is_some_and(|due| due.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.due = None;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.due = None;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Where a client is; axum knows only how to find that of its own listener.
#[derive(Clone, Copy)]
struct Client(SocketAddr);

impl<L: Listener<Addr = SocketAddr>> Connected<IncomingStream<'_, Guarded<L>>> for Client {
    fn connect_info(stream: IncomingStream<'_, Guarded<L>>) -> Self {
        Self(*stream.remote_addr())
    }
}

fn service(router: Router) -> IntoMakeServiceWithConnectInfo<Router, Client> {
    async fn with_address(mut request: Request, next: Next) -> Response {
        if let Some(ConnectInfo(Client(address))) = request.extensions().get().copied() {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        next.run(request).await
    }
    router
        .layer(from_fn(with_address))
        .into_make_service_with_connect_info::<Client>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn small_messages_do_not_wait_for_acknowledgements() {
        let listener = listen("http.listen", ([127, 0, 0, 1], 0).into()).unwrap();
        let mut listener = Prompt(listener);
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, from) = listener.accept().await;
        assert_eq!(from, client.local_addr().unwrap());
        assert!(accepted.nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_first_request_that_never_ends_is_dropped_and_an_answered_one_is_not() {
        let (mut client, server) = tokio::io::duplex(100);
        let mut server = Connection::new(server, mpsc::channel(1).0, Duration::from_millis(50));
        client.write_all(b"GET / HTT").await.unwrap();
        let mut head = [0; 100];
        assert_eq!(server.read(&mut head).await.unwrap(), 9);
        let error = server.read(&mut head).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (mut client, server) = tokio::io::duplex(100);
        let mut server = Connection::new(server, mpsc::channel(1).0, Duration::from_millis(50));
        server.write_all(b"HTTP/1.1 101").await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        client.write_all(b"frame").await.unwrap();
        assert_eq!(server.read(&mut head).await.unwrap(), 5);
    }
}
