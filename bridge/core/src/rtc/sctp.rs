//! Data channels: SCTP and DCEP over DTLS, passive side.
//!
//! The client opens the association, and the channels unless we are told to; only `_reliable` and `_lossy` mean anything, others are left
//! alone. Tags and sequence numbers of SCTP come from the library's own randomness. Two traps of the library are
//! closed here: a repeated INIT makes another association (so several may exist until one is up), and data must not
//! be read before the association is up, but then also without another event.

mod guard;

use self::guard::TsnGuard;
use super::config::RtcLimits;
use super::counters::RtcCounters;
use super::io::DataError;
use bytes::Bytes;
use rtc_datachannel::data_channel::DataChannel;
use rtc_datachannel::message::Message;
use rtc_datachannel::message::message_channel_ack::DataChannelAck;
use rtc_datachannel::message::message_channel_open::{CHANNEL_PRIORITY_NORMAL, ChannelType, DataChannelOpen};
use rtc_sctp::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ServerConfig, StreamEvent, StreamId, TransportConfig,
};
use rtc_shared::TransportProtocol;
use rtc_shared::marshal::{Marshal, Unmarshal};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Associations that may be in their handshake at once: repeated INITs under loss make several.
const MAX_HANDSHAKES: usize = 8;
/// Streams of the channels we open: odd, as the DTLS server's are (RFC 8832 section 6).
const OUR_STREAMS: [(StreamId, Channel); 2] = [(1, Channel::Reliable), (3, Channel::Lossy)];
/// Streams a client may open; real clients use three.
const MAX_STREAMS: usize = 64;
/// Addresses mean nothing above DTLS; the library wants one.
const PLACEHOLDER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);

/// A message from the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DataIn {
    pub(crate) reliable: bool,
    pub(crate) payload: Vec<u8>,
}

/// Which of the two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Reliable,
    Lossy,
    Other,
}

/// The data channels of one client.
pub(crate) struct DataChannels {
    endpoint: Endpoint,
    guard: TsnGuard,
    handshakes: BTreeMap<usize, Association>,
    established: Option<Association>,
    /// We open the channels, too.
    opens: bool,
    streams: BTreeMap<StreamId, Option<Channel>>,
    /// Messages sent before their channel is open.
    waiting: VecDeque<(bool, Bytes)>,
    waiting_bytes: usize,
    received: VecDeque<DataIn>,
    max_received_bytes: usize,
    /// The smaller of what both sides take.
    max_sent_bytes: usize,
    max_queued_bytes: usize,
}

impl DataChannels {
    pub(crate) fn new(limits: &RtcLimits) -> Self {
        let max_message = u32::try_from(limits.max_data_message_bytes).unwrap_or(u32::MAX);
        let transport = TransportConfig::default()
            .with_max_message_size(max_message)
            .with_max_num_inbound_streams(1024)
            .with_max_num_outbound_streams(1024);
        let server = Arc::new(ServerConfig::new(transport));
        let config = Arc::new(EndpointConfig::new());
        Self {
            endpoint: Endpoint::new(PLACEHOLDER, TransportProtocol::UDP, config, Some(server)),
            guard: TsnGuard::default(),
            handshakes: BTreeMap::new(),
            established: None,
            opens: false,
            streams: BTreeMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            received: VecDeque::new(),
            max_received_bytes: limits.max_data_message_bytes,
            max_sent_bytes: limits.max_data_message_bytes,
            max_queued_bytes: limits.max_queued_data_bytes,
        }
    }

    /// Opens both channels from this side as soon as the association is up.
    pub(crate) const fn open_channels(&mut self) {
        self.opens = true;
    }

    /// The largest message the client takes, from its offer.
    pub(crate) fn set_peer_limit(&mut self, bytes: usize) {
        self.max_sent_bytes = bytes.min(self.max_received_bytes);
    }

