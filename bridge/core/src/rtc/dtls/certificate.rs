//! The node's DTLS certificate and the fingerprints SDP carries.

use aws_lc_rs::digest;
use dimpl::{Config, DtlsCertificate};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// First retransmission of a flight; browsers themselves start at 50 ms (measured).
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// Retries of one flight, each after twice the time: longer than any handshake may take.
const FLIGHT_RETRIES: usize = 8;
/// Largest datagram written.
const MTU: usize = 1200;
/// The library's own bound; the session's is usually shorter.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// SHA-256 of a certificate (RFC 8122).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(der: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(hash)
    }

    /// Reads pairs of hexadecimal digits with colons; none if there are not exactly 32.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let mut pairs = text.trim().split(':');
        for byte in &mut hash {
            let pair = pairs.next().filter(|pair| pair.len() == 2)?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(hash))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate is not a DER sequence.
    #[error("the DTLS certificate is not DER")]
    NotDer,
    /// The private key is not an ECDSA P-256 key in PKCS#8.
    #[error("the DTLS private key is not an ECDSA P-256 key in PKCS#8 DER")]
    UnusableKey,
}

/// A self-signed ECDSA certificate with its key; one serves all sessions of a node.
#[derive(Clone)]
pub struct Certificate {
    pub(super) identity: DtlsCertificate,
    /// Made once: the library tests its whole crypto provider each time it is built.
    pub(super) config: Arc<Config>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Takes a certificate (DER) and its private key (PKCS#8 DER, ECDSA P-256).
    ///
    /// Making one needs randomness and a wall clock, so the shell does it, for example with
    /// `dimpl::certificate::generate_self_signed_certificate`, once at start-up; serial numbers must differ between
    /// nodes (measured: Firefox refuses equal ones).
    ///
    /// # Errors
    /// [`CertificateError`] when either cannot be used.
    pub fn from_der(certificate: Vec<u8>, private_key: Vec<u8>) -> Result<Self, CertificateError> {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
        if certificate.first() != Some(&0x30) {
            return Err(CertificateError::NotDer);
        }
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &private_key)
            .map_err(|_| CertificateError::UnusableKey)?;
        let fingerprint = Fingerprint::of(&certificate);
        let identity = DtlsCertificate {
            certificate,
            private_key,
        };
        Ok(Self {
            identity,
            config: Arc::new(config()),
            fingerprint,
        })
    }

    /// SHA-256 fingerprint, as every answer carries it.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// Settings of every handshake. The cookie is off: datagrams come from addresses that have passed an ICE check, so it
/// would only cost a round trip.
fn config() -> Config {
    Config::builder()
        .with_crypto_provider(dimpl::crypto::aws_lc_rs::default_provider())
        .mtu(MTU)
        .use_server_cookie(false)
        .require_client_certificate(true)
        .flight_start_rto(FIRST_RETRY)
        .flight_retries(FLIGHT_RETRIES)
        .handshake_timeout(HANDSHAKE_TIMEOUT)
        .build()
        .expect("invariant: the settings are constants the library accepts")
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}
