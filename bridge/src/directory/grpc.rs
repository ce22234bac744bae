//! gRPC calls on one HTTP/2 connection: as much of it as etcd needs. Source: "gRPC over HTTP2", PROTOCOL-HTTP2.md of grpc.
//!
//! Why not a client crate: those for etcd generate their code at build time and need `protoc` for it; nothing else here does.

use super::tls::Tls;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::convert::Infallible;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Largest answer that is read, in bytes: a hundred rooms of a hundred nodes have less than half of it.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// What etcd may send before it is read; more than the answers to all orders that can be under way.
const WINDOW_BYTES: u32 = 8 << 20;
/// Orders on a stream that wait for the connection.
const QUEUE: usize = 256;
/// Before each message: a flag for compression and its length.
const FRAME_HEADER_BYTES: usize = 5;

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
    #[error("etcd refuses ({code}): {message}")]
    Status {
        /// Of gRPC.
        code: u32,
        /// For people.
        message: String,
    },
}

impl CallError {
    /// Code of what does not exist.
    pub(super) const NOT_FOUND: u32 = 5;
    /// Code of what exists already.
    pub(super) const PRECONDITION: u32 = 9;

    /// Whether etcd refuses with that code.
    pub(super) const fn is(&self, wanted: u32) -> bool {
        matches!(self, Self::Status { code, .. } if *code == wanted)
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
    requests: SendRequest<Outgoing>,
    driver: JoinHandle<()>,
    base: String,
    token: Option<HeaderValue>,
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
            let base = format!("{scheme}://{}:{}", place.host, place.port);
            match tls {
                Some(tls) => Self::over(tls.secured(tcp, place.host).await?, base, patience).await,
                None => Self::over(tcp, base, patience).await,
            }
        };
        tokio::time::timeout(patience, connect)
            .await
            .map_err(|_| CallError::Connect("no answer in time".to_owned()))?
    }

    async fn over(
        line: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        base: String,
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
        Ok(Self {
            requests,
            driver,
            base,
            token: None,
            patience,
        })
    }

    /// All further calls show this.
    pub(super) fn set_token(&mut self, token: &str) -> Result<(), CallError> {
        let mut token = HeaderValue::from_str(token)
            .map_err(|_| CallError::Foreign("a token with control characters".to_owned()))?;
        token.set_sensitive(true);
        self.token = Some(token);
        Ok(())
    }

    /// One question, one answer.
    pub(super) async fn call<A: Message + Default>(
        &self,
        path: &'static str,
        question: &impl Message,
    ) -> Result<A, CallError> {
        let (orders, body) = Outgoing::of(question);
        drop(orders);
        let call = async {
            let mut answers = Answers::<A>::of(self.request(path, body).await?)?;
            let answer = answers.next().await?;
            answer.ok_or_else(|| CallError::Foreign("an empty answer".to_owned()))
        };
        tokio::time::timeout(self.patience, call)
            .await
            .map_err(|_| CallError::Late)?
    }

    /// A stream both ways. etcd answers nothing before it has read `first`.
    pub(super) async fn stream<A: Message + Default>(
        &self,
        path: &'static str,
        first: &impl Message,
    ) -> Result<(Orders, Answers<A>), CallError> {
        let (orders, body) = Outgoing::of(first);
        let response = tokio::time::timeout(self.patience, self.request(path, body)).await;
        let answers = Answers::of(response.map_err(|_| CallError::Late)??)?;
        let patience = self.patience;
        Ok((Orders { orders, patience }, answers))
    }

    async fn request(&self, path: &str, body: Outgoing) -> Result<Response<Incoming>, CallError> {
        let mut request = Request::post(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers");
        if let Some(token) = &self.token {
            request = request.header("token", token);
        }
        let request = request
            .body(body)
            .map_err(|error| CallError::Connect(error.to_string()))?;
        let sent = self.requests.clone().send_request(request).await;
        sent.map_err(|error| CallError::Lost(error.to_string()))
    }
}

/// Our end of a stream.
pub(super) struct Orders {
    orders: mpsc::Sender<Bytes>,
    patience: Duration,
}

