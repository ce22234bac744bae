//! The DTLS client (active side) over crate `dimpl`, and the fingerprints both sides state in SDP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};

use super::ClientError;

/// First retransmission of a flight, as an impatient browser.
const FIRST_RETRY: Duration = Duration::from_millis(150);
const FLIGHT_RETRIES: usize = 8;
/// Longest handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest datagram written.
const MTU: usize = 1_200;
/// Largest output at once: one record.
const OUTPUT_BYTES: usize = 17 * 1024;

/// SHA-256 of a certificate (RFC 8122).
pub type Fingerprint = [u8; 32];

/// A self-signed certificate and the settings of every handshake made with it. One serves all clients of a process:
/// making one costs more than a handshake.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Draws a key and makes a certificate.
    ///
    /// # Errors
    /// [`ClientError::Identity`] when the system has no randomness.
    pub fn generate() -> Result<Self, ClientError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| ClientError::Identity(error.to_string()))?;
        let config = Config::builder()
            .with_crypto_provider(dimpl::crypto::aws_lc_rs::default_provider())
            .mtu(MTU)
            .flight_start_rto(FIRST_RETRY)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .build()
            .map_err(|error| ClientError::Identity(error.to_string()))?;
        Ok(Self {
            fingerprint: fingerprint_of(&certificate.certificate),
            certificate,
            config: Arc::new(config),
        })
    }

    /// The fingerprint our offers state.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn fingerprint_of(der: &[u8]) -> Fingerprint {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    hash
}

/// What the handshake wants done or has achieved.
#[derive(Debug)]
pub(super) enum DtlsOutput {
    Transmit(Vec<u8>),
    /// The other side's certificate has the expected fingerprint, and these are the SRTP keys (RFC 5764).
    Keys(SrtpProfile, Vec<u8>),
    Failed(String),
}

/// One client's DTLS association.
pub(super) struct DtlsClient {
    dtls: Option<Box<Dtls>>,
    expected: Fingerprint,
    verified: bool,
    timeout: Option<Instant>,
    outputs: VecDeque<DtlsOutput>,
    buffer: Vec<u8>,
}

impl DtlsClient {
    /// Begins the handshake; the first flight is the first output.
    pub(super) fn new(identity: &Identity, expected: Fingerprint, now: Instant) -> Self {
        let mut dtls = Dtls::new_12(Arc::clone(&identity.config), identity.certificate.clone(), now);
        dtls.set_active(true);
        let mut client = Self {
            dtls: Some(Box::new(dtls)),
            expected,
            verified: false,
            timeout: None,
            outputs: VecDeque::new(),
            buffer: vec![0; OUTPUT_BYTES],
        };
        client.run(now, |_| Ok(()));
        client
    }

    /// Whether a datagram is DTLS (RFC 7983: first byte 20 to 63).
    pub(super) fn is_dtls(datagram: &[u8]) -> bool {
        datagram.first().is_some_and(|first| (20..64).contains(first))
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        self.run(now, |dtls| dtls.handle_packet(datagram));
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.timeout.is_some_and(|at| at <= now) {
            self.timeout = None;
            self.run(now, |_| Ok(()));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    pub(super) fn poll_output(&mut self) -> Option<DtlsOutput> {
        self.outputs.pop_front()
    }

    fn run(&mut self, now: Instant, action: impl FnOnce(&mut Dtls) -> Result<(), dimpl::Error>) {
        let Some(dtls) = &mut self.dtls else {
            return;
        };
        match dtls.handle_timeout(now).and_then(|()| action(dtls)) {
            Ok(()) => self.drain(),
            // Every error of the library is fatal.
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn fail(&mut self, reason: String) {
        self.dtls = None;
        self.timeout = None;
        self.outputs.push_back(DtlsOutput::Failed(reason));
    }

    fn drain(&mut self) {
        loop {
            let Some(dtls) = &mut self.dtls else {
                return;
            };
            match dtls.poll_output(&mut self.buffer) {
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                Output::Packet(packet) => {
                    let packet = packet.to_vec();
                    self.outputs.push_back(DtlsOutput::Transmit(packet));
                }
                Output::PeerCert(der) => self.verified = fingerprint_of(der) == self.expected,
                Output::KeyingMaterial(material, profile) if self.verified => {
                    let keys = DtlsOutput::Keys(profile, material.to_vec());
                    self.outputs.push_back(keys);
                }
                Output::KeyingMaterial(..) => {
                    return self.fail("the certificate has not the fingerprint of the answer".to_owned());
                }
                Output::CloseNotify => return self.fail("the server closed the DTLS connection".to_owned()),
                _ => {}
            }
        }
    }
}
