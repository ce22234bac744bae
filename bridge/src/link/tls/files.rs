//! Certificate, key and authority from the operator's own infrastructure, as PEM files.

use super::credentials::{Credentials, CredentialsError};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The three files of `[mesh.tls]`. The certificate names the node (see [`super::PeerNames`]) and must be good for
/// both server and client authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The node's certificate, then any intermediate ones.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority or authorities that peers must come from.
    pub authority: PathBuf,
}

impl CertificateFiles {
    /// Reads and checks the three files.
    ///
    /// # Errors
    /// [`CredentialsError::File`] naming the configuration key and the path.
    pub fn read(&self) -> Result<Credentials, CredentialsError> {
        let chain = certificates("mesh.tls.cert", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|e| unusable("mesh.tls.key", &self.key, describe(&e)))?;
        Ok(Credentials {
            chain,
            key,
            roots: Arc::new(self.roots()?),
        })
    }

    /// Reads the authorities alone.
    pub(super) fn roots(&self) -> Result<RootCertStore, CredentialsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates("mesh.tls.ca", &self.authority)? {
            roots
                .add(authority)
                .map_err(|e| unusable("mesh.tls.ca", &self.authority, e.to_string()))?;
        }
        Ok(roots)
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|e| unusable(key, path, describe(&e)))?;
    if found.is_empty() {
        return Err(unusable(key, path, "no PEM certificate in it".to_owned()));
    }
    Ok(found)
}

fn describe(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(io) => io.to_string(),
        rustls::pki_types::pem::Error::NoItemsFound => "nothing of the expected kind in it".to_owned(),
        other => format!("{other:?}"),
    }
}

fn unusable(key: &'static str, path: &Path, reason: String) -> CredentialsError {
    CredentialsError::File {
        key,
        path: path.to_owned(),
        reason,
    }
}
