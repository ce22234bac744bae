//! What a datagram does to a session: the split of RFC 7983, then one function per protocol.

use super::Session;
use crate::red::{self, Earlier};
use crate::rtc::demux::{Route, Tags};
use crate::rtc::dtls::{DtlsEndpoint, DtlsOutput};
use crate::rtc::io::{Received, RtcEvent, RtcpIn, RtpIn};
use crate::rtc::rtcp::{self, Item};
use crate::rtc::rtp::{RtpHeader, is_rtcp};
use crate::rtc::srtp::OpenError;
use crate::rtc::stun::BindingRequest;
use relay_proto::room::LeaveCause;
use relay_proto::session::EndCause;
use relay_proto::unit::AudioLevel;
use std::net::SocketAddr;
use std::time::Instant;

/// Length of the original sequence number before a retransmitted payload (RFC 4588 section 4).
const OSN_BYTES: usize = 2;

impl Session {
    pub(super) fn receive<'b>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &'b mut [u8],
    ) -> Received<'b> {
        match bytes.first() {
            Some(0..=3) => self.receive_stun(now, from, bytes),
            // All of it: encrypted records of DTLS 1.3 begin with 32 to 63.
            Some(20..=63) => self.receive_dtls(now, from, bytes),
            Some(128..=191) if is_rtcp(bytes) => return self.receive_rtcp(now, from, bytes),
            Some(128..=191) => return self.receive_rtp(now, from, bytes),
            _ => self.counters.malformed += 1,
        }
        Received::Nothing
    }

    fn receive_stun(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let answered = BindingRequest::parse(bytes).and_then(|request| self.ice.answer(now, from, &request));
        let Some(answered) = answered else {
            self.counters.stun_refused += 1;
            return;
        };
        self.transmit(from, answered.response);
        self.announce_address(from);
        self.note_move(answered.moved);
    }

    fn receive_dtls(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        // Where this side offers, the handshake may overtake the answer with the client's fingerprint: it is repeated.
        if self.remote.is_none() || !self.ice.is_validated(from) {
            self.counters.dtls_unvalidated += 1;
            return;
        }
        if !self.dtls.handle_datagram(now, bytes) {
            self.counters.dtls_refused += 1;
        }
        self.pump(now, Some(from));
    }

    /// Moves everything between DTLS, SCTP and the queues until nothing moves any more. `from` is where the datagram
    /// came from that caused it, if one did.
    pub(super) fn pump(&mut self, now: Instant, from: Option<SocketAddr>) {
        loop {
            while let Some(output) = self.dtls.poll_output() {
                self.handle_dtls_output(now, from, output);
                if self.ended {
                    return;
                }
            }
            let packets = self.data.poll_transmit(now);
            if packets.is_empty() {
                break;
            }
            for packet in packets {
                self.dtls.send(now, &packet);
            }
        }
        while let Some(message) = self.data.poll_received() {
            self.events.push_back(RtcEvent::Data {
                reliable: message.reliable,
                payload: message.payload,
            });
        }
    }

    fn handle_dtls_output(&mut self, now: Instant, from: Option<SocketAddr>, output: DtlsOutput) {
        match output {
            DtlsOutput::Transmit(datagram) => {
                if let Some(to) = self.ice.current() {
                    self.transmit(to, datagram);
                }
            }
            DtlsOutput::PeerCertificate(fingerprint) => {
                self.peer_is_known = self
                    .remote
                    .as_ref()
                    .is_some_and(|remote| remote.fingerprint == fingerprint);
                if !self.peer_is_known {
                    self.end(EndCause::FingerprintMismatch);
                }
            }
            // A certificate has come before; without one there are no keys.
            DtlsOutput::Keys(..) if !self.peer_is_known => self.end(EndCause::FingerprintMismatch),
            DtlsOutput::Keys(profile, material) => {
                if !self.adopt_keys(profile, &material) {
                    self.end(EndCause::HandshakeTimedOut);
                }
            }
            DtlsOutput::Data(packet) => {
                if let Some(from) = from {
                    let moved = self.ice.hear_media(now, from);
                    self.note_move(moved);
                }
                self.data.handle_packet(now, packet, &mut self.counters);
            }
            DtlsOutput::Closed => self.end(EndCause::Left(LeaveCause::ClientLeft)),
            DtlsOutput::Failed(reason) => {
                tracing::debug!(%reason, "DTLS failed");
                let connected = self.keys.is_some();
                self.end(if connected {
                    EndCause::Left(LeaveCause::ConnectionLost)
                } else {
                    EndCause::HandshakeTimedOut
                });
            }
        }
    }

    fn receive_rtp<'b>(&mut self, now: Instant, from: SocketAddr, bytes: &'b mut [u8]) -> Received<'b> {
        let Some(header) = RtpHeader::parse(bytes) else {
            self.counters.malformed += 1;
            return Received::Nothing;
        };
        let Some(keys) = &mut self.keys else {
            self.counters.before_keys += 1;
            return Received::Nothing;
        };
        let opened = keys
            .opener
            .open_rtp(now, bytes, header.len, header.ssrc, header.seq);
        let bytes: &'b [u8] = bytes;
        let len = match opened {
            Ok(len) => len,
            Err(error) => return self.refuse(error),
        };
        let moved = self.ice.hear_media(now, from);
        self.note_move(moved);
        let tags = Tags::read(header.extensions(bytes), &self.extension_ids);
        if let Some(seq) = tags.transport_seq {
            self.twcc.record(now, seq);
        }
        let Some(payload_end) = header.payload_end(bytes, len) else {
            self.counters.malformed += 1;
            return Received::Nothing;
        };
        let Some(route) = self.demux.route(&header, &tags) else {
            self.counters.unroutable += 1;
            return Received::Nothing;
        };
        self.deliver(now, &header, &tags, route, &bytes[header.len..payload_end])
    }

    /// Hands a routed packet out, retransmissions as what they repeat.
    fn deliver<'b>(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        tags: &Tags<'b>,
        route: Route,
        payload: &'b [u8],
    ) -> Received<'b> {
        let mut redundant_pt = None;
        let (seq, payload) = if route.rtx {
            // Browsers probe bandwidth with empty retransmissions: nothing to hand out.
            let Some((original, payload)) = payload.split_first_chunk::<OSN_BYTES>() else {
                return Received::Nothing;
            };
            (u16::from_be_bytes(*original), payload)
        } else {
            let section = self.demux.section(route.section);
            let clock_rate = section.map_or(90_000, |section| section.codec.clock_rate());
            self.receptions
                .record(now, header.ssrc, clock_rate, header.seq, header.time);
            redundant_pt = section
                .filter(|section| section.red_pt == Some(header.payload_type))
                .map(|section| section.pt);
            (header.seq, payload)
        };
        let (earlier, payload) = match redundant_pt.map(|pt| red::read(payload, pt)) {
            None => (Earlier::default(), payload),
            Some(Some(apart)) => apart,
            Some(None) => {
                self.counters.malformed += 1;
                return Received::Nothing;
            }
        };
        Received::Rtp(RtpIn {
            track: route.section,
            layer: route.layer,
            retransmitted: route.rtx,
            seq,
            time: header.time,
            marker: header.marker,
            level: tags.level.map(|byte| (AudioLevel(byte & 0x7f), byte & 0x80 != 0)),
            descriptor: tags.descriptor,
            payload,
            earlier,
        })
    }

    fn receive_rtcp<'b>(&mut self, now: Instant, from: SocketAddr, bytes: &'b mut [u8]) -> Received<'b> {
        let Some(keys) = &mut self.keys else {
            self.counters.before_keys += 1;
            return Received::Nothing;
        };
        let len = match keys.opener.open_rtcp(now, bytes) {
            Ok(len) => len,
            Err(error) => return self.refuse(error),
        };
        let moved = self.ice.hear_media(now, from);
        self.note_move(moved);
        let Some(items) = rtcp::parse(&bytes[..len], self.config.limits.max_nacked_per_packet) else {
            self.counters.bad_rtcp += 1;
            return Received::Nothing;
        };
        let facts: Vec<RtcpIn> = items
            .into_iter()
            .filter_map(|item| self.translate(now, item))
            .collect();
        if facts.is_empty() {
            Received::Nothing
        } else {
            Received::Rtcp(facts)
        }
    }

    /// What an item means to the caller; none if it is about a stream nobody knows.
    fn translate(&mut self, now: Instant, item: Item) -> Option<RtcpIn> {
        match item {
            Item::PictureWanted { ssrc } => self
                .downlink_ssrcs
                .contains(&ssrc)
                .then_some(RtcpIn::Pli { ssrc }),
            Item::Missing { ssrc, seqs } => self
                .downlink_ssrcs
                .contains(&ssrc)
                .then_some(RtcpIn::Nack { ssrc, seqs }),
            Item::Arrivals { body } => {
                let arrivals = self.history.acknowledge(&body);
                if arrivals.is_none() {
                    self.counters.bad_rtcp += 1;
                }
                let arrivals = arrivals.filter(|arrivals| !arrivals.packets.is_empty());
                arrivals.map(RtcpIn::Arrivals)
            }
            Item::Received { blocks } => {
                let (mut expected, mut lost) = (0, 0);
                for block in blocks {
                    if self.downlink_sounds.contains(&block.ssrc) {
                        let (more, gone) = self.losses.take(&block);
                        expected += more;
                        lost += gone;
                    }
                }
                (expected > 0).then_some(RtcpIn::Losses { expected, lost })
            }
            Item::SenderReport { ssrc, ntp, rtp_time } => {
                let route = self.demux.known(ssrc).filter(|route| !route.rtx)?;
                self.receptions.record_sender_report(now, ssrc, ntp);
                Some(RtcpIn::SenderReport {
                    track: route.section,
                    layer: route.layer,
                    ntp,
                    rtp_time,
                })
            }
        }
    }

    fn refuse<'b>(&mut self, error: OpenError) -> Received<'b> {
        match error {
            OpenError::Malformed => self.counters.malformed += 1,
            OpenError::Forged => self.counters.forged += 1,
            OpenError::Replayed => self.counters.replayed += 1,
            OpenError::TooManySsrcs => self.counters.ssrcs_refused += 1,
        }
        Received::Nothing
    }

    /// A move before keys concerns nobody: nothing has been sent yet that would have to be repeated.
    fn note_move(&mut self, moved: bool) {
        let told = self.events.back() == Some(&RtcEvent::RemoteMoved);
        if moved && self.keys.is_some() && !told {
            self.events.push_back(RtcEvent::RemoteMoved);
        }
    }
}
