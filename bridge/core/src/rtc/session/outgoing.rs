//! What a session sends by itself: checks answered, handshakes, reports and feedback.

use super::Session;
use crate::rtc::dtls::DtlsEndpoint;
use crate::rtc::io::{Downlink, RtcpOut};
use crate::rtc::rtcp;
use relay_proto::room::MediaKind;
use std::net::SocketAddr;
use std::time::Instant;

/// Largest compound RTCP packet before sealing.
const MAX_COMPOUND_BYTES: usize = 1_100;
/// Most sequence numbers in one outgoing NACK packet.
const MAX_NACKED: usize = 250;

impl Session {
    /// Remembers which streams are sent from now on: feedback on others is about nothing.
    pub(super) fn note_downlinks(&mut self, downlinks: &[Downlink]) {
        self.downlink_ssrcs = downlinks.iter().map(|downlink| downlink.ssrc).collect();
        let sounds = downlinks
            .iter()
            .filter(|downlink| downlink.codec.kind() == MediaKind::Audio);
        self.downlink_sounds = sounds.map(|downlink| downlink.ssrc).collect();
        let sounds = &self.downlink_sounds;
        self.losses.keep(|ssrc| sounds.contains(&ssrc));
    }

    /// Queues a datagram; dropped and counted when too many wait.
    pub(super) fn transmit(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        if self.transmits.len() >= self.config.limits.max_queued_datagrams {
            self.counters.transmit_dropped += 1;
            return;
        }
        self.transmits.push_back((to, datagram));
    }

    pub(super) fn drive_handshake_timers(&mut self, now: Instant) {
        self.dtls.handle_timeout(now);
        self.data.handle_timeout(now, &mut self.counters);
        self.pump(now, None);
    }

    pub(super) fn transport_timeout(&self) -> Option<Instant> {
        self.dtls
            .poll_timeout()
            .into_iter()
            .chain(self.data.poll_timeout())
            .min()
    }

    pub(super) fn report_timeout(&self) -> Option<Instant> {
        self.receptions
            .poll_timeout()
            .into_iter()
            .chain(self.twcc.poll_timeout())
            .min()
    }

    /// Writes receiver reports and transport-wide feedback that are due.
    pub(super) fn write_reports(&mut self, now: Instant) {
        for blocks in self.receptions.poll_report(now).chunks(31) {
            let mut compound = Vec::with_capacity(128);
            rtcp::write_receiver_report(&mut compound, self.feedback_ssrc, blocks);
            self.send_compound(compound);
        }
        for body in self.twcc.poll_feedback(now) {
            let mut compound = Vec::with_capacity(body.len() + 64);
            // The feedback is about the transport; the media SSRC only has to be one of the client's.
            let media = self.demux.any_ssrc().unwrap_or(0);
            rtcp::write_twcc(&mut compound, self.feedback_ssrc, media, &body);
            self.send_compound(compound);
        }
    }

    /// Bundles what `send_rtcp` has queued.
    pub(super) fn write_pending_rtcp(&mut self) {
        let mut compound = Vec::new();
        for packet in std::mem::take(&mut self.pending_rtcp) {
            for written in self.write_rtcp(&packet) {
                if compound.len() + written.len() > MAX_COMPOUND_BYTES {
                    self.send_compound(std::mem::take(&mut compound));
                }
                compound.extend_from_slice(&written);
            }
        }
        self.send_compound(compound);
    }

    /// The packets an item takes: one, or several for a NACK of many.
    fn write_rtcp(&self, packet: &RtcpOut) -> Vec<Vec<u8>> {
        let mut out = Vec::with_capacity(32);
        match packet {
            RtcpOut::Pli { ssrc } => rtcp::write_pli(&mut out, self.feedback_ssrc, *ssrc),
            RtcpOut::Nack { ssrc, seqs } => {
                let parts = seqs.chunks(MAX_NACKED).map(|part| {
                    let mut out = Vec::with_capacity(12 + 4 * part.len());
                    rtcp::write_nack(&mut out, self.feedback_ssrc, *ssrc, part);
                    out
                });
                return parts.collect();
            }
            RtcpOut::SenderReport {
                ssrc,
                ntp,
                rtp_time,
                packets,
                bytes,
            } => {
                rtcp::write_sender_report(&mut out, *ssrc, *ntp, *rtp_time, *packets, *bytes);
            }
        }
        vec![out]
    }

    fn send_compound(&mut self, mut compound: Vec<u8>) {
        let (Some(keys), Some(to)) = (&mut self.keys, self.ice.current()) else {
            return;
        };
        if compound.is_empty() {
            return;
        }
        keys.rtcp_sealer.seal(&mut compound);
        self.transmit(to, compound);
    }
}
