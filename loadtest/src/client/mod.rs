//! One light client without its socket: ICE (controlling), DTLS client, SRTP, what it sends and what it receives.
//!
//! Pure in the sense of the house: `now`, the wall clock and the seed come in as arguments, datagrams go in and out by
//! calls, and nothing here reads a clock or opens a socket. After every `handle_*` the owner drains `poll_transmit` and
//! `poll_event`, and calls again at `poll_timeout`. Signalling is elsewhere ([`crate::signalling`]); the two meet in
//! [`crate::worker`].

mod dtls;
mod ice;
mod negotiation;
mod outgoing;
mod random;
mod receive;
mod rtp;
mod send;
mod srtp;
mod twcc;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use rtc_rtcp::Packet as RtcpPacket;
use rtc_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use thiserror::Error;

pub use dtls::{Fingerprint, Identity};
pub use ice::Credentials;
pub use outgoing::Burst;
pub use receive::{AUDIO_GAP, Arrival, Gap, Leg, LegKey, ReceiverCounters, Shown, StreamCounters};
pub use send::{RIDS, Source, SourceSetup, Talk};

use dtls::{DtlsClient, DtlsOutput};
use ice::Ice;
use negotiation::{downward, upward};
use outgoing::Outgoing;
use random::Random;
use receive::Receiver;
use send::{Moment, Sender};
use srtp::Srtp;

use crate::sdp::Answer;

/// Retransmissions one NACK may cause; a server that asks for more does not get them.
const MOST_RESENT_AT_ONCE: usize = 256;

/// Why a client failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// No certificate.
    #[error("cannot make a DTLS certificate: {0}")]
    Identity(String),
    /// Keys that cannot be used.
    #[error("SRTP: {0}")]
    Srtp(String),
    /// The handshake failed.
    #[error("DTLS: {0}")]
    Dtls(String),
    /// No path, or none any more.
    #[error("ICE: no answer from the server for 30 s")]
    Unreachable,
    /// The answer lacks something.
    #[error("the server's answer has {0}")]
    Answer(&'static str),
}

/// The two clocks of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers.
    pub at: Instant,
    /// Nanoseconds since 1970, for stamps.
    pub unix_ns: u64,
}

/// What a client is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its number in the plan, which its stamps carry.
    pub id: u32,
    /// Where all its randomness comes from.
    pub seed: u64,
    /// What it sends.
    pub sources: Vec<SourceSetup>,
    /// Of the packets that need not be opened, one in so many is.
    pub open_one_in: u32,
}

/// Something the owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Media can flow.
    Connected,
    /// It is over.
    Failed(ClientError),
}

/// A light client.
pub struct Client {
    setup: Setup,
    identity: Identity,
    credentials: Credentials,
    ice: Ice,
    dtls: Option<DtlsClient>,
    expected: Option<Fingerprint>,
    srtp: Option<Srtp>,
    senders: Vec<Sender>,
    receiver: Receiver,
    feedback_ssrc: u32,
    transport_number: u16,
    outgoing: Outgoing,
    events: VecDeque<Event>,
    over: bool,
}

impl Client {
    /// A client that has not negotiated yet.
    #[must_use]
    pub fn new(setup: Setup, identity: &Identity, now: Now) -> Self {
        let mut random = Random::new(setup.seed);
        let credentials = Credentials::draw(&mut random);
        let feedback_ssrc = (random.next() >> 33) as u32 | 1;
        let senders = setup
            .sources
            .iter()
            .map(|source| Sender::new(*source, setup.id, &mut random, now.at))
            .collect();
        Self {
            ice: Ice::new(credentials.clone(), random.clone()),
            receiver: Receiver::new(now.at, setup.open_one_in, feedback_ssrc),
            setup,
            identity: identity.clone(),
            credentials,
            dtls: None,
            expected: None,
            srtp: None,
            senders,
            feedback_ssrc,
            transport_number: 0,
            outgoing: Outgoing::default(),
            events: VecDeque::new(),
            over: false,
        }
    }

