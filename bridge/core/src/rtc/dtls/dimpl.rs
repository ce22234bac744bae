//! The adapter of crate `dimpl`.
//!
//! Its rules, measured with real browsers: tell it the time before each datagram, drain it after every call, and throw
//! it away at the first error, because every error of its is fatal.

use super::certificate::{Certificate, Fingerprint};
use super::client_hello::{Choice, HelloReader};
use super::framing::is_whole;
use super::{DtlsEndpoint, DtlsOutput};
use crate::rtc::srtp::SrtpProfile;
use dimpl::{Dtls, Output};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Datagrams read before the handshake is done. A browser at 20 % loss needs fewer than 30 (measured); the rest is room
/// for junk from somebody who fakes its address.
const MAX_HANDSHAKE_DATAGRAMS: u32 = 2_000;
/// Room for one output: a record in a datagram. A larger one asks for more.
const OUTPUT_BYTES: usize = 2 * 1024;

/// Where the connection is.
enum Phase {
    /// The ClientHello is not whole yet.
    Reading(HelloReader),
    Running(Box<Dtls>),
    Over,
}

/// The passive side of one DTLS connection.
pub(crate) struct DimplServer {
    certificate: Certificate,
    phase: Phase,
    handshake_datagrams: u32,
    connected: bool,
    timeout: Option<Instant>,
    outputs: VecDeque<DtlsOutput>,
    buffer: Vec<u8>,
}

impl DimplServer {
    /// Waits for a ClientHello.
    pub(crate) fn new(certificate: &Certificate) -> Self {
        Self {
            certificate: certificate.clone(),
            phase: Phase::Reading(HelloReader::default()),
            handshake_datagrams: 0,
            connected: false,
            timeout: None,
            outputs: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    /// Builds the server the ClientHello asks for and lets it read what has been kept.
    fn start(&mut self, now: Instant, choice: Choice) {
        let Phase::Reading(reader) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return;
        };
        let (config, certificate) = (
            Arc::clone(&self.certificate.config),
            self.certificate.identity.clone(),
        );
        let dtls = match choice {
            Choice::Any => Dtls::new_auto(config, certificate, now),
            Choice::OnlyDtls12 => Dtls::new_12(config, certificate, now),
        };
        self.phase = Phase::Running(Box::new(dtls));
        self.buffer = vec![0; OUTPUT_BYTES];
        for datagram in reader.into_datagrams() {
            self.run(now, |dtls| dtls.handle_packet(&datagram));
        }
    }

    /// Lets the library do one thing at `now` and drains it; at an error the connection is over.
    fn run(&mut self, now: Instant, action: impl FnOnce(&mut Dtls) -> Result<(), dimpl::Error>) {
        let Phase::Running(dtls) = &mut self.phase else {
            return;
        };
        let result = dtls.handle_timeout(now).and_then(|()| action(dtls));
        match result {
            Ok(()) => self.drain(),
            Err(error) => {
                self.phase = Phase::Over;
                self.timeout = None;
                self.outputs.push_back(DtlsOutput::Failed(error.to_string()));
            }
        }
    }

    fn drain(&mut self) {
        let Phase::Running(dtls) = &mut self.phase else {
            return;
        };
        loop {
            let output = match dtls.poll_output(&mut self.buffer) {
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                Output::BufferTooSmall { needed } => {
                    self.buffer.resize(needed, 0);
                    continue;
                }
                Output::Packet(packet) => DtlsOutput::Transmit(packet.to_vec()),
                Output::PeerCert(der) => DtlsOutput::PeerCertificate(Fingerprint::of(der)),
                Output::KeyingMaterial(material, profile) => match known_profile(profile) {
                    Some(profile) => DtlsOutput::Keys(profile, material.to_vec()),
                    None => DtlsOutput::Failed(format!("unknown SRTP profile {profile}")),
                },
                Output::ApplicationData(data) => DtlsOutput::Data(data.to_vec()),
                Output::CloseNotify => DtlsOutput::Closed,
                Output::Connected => {
                    self.connected = true;
                    continue;
                }
                _ => continue,
            };
            self.outputs.push_back(output);
        }
    }
}

impl DtlsEndpoint for DimplServer {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> bool {
        if !is_whole(datagram) {
            return false;
        }
        if !self.connected {
            if self.handshake_datagrams >= MAX_HANDSHAKE_DATAGRAMS {
                return false;
            }
            self.handshake_datagrams += 1;
        }
        if let Phase::Reading(reader) = &mut self.phase {
            if let Some(choice) = reader.read(datagram) {
                self.start(now, choice);
            }
        } else {
            self.run(now, |dtls| dtls.handle_packet(datagram));
        }
        true
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.timeout.is_some_and(|at| at <= now) {
            self.timeout = None;
            self.run(now, |_| Ok(()));
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    fn send(&mut self, now: Instant, data: &[u8]) {
        if self.connected {
            self.run(now, |dtls| dtls.send_application_data(data).map(|_| ()));
        }
    }

    fn poll_output(&mut self) -> Option<DtlsOutput> {
        self.outputs.pop_front()
    }
}

impl std::fmt::Debug for DimplServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DimplServer")
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}

fn known_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::Aes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::Aes256Gcm),
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        _ => None,
    }
}