impl Orders {
    /// Sends one more.
    pub(super) async fn send(&self, order: &impl Message) -> Result<(), CallError> {
        let sent = tokio::time::timeout(self.patience, self.orders.send(framed(order))).await;
        sent.map_err(|_| CallError::Late)?
            .map_err(|_| CallError::Lost("the stream has ended".to_owned()))
    }
}

/// What goes to etcd in one call.
pub(super) struct Outgoing(mpsc::Receiver<Bytes>);

impl Outgoing {
    fn of(first: &impl Message) -> (mpsc::Sender<Bytes>, Self) {
        let (orders, queue) = mpsc::channel(QUEUE);
        orders
            .try_send(framed(first))
            .expect("invariant: an empty queue takes one");
        (orders, Self(queue))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    message
        .encode(&mut frame)
        .expect("invariant: a buffer that grows takes every message");
    frame.freeze()
}

/// What comes from etcd in one call.
pub(super) struct Answers<A> {
    body: Incoming,
    read: BytesMut,
    kind: PhantomData<fn() -> A>,
}

impl<A: Message + Default> Answers<A> {
    fn of(response: Response<Incoming>) -> Result<Self, CallError> {
        if !response.status().is_success() {
            return Err(CallError::Foreign(format!("HTTP {}", response.status())));
        }
        // Of calls refused at once, all that comes are headers.
        status(response.headers())?;
        Ok(Self {
            body: response.into_body(),
            read: BytesMut::new(),
            kind: PhantomData,
        })
    }

    /// The next answer; none at a good end. May be dropped at any time: what has come is kept.
    pub(super) async fn next(&mut self) -> Result<Option<A>, CallError> {
        loop {
            if let Some(message) = unframed(&mut self.read)? {
                let answer = A::decode(message);
                return answer
                    .map(Some)
                    .map_err(|error| CallError::Foreign(error.to_string()));
            }
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| CallError::Lost(error.to_string()))?;
            match frame.into_data() {
                Ok(data) => self.read.extend_from_slice(&data),
                Err(frame) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        status(trailers)?;
                    }
                }
            }
        }
    }
}

/// Takes a whole message off the front of what has been read, if there is one.
fn unframed(read: &mut BytesMut) -> Result<Option<Bytes>, CallError> {
    let Some(header) = read.first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let [compressed, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if compressed != 0 || length > MAX_ANSWER_BYTES {
        return Err(CallError::Foreign(format!("a message of {length} bytes")));
    }
    if read.len() < FRAME_HEADER_BYTES + length {
        return Ok(None);
    }
    read.advance(FRAME_HEADER_BYTES);
    Ok(Some(read.split_to(length).freeze()))
}

/// What headers or trailers say of the end of a call, where they do.
fn status(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status").map(str::parse) {
        None | Some(Ok(0)) => Ok(()),
        Some(Ok(code)) => Err(CallError::Status {
            code,
            message: text("grpc-message")
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect(),
        }),
        Some(Err(_)) => Err(CallError::Foreign("a status that is no number".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::LeaseKeepAliveRequest;
    use super::*;

    #[test]
    fn messages_are_read_however_they_are_cut_and_none_that_is_too_long() {
        let sent = framed(&LeaseKeepAliveRequest { id: 300 });
        let mut read = BytesMut::new();
        for byte in sent.iter().take(sent.len() - 1) {
            read.put_u8(*byte);
            assert!(unframed(&mut read).unwrap().is_none());
        }
        read.extend_from_slice(&sent[sent.len() - 1..]);
        read.extend_from_slice(&sent);
        for _ in 0..2 {
            let message = unframed(&mut read).unwrap().unwrap();
            assert_eq!(LeaseKeepAliveRequest::decode(message).unwrap().id, 300);
        }
        assert!(unframed(&mut read).unwrap().is_none());
        for header in [[0, 0xff, 0xff, 0xff, 0xff], [1, 0, 0, 0, 0]] {
            assert!(unframed(&mut BytesMut::from(&header[..])).is_err());
        }
    }
}
