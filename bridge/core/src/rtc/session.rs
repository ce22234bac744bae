//! One client: puts the parts together and owns nothing but their order.

mod incoming;
mod offering;
mod outgoing;

use super::config::RtcConfig;
use super::counters::RtcCounters;
use super::demux::Demux;
use super::dtls::{DimplServer, Fingerprint};
use super::ice::IceLite;
use super::io::{Announced, DataError, Negotiated, Received, RtcEvent, RtcpOut, Wanted};
use super::losses::Losses;
use super::negotiation::{Assigned, Assignments};
use super::random::SeededRandom;
use super::receiver_report::Receptions;
use super::sctp::DataChannels;
use super::sdp::{AnswerHead, ExtensionIds, Offer, SectionKind, write_answer};
use super::srtp::{SrtcpSealer, SrtpOpener, SrtpProfile, SrtpSealer, split_keying_material};
use super::tcp::below_bytes;
use super::twcc::{SendHistory, TwccRecorder};
use crate::bandwidth::SentBytes;
use crate::forward::packet::SealRtp;
use bytes::Bytes;
use relay_proto::id::Layer;
use relay_proto::session::EndCause;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why an offer cannot be used; the session stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// Over a limit.
    #[error("the offer has too many {0}")]
    TooLarge(&'static str),
    /// Not readable, or without something it must have.
    #[error("the offer cannot be used: {0}")]
    Unusable(String),
    /// The session is over.
    #[error("the session has ended")]
    Ended,
}

/// What exists once keys are installed.
#[derive(Debug)]
struct Keys {
    opener: SrtpOpener,
    sealer: SrtpSealer,
    rtcp_sealer: SrtcpSealer,
}

/// What the latest offer said about the client's transport.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remote {
    ufrag: String,
    password: String,
    fingerprint: Fingerprint,
}

/// Numbers and seals outgoing media of one client, at one moment.
#[derive(Debug)]
pub struct Outgoing<'a> {
    now: Instant,
    /// Of headers below RTP: they share the path, too.
    below_bytes: usize,
    transport_cc: Option<u8>,
    sealer: &'a mut SrtpSealer,
    history: &'a mut SendHistory,
}

impl SealRtp for Outgoing<'_> {
    fn tag_bytes(&self) -> usize {
        self.sealer.tag_bytes()
    }

    fn transport_cc(&self) -> Option<u8> {
        self.transport_cc
    }

    fn number(&mut self, bytes: usize) -> u16 {
        self.history.number(self.now, bytes + self.below_bytes)
    }

    fn pass(&mut self, bytes: usize) {
        self.history.pass(bytes + self.below_bytes);
    }

    fn seal_rtp(&mut self, packet: &mut [u8], header_len: usize, len: usize, ssrc: u32, index: u64) -> usize {
        self.sealer.seal_rtp(packet, header_len, len, ssrc, index)
    }
}

/// One client's transport.
#[derive(Debug)]
pub struct Session {
    config: Arc<RtcConfig>,
    random: SeededRandom,
    session_id: u32,
    version: u32,
    /// Sender of our feedback.
    feedback_ssrc: u32,
    ice: IceLite,
    dtls: DimplServer,
    peer_is_known: bool,
    keys: Option<Keys>,
    remote: Option<Remote>,
    /// Keys must be there by then.
    deadline: Option<Instant>,
    /// Whether silence ends the session: not where simulations install keys.
    consent_needed: bool,
    assignments: Assignments,
    /// Where this side offers: its sections and the offer that waits for its answer.
    own_offer: offering::OwnOffer,
    extension_ids: ExtensionIds,
    demux: Demux,
    downlink_ssrcs: BTreeSet<u32>,
    /// Those of sound among them, and what the client said of them last.
    downlink_sounds: BTreeSet<u32>,
    losses: Losses,
    receptions: Receptions,
    twcc: TwccRecorder,
    history: SendHistory,
    data: DataChannels,
    pending_rtcp: Vec<RtcpOut>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<RtcEvent>,
    new_addrs: VecDeque<SocketAddr>,
    counters: RtcCounters,
    ended: bool,
}

impl Session {
    /// A session that waits for its first offer. Credentials and SSRCs come from `seed`; DTLS and SCTP draw their own
    /// randomness from the operating system.
    #[must_use]
    pub fn new(config: Arc<RtcConfig>, seed: [u8; 32], now: Instant) -> Self {
        let mut random = SeededRandom::new(&seed);
        let limits = config.limits;
        Self {
            session_id: random.number() & 0x7fff_ffff,
            version: 0,
            feedback_ssrc: random.number(),
            ice: IceLite::new(config.shard, limits.max_addresses_per_session, &mut random),
            dtls: DimplServer::new(&config.certificate),
            peer_is_known: false,
            keys: None,
            remote: None,
            deadline: None,
            consent_needed: true,
            assignments: Assignments::default(),
            own_offer: offering::OwnOffer::default(),
            extension_ids: ExtensionIds::default(),
            demux: Demux::new(limits.max_ssrcs_per_session),
            downlink_ssrcs: BTreeSet::new(),
            downlink_sounds: BTreeSet::new(),
            losses: Losses::default(),
            receptions: Receptions::new(now, limits.max_ssrcs_per_session),
            twcc: TwccRecorder::new(now),
            history: SendHistory::default(),
            data: DataChannels::new(&limits),
            pending_rtcp: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            new_addrs: VecDeque::new(),
            counters: RtcCounters::default(),
            ended: false,
            random,
            config,
        }
    }

