//! A light client: controlling ICE, DTLS in the active role, SRTP, SCTP as initiator.

use super::*;
use crate::rtc::io::RtpIn;
use crate::rtc::testing::{OfferBuilder, PeerRtcp, PeerSrtp, connectivity_check};
use dimpl::{Config, Dtls, Output};
use rtc_datachannel::message::Message;
use rtc_datachannel::message::message_channel_open::{ChannelType, DataChannelOpen};
use rtc_sctp::{
    Association, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload,
    PayloadProtocolIdentifier as Ppi,
};
use rtc_shared::marshal::Marshal;

/// Chromium nominates this long after its first check.
const NOMINATES_AFTER: Duration = Duration::from_millis(50);

/// How the client's DTLS behaves.
#[derive(Clone, Copy)]
pub(super) enum Flavour {
    /// Offers 1.3 and 1.2.
    Both,
    /// Only knows 1.2.
    Only12,
    /// Offers both, in datagrams so small that the ClientHello takes several.
    Fragmented,
}

pub(super) struct Received {
    pub(super) track: usize,
    pub(super) layer: u8,
    pub(super) seq: u16,
    pub(super) retransmitted: bool,
    pub(super) payload: Vec<u8>,
}

pub(super) struct Peer {
    pub(super) now: Instant,
    pub(super) addr: SocketAddr,
    pub(super) fingerprint: String,
    pub(super) offer: OfferBuilder,
    pub(super) outbox: VecDeque<Vec<u8>>,
    pub(super) srtp: Option<PeerSrtp>,
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) rtcp: Vec<PeerRtcp>,
    pub(super) rtcp_packets: usize,
    pub(super) received_by_session: Vec<Received>,
    pub(super) nominates_always: bool,
    pub(super) checks: bool,
    dtls: Dtls,
    dtls_up: bool,
    answered: bool,
    started: Option<Instant>,
    next_check: Instant,
    transactions: u64,
    remote_ufrag: String,
    remote_password: String,
    sctp: Endpoint,
    association: Option<Association>,
    /// The node opens the channels, not the client.
    pub(super) is_offered: bool,
    opened: bool,
    to_send: VecDeque<(u16, Vec<u8>)>,
}

impl Peer {
    pub(super) fn new(flavour: Flavour) -> Self {
        let now = testing::instant();
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let mut offer = OfferBuilder::first_join();
        let fingerprint = certificate.fingerprint_str();
        offer.fingerprint(&fingerprint);
        let mtu = if matches!(flavour, Flavour::Fragmented) {
            150
        } else {
            1200
        };
        // As browsers do: the first repeat after 50 ms.
        let config = Config::builder()
            .mtu(mtu)
            .max_queue_tx(40)
            .flight_start_rto(Duration::from_millis(50))
            .flight_retries(9)
            .build()
            .unwrap();
        let config = Arc::new(config);
        let mut dtls = match flavour {
            Flavour::Only12 => Dtls::new_12(config, certificate, now),
            Flavour::Both | Flavour::Fragmented => Dtls::new_auto(config, certificate, now),
        };
        dtls.set_active(true);
        Self {
            now,
            addr: "198.51.100.1:5000".parse().unwrap(),
            fingerprint,
            offer,
            outbox: VecDeque::new(),
            srtp: None,
            messages: Vec::new(),
            rtcp: Vec::new(),
            rtcp_packets: 0,
            received_by_session: Vec::new(),
            nominates_always: true,
            checks: true,
            dtls,
            dtls_up: false,
            answered: false,
            started: None,
            next_check: now,
            transactions: 0,
            remote_ufrag: String::new(),
            remote_password: String::new(),
            sctp: Endpoint::new(
                "127.0.0.1:1".parse().unwrap(),
                rtc_shared::TransportProtocol::UDP,
                Arc::new(EndpointConfig::new()),
                None,
            ),
            association: None,
            is_offered: false,
            opened: false,
            to_send: VecDeque::new(),
        }
    }

