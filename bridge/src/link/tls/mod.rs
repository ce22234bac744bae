//! Who a node is on a link, and whom it believes: mutual TLS 1.3 with one authority per mesh.
//!
//! Two sources, chosen by the configuration: `derived` makes the authority from `mesh.secret` and issues the
//! node's own certificate; `files` reads certificate, key and authority of the operator. Either way a peer is
//! believed when its chain ends at the mesh's authority; its *name* is then taken from the certificate
//! ([`PeerNames`]) and compared with the hello. Sessions are never resumed, so each link proves itself anew.
//!
//! What may not live here: sockets, and anything about rooms or routes.

mod credentials;
mod derived;
mod files;
mod names;
mod verify;
mod witness;

pub use credentials::{Credentials, CredentialsError};
pub use derived::{DerivedAuthority, MIN_SECRET_BYTES};
pub use files::CertificateFiles;
pub use names::PeerNames;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use relay_proto::id::NodeName;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use std::sync::Arc;
use std::time::SystemTime;

/// Application protocol of a link, agreed in the TLS handshake.
pub const ALPN: &[u8] = b"causeway/1";

/// The server name a dialler asks for. Peers are found by address and believed by certificate, so it is constant.
pub const SERVER_NAME: &str = "mesh.causeway";

/// Where a node's credentials come from.
#[derive(Debug)]
pub enum Identity {
    /// Everything follows from `mesh.secret`.
    Derived {
        /// The mesh's authority.
        authority: Box<DerivedAuthority>,
        /// This node.
        name: NodeName,
    },
    /// The operator supplies files; they are read anew at each issue, so replacing them is enough to rotate.
    Files(CertificateFiles),
}

impl Identity {
    /// The identity of `name` in the mesh that shares `secret`. Cost: one HKDF, no randomness.
    ///
    /// # Errors
    /// [`CredentialsError::SecretTooShort`]; [`CredentialsError::Issue`] where the library refuses the key.
    pub fn from_secret(secret: &str, name: &NodeName) -> Result<Self, CredentialsError> {
        Ok(Self::Derived {
            authority: Box::new(DerivedAuthority::new(secret)?),
            name: name.clone(),
        })
    }

    /// Certificate, key and authority for links made from `now` on. Cost: one key pair and one signature, or
    /// three files.
    ///
    /// # Errors
    /// Any [`CredentialsError`].
    pub fn issue(&self, now: SystemTime) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Derived { authority, name } => authority.issue(name, now),
            Self::Files(files) => files.read(),
        }
    }
}

impl Identity {
    /// The authorities whom peers must come from.
    fn roots(&self) -> Result<Arc<RootCertStore>, CredentialsError> {
        match self {
            Self::Derived { authority, .. } => Ok(authority.roots()),
            Self::Files(files) => Ok(Arc::new(files.roots()?)),
        }
    }
}

impl Credentials {
    /// TLS for the accepting side: asks for a client certificate of the same mesh.
    ///
    /// # Errors
    /// [`CredentialsError::Tls`] where key and certificate do not belong together.
    pub fn server(&self) -> Result<QuicServerConfig, CredentialsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(self.client_verifier(provider())?)
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        QuicServerConfig::try_from(config).map_err(|e| CredentialsError::Issue(e.to_string()))
    }

    /// TLS for the dialling side: shows its own certificate and believes those of the same mesh.
    ///
    /// # Errors
    /// [`CredentialsError::Tls`] where key and certificate do not belong together.
    pub fn client(&self) -> Result<QuicClientConfig, CredentialsError> {
        let verifier = verify::MeshAuthority::new(self.roots.clone(), &provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        QuicClientConfig::try_from(config).map_err(|e| CredentialsError::Issue(e.to_string()))
    }
}

/// aws-lc-rs with AES-128-GCM first: a relay packet costs 150 ns to seal with it against 640 with ChaCha20
/// (measured: performance study, 2.2).
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    })
}

#[cfg(test)]
mod tests;
