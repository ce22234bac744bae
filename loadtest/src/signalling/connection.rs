//! The socket under a session: connect, upgrade, read and write, never blocking.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, socket, sockopt,
};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::http::HeaderValue;
use tungstenite::http::header::AUTHORIZATION;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, WebSocket};

use super::message::{Event, Join, Request, write_join};
use super::session::Session;
use super::stream::Stream;
use super::{Endpoint, SignallingError, shortened};

/// Time for connecting and the upgrade together.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// Longest message of a server.
const MOST_MESSAGE_BYTES: usize = 2 * 1024 * 1024;
/// Written but not yet taken by the system.
const MOST_UNSENT_BYTES: usize = 1024 * 1024;
/// Messages read in one go, so that one client cannot keep the loop.
const MESSAGES_PER_TURN: usize = 32;

/// What the loop should wake the connection for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// When it can be read.
    pub read: bool,
    /// When it can be written.
    pub write: bool,
}

enum Phase {
    Connecting(TcpStream),
    Upgrading(Box<MidHandshake<ClientHandshake<Stream>>>),
    Open(Box<WebSocket<Stream>>),
    Over,
}

/// One client's signalling.
pub struct Connection {
    phase: Phase,
    request: Option<tungstenite::http::Request<()>>,
    endpoint: Endpoint,
    open_by: Instant,
    session: Option<Session>,
    /// Requests made before the session is open.
    early: VecDeque<Request>,
    failed: Option<SignallingError>,
    unsent: bool,
    /// Since when messages may wait that were received but not read: no socket wakes anybody for them.
    unread: Option<Instant>,
}

