//! TLS towards etcd: the operator's authority, and a certificate of ours where etcd wants one.

use super::config::EtcdTls;
use super::grpc::CallError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Makes connections secure.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// Reads the files. Again for each attempt to connect, so that new certificates need no restart.
    pub(super) fn read(files: &EtcdTls) -> Result<Self, CallError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates("directory.tls.ca", &files.authority)? {
            let added = roots.add(authority);
            added.map_err(|error| unusable("directory.tls.ca", &files.authority, error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CallError::Connect(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match &files.own {
            Some((certificate, key)) => {
                let chain = certificates("directory.tls.cert", certificate)?;
                let secret = PrivateKeyDer::from_pem_file(key);
                let secret = secret.map_err(|error| unusable("directory.tls.key", key, error))?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|error| unusable("directory.tls.key", key, error))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn secured(
        &self,
        tcp: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, CallError> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| CallError::Connect(error.to_string()))?;
        let stream = self.0.connect(name, tcp).await;
        stream.map_err(|error| CallError::Connect(error.to_string()))
    }
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, CallError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    found.map_err(|error| unusable(key, path, error))
}

fn unusable(key: &str, path: &Path, why: impl Display) -> CallError {
    CallError::Connect(format!("{key} = {}: {why}", path.display()))
}
