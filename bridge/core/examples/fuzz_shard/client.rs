//! A client with real DTLS and SCTP, whose datagrams can be had before they are sent.

use crate::world::{World, address, session};
use bridge_core::rtc::testing::{OfferBuilder, connectivity_check};
use bytes::Bytes;
use dimpl::{Config, Dtls, Output};
use rtc_datachannel::message::Message;
use rtc_datachannel::message::message_channel_open::{ChannelType, DataChannelOpen};
use rtc_sctp::{
    Association, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload,
    PayloadProtocolIdentifier as Ppi,
};
use rtc_shared::TransportProtocol;
use rtc_shared::marshal::Marshal as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Means nothing above DTLS.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5_000);
/// Largest output of DTLS at once.
const RECORD_BYTES: usize = 20_000;

/// A client of serial 1.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// DTLS datagrams that have not been sent.
    pub(crate) outbox: Vec<Vec<u8>>,
    /// SCTP packets that have not been protected.
    pub(crate) packets: Vec<Bytes>,
    pub(crate) connected: bool,
    dtls: Dtls,
    sctp: Endpoint,
    association: Option<Association>,
    opened: bool,
}

impl Client {
    /// Opens a session, offers, and has an address that is validated.
    pub(crate) fn new(world: &mut World, only_12: bool) -> Self {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .expect("the operating system has randomness");
        let mut offer = OfferBuilder::first_join();
        offer.fingerprint(&certificate.fingerprint_str());
        world.open(1);
        world.offer(session(1), offer.build());
        let ufrag = world.answered_line("a=ice-ufrag:").unwrap_or_default();
        let password = world.answered_line("a=ice-pwd:").unwrap_or_default();
        let address = address(1);
        world.datagram(address, connectivity_check(1, &ufrag, &password, true));
        let config = Config::builder()
            .mtu(1_200)
            .flight_start_rto(Duration::from_millis(50))
            .build()
            .expect("the configuration is sound");
        let config = Arc::new(config);
        let mut dtls = if only_12 {
            Dtls::new_12(config, certificate, world.now)
        } else {
            Dtls::new_auto(config, certificate, world.now)
        };
        dtls.set_active(true);
        let transport = TransportProtocol::UDP;
        Self {
            address,
            outbox: Vec::new(),
            packets: Vec::new(),
            connected: false,
            dtls,
            sctp: Endpoint::new(ANYWHERE, transport, Arc::new(EndpointConfig::new()), None),
            association: None,
            opened: false,
        }
    }

    /// Takes what the world has sent it and does what is due. False once its DTLS has failed.
    pub(crate) fn step(&mut self, world: &mut World) -> bool {
        let mut sound = true;
        for (to, datagram) in std::mem::take(&mut world.sent) {
            if to == self.address && matches!(datagram.first(), Some(20..=63)) {
                sound &= self.dtls.handle_timeout(world.now).is_ok();
                // Before the version is known, datagrams that come too early are errors and no reason to end.
                let _ = self.dtls.handle_packet(&datagram);
                self.drain(world);
            }
        }
        sound &= self.dtls.handle_timeout(world.now).is_ok();
        self.drain(world);
        if self.connected {
            self.drive_association(world);
        }
        sound
    }

    fn drain(&mut self, world: &World) {
        let mut buffer = vec![0; RECORD_BYTES];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outbox.push(packet.to_vec()),
                Output::Connected => self.connected = true,
                Output::ApplicationData(data) => {
                    let packet = Bytes::copy_from_slice(data);
                    if let Some((_, DatagramEvent::AssociationEvent(event))) =
                        self.sctp.handle(world.now, ANYWHERE, None, packet)
                        && let Some(association) = &mut self.association
                    {
                        association.handle_event(event);
                    }
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn drive_association(&mut self, world: &World) {
        let now = world.now;
        if self.association.is_none() {
            let connected = self.sctp.connect(now, ClientConfig::default(), ANYWHERE);
            self.association = connected.ok().map(|(_, association)| association);
        }
        let Some(association) = &mut self.association else {
            return;
        };
        if association.poll_timeout().is_some_and(|at| at <= now) {
            association.handle_timeout(now);
        }
        while association.poll().is_some() {}
        if !association.is_handshaking() && !self.opened {
            self.opened = true;
            for (id, label) in [(0, "_reliable"), (2, "_lossy")] {
                let open = Message::DataChannelOpen(DataChannelOpen {
                    channel_type: ChannelType::Reliable,
                    priority: 256,
                    reliability_parameter: 0,
                    label: label.as_bytes().to_vec(),
                    protocol: Vec::new(),
                });
                if let (Ok(mut stream), Ok(open)) = (association.open_stream(id, Ppi::Binary), open.marshal())
                {
                    // A full buffer of a hostile round is no failure of the client.
                    let _ = stream.write_sctp(now, &open.freeze(), Ppi::Dcep);
                }
            }
        }
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.message {
                self.packets.extend(packets);
            }
        }
    }

    /// Queues a message.
    pub(crate) fn write(&mut self, world: &World, stream: u16, payload: &[u8]) {
        if let Some(association) = &mut self.association
            && let Ok(mut stream) = association.stream(stream)
        {
            // A full buffer of a hostile round is no failure of the client.
            let _ = stream.write_with_ppi(world.now, payload, Ppi::Binary);
        }
        self.drive_association(world);
    }

    /// Whether its channels are asked for.
    pub(crate) const fn has_channels(&self) -> bool {
        self.opened
    }

    /// Protects a packet and puts it into the outbox.
    pub(crate) fn protect(&mut self, world: &World, packet: &[u8]) {
        if self.dtls.send_application_data(packet).is_ok() {
            self.drain(world);
        }
    }

    /// Sends the outbox to the shard.
    pub(crate) fn send(&mut self, world: &mut World) {
        for datagram in std::mem::take(&mut self.outbox) {
            world.datagram(self.address, datagram);
        }
    }
}