impl Connection {
    /// Begins to connect. The token travels as native SDKs send it.
    ///
    /// # Errors
    /// [`SignallingError::Unreachable`] when the system refuses at once, [`SignallingError::Token`] for a token that
    /// fits into no header.
    pub fn dial(endpoint: &Endpoint, token: &str, join: Join, now: Instant) -> Result<Self, SignallingError> {
        let follows = if join.follows { "&follows=1" } else { "" };
        let query = format!("join_request={}{follows}", write_join(join));
        let mut request = endpoint
            .upgrade_url(&query)
            .into_client_request()
            .map_err(|error| SignallingError::Protocol(error.to_string()))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|error| SignallingError::Token(error.to_string()))?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let stream = begin_connect(endpoint.address).map_err(|error| unreachable(endpoint, error.desc()))?;
        Ok(Self {
            phase: Phase::Connecting(stream),
            request: Some(request),
            endpoint: endpoint.clone(),
            open_by: now + OPEN_WITHIN,
            session: None,
            early: VecDeque::new(),
            failed: None,
            unsent: false,
            unread: None,
        })
    }

    /// The socket; none once the connection is over.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.phase {
            Phase::Connecting(stream) => Some(stream.as_fd()),
            Phase::Upgrading(handshake) => Some(handshake.get_ref().get_ref().as_fd()),
            Phase::Open(websocket) => Some(websocket.get_ref().as_fd()),
            Phase::Over => None,
        }
    }

    /// What to wake it for.
    #[must_use]
    pub fn interest(&self) -> Interest {
        match &self.phase {
            Phase::Connecting(_) => Interest {
                read: false,
                write: true,
            },
            // The upgrade is small: once written, only the answer is waited for.
            Phase::Upgrading(_) => Interest {
                read: true,
                write: false,
            },
            Phase::Open(_) => Interest {
                read: true,
                write: self.unsent,
            },
            Phase::Over => Interest {
                read: false,
                write: false,
            },
        }
    }

    /// Goes on as far as possible without waiting.
    pub fn handle_ready(&mut self, now: Instant) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Connecting(stream) => self.finish_connect(stream, now),
            Phase::Upgrading(handshake) => self.take_upgrade(handshake.handshake(), now),
            Phase::Open(websocket) => {
                self.phase = Phase::Open(websocket);
                self.read(now);
                self.write();
            }
            Phase::Over => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.unread.is_some() {
            self.read(now);
        }
        match &mut self.session {
            Some(session) => {
                session.handle_timeout(now);
                self.write();
            }
            None if !matches!(self.phase, Phase::Over) && now >= self.open_by => {
                let error = unreachable(&self.endpoint, "no answer within 5 s");
                self.fail(error);
            }
            None => {}
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.session {
            Some(session) => session.poll_timeout().into_iter().chain(self.unread).min(),
            None if !matches!(self.phase, Phase::Over) => Some(self.open_by),
            None => None,
        }
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = match &mut self.session {
            Some(session) => session.poll_event(),
            None => self.failed.take().map(Event::Closed),
        };
        if matches!(event, Some(Event::Closed(_))) {
            self.phase = Phase::Over;
        }
        event
    }

    /// Says something, as soon as that is possible.
    pub fn send(&mut self, request: Request) {
        match &mut self.session {
            Some(session) => {
                session.send(request);
                self.write();
            }
            // Nobody says much before the first answer.
            None if self.early.len() < 16 => self.early.push_back(request),
            None => {}
        }
    }

    fn fail(&mut self, error: SignallingError) {
        self.phase = Phase::Over;
        match &mut self.session {
            Some(session) => session.close(error),
            None => self.failed = Some(error),
        }
    }

    fn finish_connect(&mut self, stream: TcpStream, now: Instant) {
        let outcome = match getsockopt(&stream, sockopt::SocketError) {
            Ok(0) => Ok(()),
            Ok(code) => Err(Errno::from_raw(code)),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            let error = unreachable(&self.endpoint, error.desc());
            return self.fail(error);
        }
        // Answers are waited for: no small message should wait for another.
        let _ = stream.set_nodelay(true);
        let Some(request) = self.request.take() else {
            return;
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MOST_MESSAGE_BYTES))
            .max_frame_size(Some(MOST_MESSAGE_BYTES))
            .max_write_buffer_size(MOST_UNSENT_BYTES);
        match Stream::new(stream, self.endpoint.secure.as_ref()) {
            Ok(stream) => {
                let upgrade = tungstenite::client::client_with_config(request, stream, Some(config));
                self.take_upgrade(upgrade, now);
            }
            Err(error) => self.fail(explain(error.into())),
        }
    }

    fn take_upgrade(
        &mut self,
        outcome: Result<
            (WebSocket<Stream>, tungstenite::handshake::client::Response),
            HandshakeError<ClientHandshake<Stream>>,
        >,
        now: Instant,
    ) {
        match outcome {
            Ok((websocket, _)) => {
                self.phase = Phase::Open(Box::new(websocket));
                let mut session = Session::new(now);
                for request in self.early.drain(..) {
                    session.send(request);
                }
                self.session = Some(session);
                self.read(now);
                self.write();
            }
            Err(HandshakeError::Interrupted(handshake)) => {
                self.phase = Phase::Upgrading(Box::new(handshake));
            }
            Err(HandshakeError::Failure(error)) => self.fail(explain(error)),
        }
    }

    fn read(&mut self, now: Instant) {
        self.unread = None;
        for _ in 0..MESSAGES_PER_TURN {
            let (Phase::Open(websocket), Some(session)) = (&mut self.phase, &mut self.session) else {
                return;
            };
            match websocket.read() {
                Ok(Message::Binary(bytes)) => session.handle_message(now, &bytes),
                Ok(Message::Text(_)) => {
                    let error = SignallingError::Protocol("it sends text".to_owned());
                    return self.fail(error);
                }
                Ok(Message::Close(_)) => return self.fail(SignallingError::Closed),
                Ok(_) => {}
                Err(error) if would_block(&error) => return,
                Err(error) => return self.fail(explain(error)),
            }
        }
        self.unread = Some(now);
    }

    fn write(&mut self) {
        let (Phase::Open(websocket), Some(session)) = (&mut self.phase, &mut self.session) else {
            return;
        };
        while let Some(message) = session.poll_transmit() {
            match websocket.write(Message::Binary(message.into())) {
                Ok(()) => {}
                Err(error) if would_block(&error) => break,
                Err(error) => return self.fail(explain(error)),
            }
        }
        match websocket.flush() {
            Ok(()) => self.unsent = false,
            Err(error) if would_block(&error) => self.unsent = true,
            Err(error) => self.fail(explain(error)),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let socket = self.socket().map(|socket| socket.as_raw_fd());
        f.debug_struct("Connection")
            .field("socket", &socket)
            .finish_non_exhaustive()
    }
}

fn begin_connect(to: SocketAddr) -> nix::Result<TcpStream> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let descriptor = socket(family, SockType::Stream, flags, None)?;
    match connect(descriptor.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(descriptor)),
        Err(error) => Err(error),
    }
}

fn unreachable(endpoint: &Endpoint, reason: &str) -> SignallingError {
    SignallingError::Unreachable {
        address: endpoint.host.clone(),
        reason: reason.to_owned(),
    }
}

fn would_block(error: &tungstenite::Error) -> bool {
    matches!(error, tungstenite::Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

fn explain(error: tungstenite::Error) -> SignallingError {
    use tungstenite::Error;
    match error {
        Error::Http(response) => SignallingError::Refused {
            status: response.status().as_u16(),
            text: shortened(response.body().as_deref().unwrap_or_default()),
        },
        Error::ConnectionClosed | Error::AlreadyClosed => SignallingError::Closed,
        Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ) =>
        {
            SignallingError::Closed
        }
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            SignallingError::Tls(shortened(error.to_string().as_bytes()))
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => SignallingError::Closed,
        other => SignallingError::Protocol(shortened(other.to_string().as_bytes())),
    }
}
