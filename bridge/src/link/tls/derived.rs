//! The authority that every node of a mesh derives from the shared secret, and the certificates it issues.
//!
//! HKDF-SHA256 (RFC 5869) turns the secret into the seed of an Ed25519 key (RFC 8032). Subject, serial number and
//! validity are constants, and the signature is deterministic, so all nodes hold the same trust anchor without
//! having met. The subject names a fingerprint of the key: with another secret it is another authority by name,
//! and the refusal reads "unknown authority" instead of "bad signature".

use super::credentials::{Credentials, CredentialsError};
use super::names::name_in_certificate;
use aws_lc_rs::digest;
use aws_lc_rs::hkdf;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use relay_proto::id::NodeName;
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Shortest accepted secret, in bytes: 16 random characters are out of reach of guessing over the network.
pub const MIN_SECRET_BYTES: usize = 16;

/// A certificate is good from this long before its issue, so that clocks may differ by a day.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
/// And for this long after; the endpoint issues a new one every twelve hours.
const VALID: Duration = Duration::from_secs(3 * 24 * 3600);

const SALT: &[u8] = b"causeway mesh authority v1";
const SEED_BYTES: usize = 32;

/// The authority of the mesh that shares a secret. Debug output does not show the key.
pub struct DerivedAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

impl std::fmt::Debug for DerivedAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DerivedAuthority(…)")
    }
}

impl DerivedAuthority {
    /// The authority of `secret`; the same on every node and at every start.
    ///
    /// # Errors
    /// [`CredentialsError::SecretTooShort`] below [`MIN_SECRET_BYTES`].
    pub fn new(secret: &str) -> Result<Self, CredentialsError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(CredentialsError::SecretTooShort(secret.len()));
        }
        let (key, fingerprint) = authority_key(secret)?;
        let issuer = CertifiedIssuer::self_signed(authority_parameters(&fingerprint), key).map_err(issue)?;
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone())?;
        Ok(Self {
            issuer,
            roots: Arc::new(roots),
        })
    }

    /// A fresh key and a certificate for `name`, good for three days. Cost: about 0.1 ms.
    ///
    /// # Errors
    /// [`CredentialsError::Issue`] where the name cannot stand in a certificate.
    pub fn issue(&self, name: &NodeName, now: SystemTime) -> Result<Credentials, CredentialsError> {
        let key = KeyPair::generate().map_err(issue)?;
        let mut parameters = CertificateParams::default();
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = date_time_ymd(1970, 1, 1);
        parameters.not_before = epoch + since_1970.saturating_sub(BACKDATED);
        parameters.not_after = epoch + since_1970 + VALID;
        parameters.distinguished_name = subject(name.as_str());
        parameters.subject_alt_names = vec![SanType::DnsName(
            name_in_certificate(name).try_into().map_err(issue)?,
        )];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(issue)?;
        Ok(Credentials {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            roots: self.roots.clone(),
        })
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        self.roots.clone()
    }

    #[cfg(test)]
    pub(super) fn certificate(&self) -> &[u8] {
        self.issuer.der()
    }
}

fn authority_seed(secret: &str) -> [u8; SEED_BYTES] {
    let mut seed = [0; SEED_BYTES];
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret.as_bytes())
        .expand(&[b"ed25519 seed"], SeedLength)
        .and_then(|okm| okm.fill(&mut seed))
        .expect("invariant: 32 bytes are within HKDF's output limit");
    seed
}

fn authority_key(secret: &str) -> Result<(KeyPair, String), CredentialsError> {
    let seed = authority_seed(secret);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(issue)?;
    let fingerprint = digest::digest(&digest::SHA256, pair.public_key().as_ref());
    let fingerprint = fingerprint
        .as_ref()
        .iter()
        .take(4)
        .map(|b| format!("{b:02x}"))
        .collect();
    let pkcs8 = pair.to_pkcs8v1().map_err(issue)?;
    let key = KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()),
        &rcgen::PKCS_ED25519,
    )
    .map_err(issue)?;
    Ok((key, fingerprint))
}

fn authority_parameters(fingerprint: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2120, 1, 1);
    parameters.serial_number = Some(SerialNumber::from(1));
    parameters.distinguished_name = subject(&format!("Causeway mesh {fingerprint}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters
}

fn subject(common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    subject
}

fn issue(error: impl std::fmt::Display) -> CredentialsError {
    CredentialsError::Issue(error.to_string())
}

struct SeedLength;

impl hkdf::KeyType for SeedLength {
    fn len(&self) -> usize {
        SEED_BYTES
    }
}
