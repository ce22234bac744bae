//! The bytes under a session: TCP as it is, or TLS over it. Neither ever blocks if the socket does not.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Whom to believe that a server is the one its name says.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The authorities this system trusts, or those in the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Reads
    /// some hundred certificates.
    ///
    /// # Errors
    /// In words, when there is not one that can be used.
    pub fn of_system() -> std::result::Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let why = found.errors.first().map(ToString::to_string);
        Self::of(found.certs).map_err(|error| why.unwrap_or(error))
    }

    /// The authorities in a PEM file, and no others.
    ///
    /// # Errors
    /// In words, when it cannot be read or holds none.
    pub fn of_file(path: &std::path::Path) -> std::result::Result<Self, String> {
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::of(certificates).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// These authorities, and no others.
    ///
    /// # Errors
    /// In words, when there is not one that can be used.
    pub fn of(
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> std::result::Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        if roots.is_empty() {
            return Err("no certificate of an authority".to_owned());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// How a server's identity is checked: its name, and by whom.
#[derive(Clone, Debug)]
pub struct Secure {
    pub(super) name: ServerName<'static>,
    pub(super) trust: Trust,
}

/// A socket, and until when it may be waited for. TLS reads a socket as often as its records want: one timeout for
/// each read would let a server that sends byte by byte hold its client for ever.
#[derive(Debug)]
pub struct Wire {
    socket: TcpStream,
    until: Option<Instant>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(until) = self.until else {
            return self.socket.read(buffer);
        };
        let late = || Error::new(ErrorKind::TimedOut, "no whole answer in time");
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        self.socket.set_read_timeout(Some(left))?;
        // What a socket calls its timeout differs between systems.
        self.socket.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => late(),
            _ => error,
        })
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()
    }
}

/// A connection to a server.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(Wire),
    /// TLS over it.
    Tls(Box<StreamOwned<ClientConnection, Wire>>),
}

impl Stream {
    /// Over a connected socket; TLS where `secure` is given. Its handshake happens with the first bytes.
    ///
    /// # Errors
    /// What the TLS library says against the name.
    pub fn new(socket: TcpStream, secure: Option<&Secure>) -> Result<Self> {
        let Some(secure) = secure else {
            return Ok(Self::Plain(Wire { socket, until: None }));
        };
        let client = ClientConnection::new(Arc::clone(&secure.trust.0), secure.name.clone());
        let client = client.map_err(Error::other)?;
        let wire = Wire { socket, until: None };
        Ok(Self::Tls(Box::new(StreamOwned::new(client, wire))))
    }

    /// Reads of a blocking socket fail as timed out from `until` on, the handshake's included.
    pub const fn read_until(&mut self, until: Instant) {
        match self {
            Self::Plain(wire) => wire.until = Some(until),
            Self::Tls(stream) => stream.sock.until = Some(until),
        }
    }

    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(wire) => &wire.socket,
            Self::Tls(stream) => &stream.get_ref().socket,
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