    pub(super) fn adopt_answer(&mut self, answer: &str) {
        let value = |key: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(key));
            line.expect("an answer has it").to_owned()
        };
        self.remote_ufrag = value("a=ice-ufrag:");
        self.remote_password = value("a=ice-pwd:");
        self.next_check = self.now;
    }

    /// The client's socket is another one now; nobody has told it.
    pub(super) fn rebind(&mut self, addr: &str) {
        self.addr = addr.parse().unwrap();
    }

    pub(super) fn send_data(&mut self, stream: u16, data: &[u8]) {
        self.to_send.push_back((stream, data.to_vec()));
    }

    pub(super) fn send_media(&mut self, packet: Vec<u8>) {
        let sealed = self.srtp.as_mut().expect("connected").seal_rtp(packet, 0);
        self.outbox.push_back(sealed);
    }

    pub(super) fn note_received_by_session(&mut self, received: &crate::rtc::io::Received<'_>) {
        if let crate::rtc::io::Received::Rtp(RtpIn {
            track,
            layer,
            seq,
            retransmitted,
            payload,
            ..
        }) = received
        {
            self.received_by_session.push(Received {
                track: *track,
                layer: layer.0,
                seq: *seq,
                retransmitted: *retransmitted,
                payload: payload.to_vec(),
            });
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.now = now;
        if self.checks && !self.remote_ufrag.is_empty() && self.next_check <= now {
            let since = *self.started.get_or_insert(now);
            let once = self.transactions == 0;
            let nominate = if self.nominates_always {
                now - since >= NOMINATES_AFTER
            } else {
                once
            };
            self.transactions += 1;
            let check = connectivity_check(
                self.transactions,
                &self.remote_ufrag,
                &self.remote_password,
                nominate,
            );
            self.outbox.push_back(check);
            let interval = if self.answered && now - since > NOMINATES_AFTER {
                500
            } else {
                50
            };
            self.next_check = now + Duration::from_millis(interval);
        }
        if self.answered {
            self.dtls.handle_timeout(now).unwrap();
            self.drain_dtls();
        }
        self.drive_sctp();
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, mut datagram: Vec<u8>) {
        match datagram[0] {
            0..=3 => self.answered |= datagram[..2] == [1, 1],
            20..=63 => {
                self.dtls.handle_timeout(now).unwrap();
                // An unexpected datagram before the version is known is an error of the client role only.
                let _ = self.dtls.handle_packet(&datagram);
                self.drain_dtls();
            }
            _ => {
                self.rtcp_packets += 1;
                let srtp = self.srtp.as_mut().expect("keys before media");
                self.rtcp
                    .extend(srtp.open_rtcp(now, &mut datagram).expect("authentic"));
            }
        }
    }

    fn drain_dtls(&mut self) {
        let mut buffer = vec![0; 20_000];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outbox.push_back(packet.to_vec()),
                Output::KeyingMaterial(material, profile) => {
                    assert_eq!(profile, dimpl::SrtpProfile::AEAD_AES_256_GCM);
                    self.srtp = Some(PeerSrtp::new(SrtpProfile::Aes256Gcm, &material));
                }
                Output::Connected => self.dtls_up = true,
                Output::ApplicationData(data) => self.handle_sctp(Bytes::copy_from_slice(data)),
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn handle_sctp(&mut self, packet: Bytes) {
        let from = "127.0.0.1:5000".parse().unwrap();
        if let Some((_, DatagramEvent::AssociationEvent(event))) =
            self.sctp.handle(self.now, from, None, packet)
            && let Some(association) = &mut self.association
        {
            association.handle_event(event);
        }
    }

    fn drive_sctp(&mut self) {
        if !self.dtls_up {
            return;
        }
        let now = self.now;
        let association = self.association.get_or_insert_with(|| {
            let config = ClientConfig::default();
            self.sctp
                .connect(now, config, "127.0.0.1:5000".parse().unwrap())
                .unwrap()
                .1
        });
        if association.poll_timeout().is_some_and(|at| at <= now) {
            association.handle_timeout(now);
        }
        while association.poll().is_some() {}
        if !association.is_handshaking() {
            if !self.opened && !self.is_offered {
                self.opened = true;
                open_channel(association, now, 0, "_reliable", ChannelType::Reliable);
                open_channel(
                    association,
                    now,
                    2,
                    "_lossy",
                    ChannelType::PartialReliableRexmitUnordered,
                );
            }
            for (stream, data) in self.to_send.drain(..) {
                association
                    .stream(stream)
                    .unwrap()
                    .write_with_ppi(now, &data, Ppi::Binary)
                    .unwrap();
            }
            for id in [0, 2, 1, 3] {
                while let Ok(Some(chunks)) = association.stream(id).and_then(|mut stream| stream.read_sctp())
                {
                    if chunks.ppi == Ppi::Binary {
                        self.messages.push(chunks.to_payload(1 << 20).unwrap().to_vec());
                    }
                }
            }
        }
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.message {
                for packet in packets {
                    self.dtls.send_application_data(&packet).unwrap();
                }
            }
        }
        self.drain_dtls();
    }
}

fn open_channel(
    association: &mut Association,
    now: Instant,
    id: u16,
    label: &str,
    channel_type: ChannelType,
) {
    let mut stream = association.open_stream(id, Ppi::Binary).unwrap();
    let open = Message::DataChannelOpen(DataChannelOpen {
        channel_type,
        priority: 256,
        reliability_parameter: 0,
        label: label.as_bytes().to_vec(),
        protocol: Vec::new(),
    });
    stream
        .write_sctp(now, &open.marshal().unwrap().freeze(), Ppi::Dcep)
        .unwrap();
}
