//! A certificate chain, its key, and the authority it is checked against.

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::path::PathBuf;
use std::sync::Arc;

/// What one link handshake needs. The key is never shown in debug output.
pub struct Credentials {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) roots: Arc<RootCertStore>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn client_verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, CredentialsError> {
        WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider)
            .build()
            .map_err(|e| CredentialsError::Issue(e.to_string()))
    }
}

/// Why a node has no usable credentials. The operator's fault, found at start-up.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The secret can be guessed.
    #[error("mesh.secret has {0} bytes; at least {min} are needed (for example `openssl rand -base64 32`)", min = super::MIN_SECRET_BYTES)]
    SecretTooShort(usize),
    /// A file cannot be read as what it should be.
    #[error("{key} = {path:?}: {reason}", path = .path.display())]
    File {
        /// Configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The parts do not belong together.
    #[error("the mesh certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The library refuses to issue.
    #[error("cannot issue a mesh certificate: {0}")]
    Issue(String),
}
