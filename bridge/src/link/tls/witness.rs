//! Proof of whose key signs a node's rows, also for nodes that never meet it: its certificate signs for the key, and whoever
//! holds the authority of the mesh can check that.

use super::{Identity, PeerNames, provider};
use bridge_core::mesh::author::Authority;
use relay_proto::id::NodeId;
use relay_proto::limit::{MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES};
use relay_proto::row::IdentityFacts;
use rustls::SignatureScheme;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::time::SystemTime;
use webpki::{EndEntityCert, KeyUsage};

/// What the key of a certificate may sign with, best first.
const SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::RSA_PSS_SHA256,
];

impl Authority for Identity {
    fn vouch(&self, public_key: &[u8; 32]) -> Option<IdentityFacts> {
        let vouched = self.try_vouch(public_key);
        if let Err(error) = &vouched {
            tracing::warn!(
                error,
                "the mesh certificate cannot prove this node's rows to others"
            );
        }
        vouched.ok()
    }

    fn proves(&self, node: NodeId, facts: &IdentityFacts) -> bool {
        self.check(node, facts)
            .inspect_err(|reason| tracing::debug!(%node, reason, "a node's key is not proved"))
            .is_ok()
    }
}

impl Identity {
    fn try_vouch(&self, public_key: &[u8; 32]) -> Result<IdentityFacts, String> {
        let credentials = self.issue(SystemTime::now()).map_err(|error| error.to_string())?;
        let key = provider()
            .key_provider
            .load_private_key(credentials.key.clone_key())
            .map_err(|error| error.to_string())?;
        let signer = key
            .choose_scheme(&SCHEMES)
            .ok_or("its key signs by none of the schemes known here")?;
        let endorsement = signer
            .sign(&IdentityFacts::statement(public_key))
            .map_err(|error| error.to_string())?;
        let chain: Vec<Vec<u8>> = credentials.chain.iter().map(|der| der.to_vec()).collect();
        if chain.len() > MAX_CERTIFICATES || chain.iter().any(|der| der.len() > MAX_CERTIFICATE_BYTES) {
            return Err(format!(
                "at most {MAX_CERTIFICATES} certificates of {MAX_CERTIFICATE_BYTES} bytes are passed on"
            ));
        }
        Ok(IdentityFacts {
            public_key: *public_key,
            chain,
            scheme: u16::from(signer.scheme()),
            endorsement,
        })
    }

    fn check(&self, node: NodeId, facts: &IdentityFacts) -> Result<(), String> {
        let chain: Vec<CertificateDer<'_>> = facts
            .chain
            .iter()
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        let (own, others) = chain.split_first().ok_or("no certificate")?;
        let certificate = EndEntityCert::try_from(own).map_err(|error| error.to_string())?;
        let algorithms = provider().signature_verification_algorithms;
        let roots = self.roots().map_err(|error| error.to_string())?;
        certificate
            .verify_for_usage(
                algorithms.all,
                &roots.roots,
                others,
                UnixTime::now(),
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map_err(|error| error.to_string())?;
        if !PeerNames::of(own).prove_id(node) {
            return Err("the certificate is of another node".to_owned());
        }
        let scheme = SignatureScheme::from(facts.scheme);
        let message = IdentityFacts::statement(&facts.public_key);
        let known = algorithms.mapping.iter().filter(|(known, _)| *known == scheme);
        let signed = known
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| {
                certificate
                    .verify_signature(*algorithm, &message, &facts.endorsement)
                    .is_ok()
            });
        signed
            .then_some(())
            .ok_or_else(|| "the certificate's key has not signed for it".to_owned())
    }
}