    /// Its number in the plan.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.setup.id
    }

    /// What its offers say about ICE.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What its offers say about DTLS.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// The SSRC an offer states for a source without layers.
    #[must_use]
    pub fn ssrc_of(&self, source: Source) -> Option<u32> {
        Some(self.sender(source)?.ssrc())
    }

    /// Takes an answer. `mids` says in which section each source is sent.
    ///
    /// # Errors
    /// [`ClientError::Answer`] when it cannot be used; the client is as before.
    pub fn set_answer(
        &mut self,
        now: Now,
        answer: &Answer,
        mids: &BTreeMap<Source, String>,
    ) -> Result<(), ClientError> {
        let fingerprint = answer
            .fingerprint
            .ok_or(ClientError::Answer("no SHA-256 fingerprint"))?;
        if answer.candidates.is_empty() {
            return Err(ClientError::Answer("no UDP candidate"));
        }
        self.expected = Some(fingerprint);
        let remote = Credentials {
            ufrag: answer.ice_ufrag.clone(),
            password: answer.ice_password.clone(),
        };
        self.ice.set_remote(now.at, remote, &answer.candidates);
        for sender in &mut self.senders {
            let mid = mids.get(&sender.setup().source);
            let section = mid.and_then(|mid| answer.sections.iter().find(|section| section.mid == *mid));
            if let Some(section) = section.filter(|section| !section.rejected)
                && let Some(section) = upward(section, sender.setup().codec)
            {
                sender.set_section(section);
            }
        }
        let (mapping, streams) = downward(&answer.sections);
        self.receiver.announce(mapping, &streams);
        self.start_sending(now.at);
        Ok(())
    }

    /// Takes a datagram from the socket.
    pub fn handle_datagram(&mut self, now: Now, arrived_unix_ns: u64, from: SocketAddr, datagram: &[u8]) {
        if self.over {
            return;
        }
        if rtp::is_media(datagram) {
            let arrived = Arrival {
                at: now.at,
                unix_ns: arrived_unix_ns,
            };
            if rtp::is_rtcp(datagram) {
                self.handle_rtcp(now, datagram);
            } else if let Some(srtp) = &mut self.srtp {
                self.receiver.handle_rtp(arrived, datagram, srtp);
            }
        } else if Ice::is_stun(datagram) {
            self.ice.handle_datagram(now.at, from, datagram);
            self.begin_handshake(now.at);
        } else if DtlsClient::is_dtls(datagram)
            && let Some(dtls) = &mut self.dtls
        {
            dtls.handle_datagram(now.at, datagram);
            self.pump_dtls(now.at);
        }
        self.pump_ice();
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.over {
            return;
        }
        if self.ice.expired(now.at) {
            return self.fail(ClientError::Unreachable);
        }
        self.ice.handle_timeout(now.at);
        self.pump_ice();
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now.at);
            self.pump_dtls(now.at);
        }
        let mut packets = self.receiver.handle_timeout(now.at, self.ice.round_trip());
        for sender in &mut self.senders {
            packets.extend(sender.poll_reports(now.at, now.unix_ns));
        }
        self.send_rtcp(&packets);
        self.send_frames(now);
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let dtls = self.dtls.as_ref().and_then(DtlsClient::poll_timeout);
        let senders = self.senders.iter().filter_map(Sender::poll_timeout);
        let media = self
            .srtp
            .is_some()
            .then(|| self.receiver.poll_timeout())
            .flatten();
        senders
            .chain(self.ice.poll_timeout())
            .chain(dtls)
            .chain(media)
            .min()
    }

    /// The next burst to send, if any. It goes to the selected path.
    pub fn poll_transmit(&mut self) -> Option<Burst> {
        self.outgoing.pop()
    }

    /// Gives a sent burst's buffer back.
    pub fn recycle(&mut self, burst: Burst) {
        self.outgoing.recycle(burst);
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Speaks or falls silent, shares or stops.
    pub fn set_active(&mut self, source: Source, active: bool) {
        let of_kind = |sender: &&mut Sender| sender.setup().source == source;
        if let Some(sender) = self.senders.iter_mut().find(of_kind) {
            sender.set_active(active);
        }
    }

    /// Number of the newest frame of a source and whether it is active; none for a source it has not.
    #[must_use]
    pub fn sent(&self, source: Source) -> Option<(u32, bool)> {
        let sender = self.sender(source)?;
        Some((sender.sequence(), sender.is_active()))
    }

    /// When a microphone has sent sound; empty for a source it has not.
    #[must_use]
    pub fn talks(&self) -> &[Talk] {
        self.sender(Source::Audio).map_or(&[], Sender::talks)
    }

    /// Frames that could be shown since the last call are appended.
    pub fn take_shown(&mut self, into: &mut Vec<Shown>) {
        self.receiver.take_shown(into);
    }

    /// Figures per sender and source.
    #[must_use]
    pub fn legs(&self) -> &BTreeMap<LegKey, Leg> {
        self.receiver.legs()
    }

    /// Counters of the streams of one kind.
    #[must_use]
    pub fn stream_counters(&self, audio: bool) -> StreamCounters {
        self.receiver.stream_counters(audio)
    }

    /// Counters beside those.
    #[must_use]
    pub fn receiver_counters(&self) -> ReceiverCounters {
        self.receiver.counters()
    }

    /// Ends the warm-up: what was measured is forgotten.
    pub fn restart_figures(&mut self) {
        self.receiver.restart();
    }

    /// What of a picture does not come is not missed while it is hidden.
    pub fn set_hidden(&mut self, now: Instant, key: LegKey, hidden: bool) {
        self.receiver.set_hidden(now, key, hidden);
    }

    /// Ends the measurement: legs whose sender still sends get their last gap.
    pub fn end_figures(&mut self, now: Instant, still_sending: &dyn Fn(LegKey) -> bool) {
        self.receiver.end(now, still_sending);
    }

    fn sender(&self, source: Source) -> Option<&Sender> {
        self.senders.iter().find(|sender| sender.setup().source == source)
    }

    fn fail(&mut self, error: ClientError) {
        if !self.over {
            self.over = true;
            self.events.push_back(Event::Failed(error));
        }
    }

    fn pump_ice(&mut self) {
        while let Some((to, datagram)) = self.ice.poll_transmit() {
            self.outgoing.push(to, &datagram);
        }
    }

    fn begin_handshake(&mut self, now: Instant) {
        if let (Some(_), Some(expected), None) = (self.ice.selected(), self.expected, &self.dtls) {
            self.dtls = Some(DtlsClient::new(&self.identity, expected, now));
            self.pump_dtls(now);
        }
    }

    fn pump_dtls(&mut self, now: Instant) {
        while let Some(output) = self.dtls.as_mut().and_then(DtlsClient::poll_output) {
            match output {
                DtlsOutput::Transmit(datagram) => {
                    if let Some(to) = self.ice.selected() {
                        self.outgoing.push(to, &datagram);
                    }
                }
                DtlsOutput::Keys(profile, material) => match Srtp::new(profile, &material) {
                    Ok(srtp) => {
                        self.srtp = Some(srtp);
                        self.events.push_back(Event::Connected);
                        self.start_sending(now);
                    }
                    Err(error) => self.fail(error),
                },
                DtlsOutput::Failed(reason) => self.fail(ClientError::Dtls(reason)),
            }
        }
    }

    fn start_sending(&mut self, now: Instant) {
        if self.srtp.is_some() {
            self.senders.iter_mut().for_each(|sender| sender.start(now));
        }
    }

    fn send_frames(&mut self, now: Now) {
        let (Some(srtp), Some(to)) = (&mut self.srtp, self.ice.selected()) else {
            return;
        };
        let outgoing = &mut self.outgoing;
        for sender in &mut self.senders {
            let mut moment = Moment {
                unix_ns: now.unix_ns,
                transport_number: &mut self.transport_number,
            };
            while sender.write_due(now.at, &mut moment, srtp, |packet| outgoing.append(to, packet)) {}
            outgoing.close_burst();
        }
    }

    fn send_rtcp(&mut self, packets: &[Box<dyn RtcpPacket>]) {
        let (Some(srtp), Some(to)) = (&mut self.srtp, self.ice.selected()) else {
            return;
        };
        outgoing::compounds(packets, self.feedback_ssrc, |compound| {
            if let Some(sealed) = srtp.seal_rtcp(compound) {
                self.outgoing.push(to, &sealed);
            }
        });
    }

    fn handle_rtcp(&mut self, now: Now, datagram: &[u8]) {
        let Some(opened) = self.srtp.as_mut().and_then(|srtp| srtp.open_rtcp(datagram)) else {
            return;
        };
        // What the library cannot read is not for us.
        let Ok(packets) = rtc_rtcp::packet::unmarshal(&mut Bytes::from(opened)) else {
            return;
        };
        for packet in &packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<SenderReport>() {
                self.receiver.handle_sender_report(now.at, report);
            } else if let Some(request) = packet.downcast_ref::<PictureLossIndication>() {
                self.request_keyframe(now.at, request.media_ssrc);
            } else if let Some(request) = packet.downcast_ref::<FullIntraRequest>() {
                for entry in &request.fir {
                    self.request_keyframe(now.at, entry.ssrc);
                }
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                self.resend(now, nack);
            }
        }
    }

    fn request_keyframe(&mut self, now: Instant, ssrc: u32) {
        for sender in &mut self.senders {
            if sender.request_keyframe(now, ssrc) {
                return;
            }
        }
    }

    fn resend(&mut self, now: Now, nack: &TransportLayerNack) {
        let (Some(srtp), Some(to)) = (&mut self.srtp, self.ice.selected()) else {
            return;
        };
        let wanted = nack.nacks.iter().flat_map(|pair| pair.packet_list());
        for seq in wanted.take(MOST_RESENT_AT_ONCE) {
            let outgoing = &mut self.outgoing;
            let mut moment = Moment {
                unix_ns: now.unix_ns,
                transport_number: &mut self.transport_number,
            };
            for sender in &mut self.senders {
                if sender.write_again(nack.media_ssrc, seq, &mut moment, srtp, |packet| {
                    outgoing.push(to, packet)
                }) {
                    break;
                }
            }
        }
    }
}
