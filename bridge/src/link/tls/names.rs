//! The names a certificate proves.

use relay_proto::id::{NodeId, NodeName};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What follows a node's name in the certificates a mesh issues itself.
const SUFFIX: &str = ".mesh.causeway";

/// Most names read from one certificate; the rest are ignored.
const MAX_NAMES: usize = 32;

/// The DNS name that stands for `name` in a certificate.
pub(super) fn name_in_certificate(name: &NodeName) -> String {
    format!("{}{SUFFIX}", name.as_str())
}

/// The DNS names of a peer's certificate, which the handshake has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerNames(Vec<String>);

impl PeerNames {
    /// Proof of nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads the names of a leaf certificate; none where it does not parse.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            return Self(Vec::new());
        };
        let names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|extension| {
                let names = extension
                    .value
                    .general_names
                    .iter()
                    .filter_map(|name| match name {
                        GeneralName::DNSName(name) => Some((*name).to_owned()),
                        _ => None,
                    });
                names.take(MAX_NAMES).collect()
            });
        Self(names.unwrap_or_default())
    }

    /// Whether the certificate was issued to the node called `name`: `<name>.mesh.causeway`, or `<name>` itself
    /// where an operator's own authority prefers that.
    #[must_use]
    pub fn prove(&self, name: &NodeName) -> bool {
        let derived = name_in_certificate(name);
        self.0
            .iter()
            .any(|proved| *proved == derived || proved == name.as_str())
    }

    /// Whether it was issued to a node of that id, whatever its name.
    #[must_use]
    pub(super) fn prove_id(&self, node: NodeId) -> bool {
        let mut names = self.0.iter();
        names.any(|proved| {
            let name = proved.strip_suffix(SUFFIX).unwrap_or(proved);
            NodeId::of(name) == node
        })
    }
}

impl std::fmt::Display for PeerNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no name"),
            names => f.write_str(&names.join(", ")),
        }
    }
}