    /// Takes one SCTP packet.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: Vec<u8>, counters: &mut RtcCounters) {
        let is_init = packet.get(12) == Some(&1);
        let unwelcome = is_init && (self.established.is_some() || self.handshakes.len() >= MAX_HANDSHAKES);
        if unwelcome || !self.guard.admits(&packet) {
            counters.bad_sctp += 1;
            return;
        }
        match self.endpoint.handle(now, PLACEHOLDER, None, Bytes::from(packet)) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.handshakes.insert(handle.0, association);
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                let association = self.handshakes.get_mut(&handle.0).or(self.established.as_mut());
                if let Some(association) = association {
                    association.handle_event(event);
                }
            }
            _ => counters.bad_sctp += 1,
        }
        self.advance(now, counters);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, counters: &mut RtcCounters) {
        for association in self.handshakes.values_mut().chain(&mut self.established) {
            if association.poll_timeout().is_some_and(|at| at <= now) {
                association.handle_timeout(now);
            }
        }
        self.advance(now, counters);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.handshakes
            .values()
            .chain(&self.established)
            .filter_map(Association::poll_timeout)
            .min()
    }

    /// Packets for DTLS.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Vec<Bytes> {
        let mut packets = Vec::new();
        for association in self.handshakes.values_mut().chain(&mut self.established) {
            while let Some(transmit) = association.poll_transmit(now) {
                if let Payload::RawEncode(contents) = transmit.message {
                    for packet in &contents {
                        self.guard.note_sent(packet);
                    }
                    packets.extend(contents);
                }
            }
        }
        packets
    }

    pub(crate) fn poll_received(&mut self) -> Option<DataIn> {
        self.received.pop_front()
    }

    /// Sends on one of the two channels, or queues until it is open.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        reliable: bool,
        payload: Bytes,
        counters: &mut RtcCounters,
    ) -> Result<(), DataError> {
        if payload.len() > self.max_sent_bytes {
            return Err(DataError::TooLarge {
                bytes: payload.len(),
                max: self.max_sent_bytes,
            });
        }
        if self.waiting_bytes + self.buffered_bytes() + payload.len() > self.max_queued_bytes {
            return Err(DataError::QueueFull {
                max: self.max_queued_bytes,
            });
        }
        self.waiting_bytes += payload.len();
        self.waiting.push_back((reliable, payload));
        self.flush(now, counters);
        Ok(())
    }

    fn buffered_bytes(&mut self) -> usize {
        let Some(association) = &mut self.established else {
            return 0;
        };
        let mut total = 0;
        for id in self.streams.keys() {
            total += association
                .stream(*id)
                .ok()
                .and_then(|stream| stream.buffered_amount().ok())
                .unwrap_or(0);
        }
        total
    }

    /// Everything that may have become possible after input.
    fn advance(&mut self, now: Instant, counters: &mut RtcCounters) {
        if self.adopt_established() && self.opens {
            for (id, channel) in OUR_STREAMS {
                self.open(now, id, channel, counters);
            }
        }
        let Some(association) = &mut self.established else {
            return;
        };
        while let Some(event) = association.poll() {
            if let Event::Stream(StreamEvent::Opened { id }) = event {
                self.streams.entry(id).or_insert(None);
            }
        }
        while association.accept_stream().is_some() {}
        self.streams.retain(|id, _| association.stream(*id).is_ok());
        for id in association.stream_ids() {
            self.streams.entry(id).or_insert(None);
        }
        if self.streams.len() > MAX_STREAMS || association.is_closed() {
            counters.bad_sctp += 1;
            self.close();
            return;
        }
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            self.read(now, id, counters);
        }
        self.flush(now, counters);
    }

    /// The first association that is up is the one; the others are forgotten. True when that is so just now.
    fn adopt_established(&mut self) -> bool {
        let up = self
            .handshakes
            .iter()
            .find(|(_, association)| !association.is_handshaking())
            .map(|(at, _)| *at);
        let Some(association) = up.and_then(|at| self.handshakes.remove(&at)) else {
            return false;
        };
        self.established = Some(association);
        for at in std::mem::take(&mut self.handshakes).into_keys() {
            self.endpoint
                .handle_event(AssociationHandle(at), rtc_sctp::EndpointEvent::drained());
        }
        self.endpoint.reject_new_associations();
        true
    }

    /// Opens a channel; it may be written to at once (RFC 8832 section 6).
    fn open(&mut self, now: Instant, id: StreamId, channel: Channel, counters: &mut RtcCounters) {
        let Some(association) = &mut self.established else {
            return;
        };
        let (label, channel_type) = match channel {
            Channel::Lossy => ("_lossy", ChannelType::PartialReliableRexmitUnordered),
            Channel::Reliable | Channel::Other => ("_reliable", ChannelType::Reliable),
        };
        let (unordered, reliability) = DataChannel::get_reliability_params(channel_type);
        let open = Message::DataChannelOpen(DataChannelOpen {
            channel_type,
            priority: CHANNEL_PRIORITY_NORMAL,
            reliability_parameter: 0,
            label: label.into(),
            protocol: Vec::new(),
        });
        let opened = association
            .open_stream(id, PayloadProtocolIdentifier::Binary)
            .and_then(|mut stream| {
                stream.write_sctp(now, &open.marshal()?.freeze(), PayloadProtocolIdentifier::Dcep)?;
                stream.set_reliability_params(unordered, reliability, 0)
            });
        match opened {
            Ok(()) => {
                self.streams.insert(id, Some(channel));
            }
            Err(_) => counters.data_dropped += 1,
        }
    }

    /// Ends the association for good; the session goes on without data channels.
    fn close(&mut self) {
        if let Some(association) = &mut self.established {
            // A closed association needs no second goodbye.
            let _ = association.abort();
        }
        self.streams.clear();
    }

    fn read(&mut self, now: Instant, id: StreamId, counters: &mut RtcCounters) {
        loop {
            let Some(association) = &mut self.established else {
                return;
            };
            let Ok(mut stream) = association.stream(id) else {
                return;
            };
            let Ok(Some(chunks)) = stream.read_sctp() else {
                return;
            };
            let channel = self.streams.get(&id).copied().flatten();
            let Ok(payload) = chunks.to_payload(self.max_received_bytes) else {
                counters.data_dropped += 1;
                continue;
            };
            use PayloadProtocolIdentifier::{Binary, BinaryEmpty, Dcep, String};
            let reliable = channel == Some(Channel::Reliable);
            match (chunks.ppi, channel) {
                (Dcep, _) => self.handle_dcep(now, id, payload.freeze(), counters),
                (Binary | String, Some(Channel::Reliable | Channel::Lossy)) => {
                    self.received.push_back(DataIn {
                        reliable,
                        payload: payload.to_vec(),
                    });
                }
                (BinaryEmpty, Some(Channel::Reliable | Channel::Lossy)) => {
                    self.received.push_back(DataIn {
                        reliable,
                        payload: Vec::new(),
                    });
                }
                _ => counters.data_dropped += 1,
            }
        }
    }

    /// Accepts a channel: learns its name, takes over its reliability, acknowledges.
    fn handle_dcep(&mut self, now: Instant, id: StreamId, mut message: Bytes, counters: &mut RtcCounters) {
        if !guard::is_opening(&message) {
            // An acknowledgement asks for nothing.
            counters.data_dropped += u64::from(message.as_ref() != [guard::CHANNEL_ACK]);
            return;
        }
        let open = match Message::unmarshal(&mut message) {
            Ok(Message::DataChannelOpen(open)) => open,
            Ok(_) => return,
            Err(_) => {
                counters.data_dropped += 1;
                return;
            }
        };
        self.streams.insert(id, Some(channel_of(&open)));
        let Some(association) = &mut self.established else {
            return;
        };
        let Ok(mut stream) = association.stream(id) else {
            return;
        };
        let (unordered, reliability) = DataChannel::get_reliability_params(open.channel_type);
        let acknowledged = stream
            .set_reliability_params(unordered, reliability, open.reliability_parameter)
            .and_then(|()| Message::DataChannelAck(DataChannelAck {}).marshal())
            .and_then(|ack| stream.write_sctp(now, &ack.freeze(), PayloadProtocolIdentifier::Dcep));
        if acknowledged.is_err() {
            counters.data_dropped += 1;
        }
        self.flush(now, counters);
    }

    /// Writes what waits for channels that are open by now, in order per channel.
    fn flush(&mut self, now: Instant, counters: &mut RtcCounters) {
        let Some(association) = &mut self.established else {
            return;
        };
        let find = |wanted| {
            self.streams
                .iter()
                .rev()
                .find(|(_, channel)| **channel == Some(wanted))
                .map(|(id, _)| *id)
        };
        let (reliable_id, lossy_id) = (find(Channel::Reliable), find(Channel::Lossy));
        let mut kept = VecDeque::new();
        for (reliable, payload) in std::mem::take(&mut self.waiting) {
            let Some(id) = (if reliable { reliable_id } else { lossy_id }) else {
                kept.push_back((reliable, payload));
                continue;
            };
            self.waiting_bytes -= payload.len();
            // SCTP carries no empty messages (RFC 8831 section 6.6).
            let (payload, kind) = if payload.is_empty() {
                (Bytes::from_static(&[0]), PayloadProtocolIdentifier::BinaryEmpty)
            } else {
                (payload, PayloadProtocolIdentifier::Binary)
            };
            let written = association
                .stream(id)
                .and_then(|mut stream| stream.write_chunk_with_ppi(now, &payload, kind));
            if written.is_err() {
                counters.data_dropped += 1;
            }
        }
        self.waiting = kept;
    }
}

impl std::fmt::Debug for DataChannels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataChannels")
            .field("established", &self.established.is_some())
            .field("streams", &self.streams)
            .field("waiting_bytes", &self.waiting_bytes)
            .finish_non_exhaustive()
    }
}

fn channel_of(open: &DataChannelOpen) -> Channel {
    match open.label.as_slice() {
        b"_reliable" => Channel::Reliable,
        b"_lossy" => Channel::Lossy,
        _ => Channel::Other,
    }
}

#[cfg(test)]
mod tests;
