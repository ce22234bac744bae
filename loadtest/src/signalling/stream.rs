//! The bytes under a session: TCP as it is, or TLS over it. Neither ever blocks if the socket does not.

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

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

/// A connection to a server.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Over a connected socket; TLS where `secure` is given. Its handshake happens with the first bytes.
    ///
    /// # Errors
    /// What the TLS library says against the name.
    pub fn new(socket: TcpStream, secure: Option<&Secure>) -> Result<Self> {
        let Some(secure) = secure else {
            return Ok(Self::Plain(socket));
        };
        let client = ClientConnection::new(Arc::clone(&secure.trust.0), secure.name.clone());
        let client = client.map_err(Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(client, socket))))
    }

    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref(),
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
