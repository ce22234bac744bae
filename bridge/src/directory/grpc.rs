//! gRPC calls on one HTTP/2 connection: `tonic` with messages of our own (see `messages`).
//!
//! Why not a client crate for etcd: those generate their code at build time and need `protoc` for it; nothing else here does.

use super::tls::Tls;
use http::uri::{PathAndQuery, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// Largest answer that is read, in bytes: a hundred rooms of a hundred nodes have less than half of it.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// What etcd may send before it is read; more than the answers to all orders that can be under way.
const WINDOW_BYTES: u32 = 8 << 20;
/// Orders on a stream that wait for the connection.
const QUEUE: usize = 256;
/// Of what etcd says about a refusal, so much is told.
const MAX_MESSAGE_CHARS: usize = 200;

/// Why a call has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// There is no connection.
    #[error("not reached: {0}")]
    Connect(String),
    /// It broke.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// The other end is no etcd, or speaks something else.
    #[error("the answer is none of etcd: {0}")]
    Foreign(String),
    /// etcd refuses.
    #[error("etcd refuses ({code:?}): {message}")]
    Status {
        /// Of gRPC.
        code: Code,
        /// For people.
        message: String,
    },
}

impl CallError {
    /// Whether etcd refuses with that code.
    pub(super) fn is(&self, wanted: Code) -> bool {
        matches!(self, Self::Status { code, .. } if *code == wanted)
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let message = status.message().chars().take(MAX_MESSAGE_CHARS).collect();
        match (status.code(), status.source()) {
            // What broke below has a cause; what the other end says has none.
            (_, Some(cause)) => Self::Lost(cause.to_string()),
            // As tonic calls what it cannot read.
            (Code::Internal, None) => Self::Foreign(message),
            (code, None) => Self::Status { code, message },
        }
    }
}

/// Where etcd is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// A connection. Ends when dropped.
pub(super) struct Channel {
    grpc: Grpc<Sender>,
    driver: JoinHandle<()>,
    token: Option<MetadataValue<Ascii>>,
    patience: Duration,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Channel {
    /// Connects; everything may take `patience`.
    pub(super) async fn open(
        place: Place<'_>,
        tls: Option<&Tls>,
        patience: Duration,
    ) -> Result<Self, CallError> {
        let connect = async {
            let address = place.host.trim_start_matches('[').trim_end_matches(']');
            let tcp = TcpStream::connect((address, place.port)).await;
            let tcp = tcp.map_err(|error| CallError::Connect(error.to_string()))?;
            // Small calls that wait for each other's answers.
            let _ = tcp.set_nodelay(true);
            let scheme = if tls.is_some() { "https" } else { "http" };
            let origin = format!("{scheme}://{}:{}", place.host, place.port);
            let origin = origin
                .parse()
                .map_err(|error: http::uri::InvalidUri| CallError::Connect(error.to_string()))?;
            match tls {
                Some(tls) => Self::over(tls.secured(tcp, place.host).await?, origin, patience).await,
                None => Self::over(tcp, origin, patience).await,
            }
        };
        tokio::time::timeout(patience, connect)
            .await
            .map_err(|_| CallError::Connect("no answer in time".to_owned()))?
    }

    async fn over(
        line: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        origin: Uri,
        patience: Duration,
    ) -> Result<Self, CallError> {
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(line))
            .await
            .map_err(|error| CallError::Connect(error.to_string()))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to etcd has ended");
            }
        });
        let grpc = Grpc::with_origin(Sender(requests), origin).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self {
            grpc,
            driver,
            token: None,
            patience,
        })
    }

    /// All further calls show this.
    pub(super) fn set_token(&mut self, token: &str) -> Result<(), CallError> {
        let mut token: MetadataValue<Ascii> = token
            .parse()
            .map_err(|_| CallError::Foreign("a token with control characters".to_owned()))?;
        token.set_sensitive(true);
        self.token = Some(token);
        Ok(())
    }

    /// One question, one answer.
    pub(super) async fn call<Q, A>(&self, path: &'static str, question: Q) -> Result<A, CallError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let call = async {
            let mut grpc = self.grpc.clone();
            grpc.ready().await.map_err(lost)?;
            let answer = grpc.unary(self.request(question), to(path), ProstCodec::default());
            Ok(answer.await?.into_inner())
        };
        tokio::time::timeout(self.patience, call)
            .await
            .map_err(|_| CallError::Late)?
    }

    /// A stream both ways. etcd answers nothing before it has read `first`. Waiting for the next answer may be given up at
    /// any time: what has come is kept.
    pub(super) async fn stream<Q, A>(
        &self,
        path: &'static str,
        first: Q,
    ) -> Result<(Orders<Q>, Streaming<A>), CallError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (orders, queue) = mpsc::channel(QUEUE);
        let orders = Orders {
            orders,
            patience: self.patience,
        };
        orders.send(first).await?;
        let call = async {
            let mut grpc = self.grpc.clone();
            grpc.ready().await.map_err(lost)?;
            let request = self.request(ReceiverStream::new(queue));
            let answers = grpc.streaming(request, to(path), ProstCodec::default());
            Ok::<_, CallError>(answers.await?.into_inner())
        };
        let answers = tokio::time::timeout(self.patience, call).await;
        Ok((orders, answers.map_err(|_| CallError::Late)??))
    }

    fn request<T>(&self, content: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(content);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}

const fn to(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

fn lost(error: hyper::Error) -> CallError {
    CallError::Lost(error.to_string())
}

/// Our end of a stream.
pub(super) struct Orders<Q> {
    orders: mpsc::Sender<Q>,
    patience: Duration,
}

impl<Q> Orders<Q> {
    /// Sends one more.
    pub(super) async fn send(&self, order: Q) -> Result<(), CallError> {
        let sent = tokio::time::timeout(self.patience, self.orders.send(order)).await;
        sent.map_err(|_| CallError::Late)?
            .map_err(|_| CallError::Lost("the stream has ended".to_owned()))
    }
}

/// The connection, as tonic wants it.
#[derive(Clone)]
struct Sender(SendRequest<Body>);

impl Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