    /// The newest local ufrag; it carries the shard id and changes with an ICE restart.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.ice.credentials().ufrag
    }

    /// Applies an offer and answers it. `announced` holds all announced tracks, bound or not; `wanted` is in order of
    /// priority. Cost: about 50 µs per section.
    ///
    /// # Errors
    /// [`NegotiationError`]; nothing has changed then.
    pub fn negotiate(
        &mut self,
        now: Instant,
        offer: &str,
        announced: &[Announced<'_>],
        wanted: &[Wanted<'_>],
    ) -> Result<Negotiated, NegotiationError> {
        if self.ended {
            return Err(NegotiationError::Ended);
        }
        let offer = Offer::parse(offer, &self.config.limits)?;
        self.adopt_remote(&offer)?;
        if self.keys.is_none() {
            self.deadline
                .get_or_insert(now + self.config.limits.handshake_timeout);
        }
        self.extension_ids = offer.extensions();
        if let Some(section) = offer
            .sections
            .iter()
            .find(|section| section.kind == SectionKind::Data)
        {
            self.data.set_peer_limit(section.max_message_bytes);
        }
        let assigned = self
            .assignments
            .apply(&offer.sections, announced, wanted, &mut self.random);
        self.version += 1;
        let head = AnswerHead {
            session_id: self.session_id,
            version: self.version,
            credentials: self.ice.credentials(),
            fingerprint: self.config.certificate.fingerprint(),
            candidates: &self.config.candidates,
            tcp_candidates: &self.config.tcp_candidates,
            allow_mixed: offer.allow_mixed,
            max_message_bytes: self.config.limits.max_data_message_bytes,
            offers: false,
        };
        let answer = write_answer(&head, &assigned.answer);
        let Assigned {
            uplinks,
            uplink_sections,
            downlinks,
            ..
        } = assigned;
        self.demux.set_sections(uplink_sections);
        self.note_downlinks(&downlinks);
        Ok(Negotiated {
            answer,
            uplinks,
            downlinks,
            more_audios: assigned.more_audios,
            more_videos: assigned.more_videos,
            offer_again: assigned.offer_again,
            free_audios: assigned.free_audios,
            free_videos: assigned.free_videos,
        })
    }

    /// Takes over the client's side of the transport; new credentials are an ICE restart.
    fn adopt_remote(&mut self, offer: &Offer) -> Result<(), NegotiationError> {
        let remote = Remote {
            ufrag: offer.ufrag.clone(),
            password: offer.password.clone(),
            fingerprint: offer.fingerprint,
        };
        if let Some(before) = &self.remote {
            if before.fingerprint != remote.fingerprint {
                return Err(NegotiationError::Unusable(
                    "the client's certificate has changed".to_owned(),
                ));
            }
            if *before != remote {
                self.ice.restart(&mut self.random);
            }
        }
        self.remote = Some(remote);
        Ok(())
    }

    /// Takes one datagram, opening it in place. Cost for media: one AEAD pass and three look-ups.
    pub fn handle_datagram<'b>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &'b mut [u8],
    ) -> Received<'b> {
        if self.ended {
            return Received::Nothing;
        }
        self.receive(now, from, bytes)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return self.end(EndCause::HandshakeTimedOut);
        }
        if self.consent_expires().is_some_and(|expiry| expiry <= now) {
            return self.end(EndCause::ConsentExpired);
        }
        self.drive_handshake_timers(now);
        self.write_reports(now);
    }

    /// When `handle_timeout` is due; none once the session has ended.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let candidates = [
            self.deadline,
            self.consent_expires(),
            self.transport_timeout(),
            self.report_timeout(),
        ];
        candidates.into_iter().flatten().min()
    }

    fn consent_expires(&self) -> Option<Instant> {
        let heard = self.ice.last_heard().filter(|_| self.consent_needed)?;
        Some(heard + self.config.limits.consent_timeout)
    }

    /// Next datagram to send; its destination is final.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.write_pending_rtcp();
        self.transmits.pop_front()
    }

    /// Next event.
    pub fn poll_event(&mut self) -> Option<RtcEvent> {
        self.events.pop_front()
    }

    /// Next authenticated address, for [`super::Mux::learn`]; the same one comes again with every check.
    pub fn poll_new_addr(&mut self) -> Option<SocketAddr> {
        self.new_addrs.pop_front()
    }

    /// Where media goes now.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.ice.current()
    }

    /// The client cannot be reached at `address` any more: media waits for another one.
    pub fn forget_addr(&mut self, address: SocketAddr) {
        self.ice.forget(address);
    }

    /// Whether keys are installed.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.keys.is_some() && !self.ended
    }

    /// What numbers and seals the media that leaves now; none before keys.
    pub fn outgoing(&mut self, now: Instant) -> Option<Outgoing<'_>> {
        let transport_cc = self.transport_cc();
        let below_bytes = self.ice.current().map_or(0, below_bytes);
        let sealer = &mut self.keys.as_mut()?.sealer;
        Some(Outgoing {
            now,
            below_bytes,
            transport_cc,
            sealer,
            history: &mut self.history,
        })
    }

    /// Media packets expected from the client and received, of the streams it still sends; retransmissions do not count.
    #[must_use]
    pub fn received_totals(&self) -> (u64, u64) {
        self.receptions.totals()
    }

    /// Time since anything authentic came from the client; none before that, and where simulations installed keys.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        let heard = self.ice.last_heard().filter(|_| self.consent_needed)?;
        Some(now.saturating_duration_since(heard))
    }

    /// Whether the client reports on the packets it gets.
    #[must_use]
    pub fn reports_arrivals(&self) -> bool {
        self.transport_cc().is_some()
    }

    /// A larger id would take the two-byte form of header extensions; no client is known to choose one for this.
    fn transport_cc(&self) -> Option<u8> {
        self.extension_ids
            .transport_cc
            .filter(|id| self.config.estimates_paths && (1..=14).contains(id))
    }

    /// Bytes of media sent so far.
    #[must_use]
    pub const fn sent_bytes(&self) -> SentBytes {
        self.history.sent_bytes()
    }

    /// Queues RTCP; it leaves, bundled, with the next `poll_transmit`. Dropped before keys, and when too much waits.
    pub fn send_rtcp(&mut self, packet: RtcpOut) {
        if !self.is_connected() {
            return;
        }
        if self.pending_rtcp.len() >= self.config.limits.max_queued_datagrams {
            self.counters.transmit_dropped += 1;
            return;
        }
        self.pending_rtcp.push(packet);
    }

    /// Sends on the client's data channel; queued, within bounds, until it is open.
    ///
    /// # Errors
    /// [`DataError`] when the message is too large or too much waits.
    pub fn send_data(&mut self, now: Instant, reliable: bool, payload: Bytes) -> Result<(), DataError> {
        if self.ended {
            return Err(DataError::Ended);
        }
        self.data.send(now, reliable, payload, &mut self.counters)?;
        self.pump(now, None);
        Ok(())
    }

    /// SSRC of an uplink's layer as seen on the wire; none before its first packet.
    #[must_use]
    pub fn uplink_ssrc(&self, track: usize, layer: Layer) -> Option<u32> {
        self.demux.media_ssrc(track, layer)
    }

    /// What has been refused so far.
    #[must_use]
    pub const fn counters(&self) -> &RtcCounters {
        &self.counters
    }

    /// Stands in for ICE and DTLS in simulations and benchmarks: `remote` counts as validated and current, and silence
    /// does not end the session. `keying_material` is laid out as DTLS exports it (client key first).
    ///
    /// # Panics
    /// If `keying_material` has not the profile's length.
    #[cfg(any(test, feature = "sim"))]
    pub fn install_keys(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        profile: SrtpProfile,
        keying_material: &[u8],
    ) {
        self.ice.assume(now, remote);
        self.announce_address(remote);
        self.consent_needed = false;
        assert!(
            self.adopt_keys(profile, keying_material),
            "keying material has the wrong length"
        );
    }

    /// Installs exported keys; false if their length is wrong.
    fn adopt_keys(&mut self, profile: SrtpProfile, keying_material: &[u8]) -> bool {
        let Some((client, server)) = split_keying_material(profile, keying_material) else {
            return false;
        };
        self.keys = Some(Keys {
            opener: SrtpOpener::new(profile, client, self.config.limits.max_ssrcs_per_session),
            sealer: SrtpSealer::new(profile, server),
            rtcp_sealer: SrtcpSealer::new(profile, server),
        });
        self.deadline = None;
        self.events.push_back(RtcEvent::Connected);
        true
    }

    fn announce_address(&mut self, addr: SocketAddr) {
        let room = self.new_addrs.len() < self.config.limits.max_addresses_per_session;
        if room && !self.new_addrs.contains(&addr) {
            self.new_addrs.push_back(addr);
        }
    }

    fn end(&mut self, cause: EndCause) {
        self.ended = true;
        self.transmits.clear();
        self.pending_rtcp.clear();
        self.events.push_back(RtcEvent::Ended(cause));
    }
}

#[cfg(test)]
mod tests;
