//! DTLS.
/// Certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    key: Vec<u8>,
}
/// Why a certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate.
    #[error("certificate or key is empty")]
    Empty,
}
impl Certificate {
    /// Takes a certificate (DER) and its private key (PKCS#8 DER, ECDSA P-256).
    ///
    /// # Errors
    /// [`CertificateError`] when either is unusable.
    pub fn from_der(certificate: Vec<u8>, private_key: Vec<u8>) -> Result<Self, CertificateError> {
        if certificate.is_empty() || private_key.is_empty() {
            return Err(CertificateError::Empty);
        }
        Ok(Self {
            der: certificate,
            key: private_key,
        })
    }
    /// SHA-256 fingerprint as SDP writes it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        todo!("{} {}", self.der.len(), self.key.len())
    }
}
