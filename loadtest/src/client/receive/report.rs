//! What a receiver says back: receiver reports, requests for packets and keyframes, transport-wide feedback.

use std::time::{Duration, Instant};

use rtc_rtcp::Packet as RtcpPacket;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};

use super::stream::{Stream, StreamCounters};
use super::{PLI_INTERVAL, Receiver};
use crate::client::rtp::Header;
use crate::trace::Codec;

/// How often receiver reports are due (RFC 3550 section 6.2; browsers: about once a second).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Blocks in one report (RFC 3550 section 6.4.2).
const MOST_BLOCKS: usize = 31;
/// Streams reported on, in turn of their SSRC; a client with more is not one a browser could be.
const MOST_REPORTED: usize = 10 * MOST_BLOCKS;

/// Jitter and the newest sender report of a stream (RFC 3550 section 6.4.1).
#[derive(Debug, Default)]
pub(super) struct Reception {
    /// Smoothed, in units of the RTP clock.
    jitter: f64,
    previous: Option<(Instant, u32)>,
    sender_report: Option<(u32, Instant)>,
    reported: (u64, u64),
}

impl Reception {
    pub(super) fn note(&mut self, now: Instant, header: &Header, codec: Codec) {
        if let Some((then, time)) = self.previous {
            let rate = f64::from(codec.clock_rate_hz());
            let apart = now.saturating_duration_since(then).as_secs_f64() * rate;
            let sent_apart = f64::from(header.time.wrapping_sub(time) as i32);
            self.jitter += ((apart - sent_apart).abs() - self.jitter) / 16.0;
        }
        self.previous = Some((now, header.time));
    }

    fn block(&mut self, now: Instant, ssrc: u32, stream: &Stream) -> Option<ReceptionReport> {
        let highest = stream.highest()?;
        let counters = &stream.counters;
        let (expected, received) = (
            counters.expected.saturating_sub(self.reported.0),
            counters.received.saturating_sub(self.reported.1),
        );
        self.reported = (counters.expected, counters.received);
        let lost = expected.saturating_sub(received);
        let (last_sender_report, delay) = self.sender_report.map_or((0, 0), |(middle, at)| {
            let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
            (middle, delay as u32)
        });
        Some(ReceptionReport {
            ssrc,
            fraction_lost: ((lost * 256) / expected.max(1)).min(255) as u8,
            total_lost: counters.expected.saturating_sub(counters.received).min(0x7f_ffff) as u32,
            last_sequence_number: highest as u32,
            jitter: self.jitter as u32,
            last_sender_report,
            delay,
        })
    }
}

impl StreamCounters {
    /// Adds another stream's counters.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.lost_before_repair += other.lost_before_repair;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.bytes += other.bytes;
        self.forged += other.forged;
    }
}

impl Receiver {
    /// Remembers a sender report, which receiver reports refer to.
    pub(in crate::client) fn handle_sender_report(&mut self, now: Instant, report: &SenderReport) {
        if let Some(incoming) = self.streams.get_mut(&report.ssrc) {
            incoming.reception.sender_report = Some(((report.ntp_time >> 16) as u32, now));
        }
    }

    /// Everything that has to be said now.
    pub(in crate::client) fn handle_timeout(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
    ) -> Vec<Box<dyn RtcpPacket>> {
        let mut packets: Vec<Box<dyn RtcpPacket>> = Vec::new();
        for ssrc in self.troubled.iter().copied().collect::<Vec<_>>() {
            self.advance(now, ssrc);
            self.request(now, ssrc, round_trip, &mut packets);
        }
        if let Some(feedback) = self.arrivals.poll_feedback(
            now,
            self.feedback_ssrc,
            self.streams.keys().next().copied().unwrap_or(0),
        ) {
            packets.push(Box::new(feedback));
        }
        self.report(now, &mut packets);
        packets
    }

    fn request(
        &mut self,
        now: Instant,
        ssrc: u32,
        round_trip: Option<Duration>,
        packets: &mut Vec<Box<dyn RtcpPacket>>,
    ) {
        let Some(incoming) = self.streams.get_mut(&ssrc) else {
            return;
        };
        let wanted = incoming.stream.poll_nacks(now, round_trip);
        if !wanted.is_empty() {
            self.counters.nacks += wanted.len() as u64;
            packets.push(Box::new(TransportLayerNack {
                sender_ssrc: self.feedback_ssrc,
                media_ssrc: ssrc,
                nacks: nack_pairs_from_sequence_numbers(&wanted),
            }));
        }
        if incoming.next_pli.is_some_and(|at| at <= now) {
            incoming.next_pli = Some(now + PLI_INTERVAL);
            self.counters.plis += 1;
            packets.push(Box::new(PictureLossIndication {
                sender_ssrc: self.feedback_ssrc,
                media_ssrc: ssrc,
            }));
        }
    }

    fn report(&mut self, now: Instant, packets: &mut Vec<Box<dyn RtcpPacket>>) {
        if self.next_report.is_some_and(|at| at > now) || self.streams.is_empty() {
            return;
        }
        self.next_report = Some(now + REPORT_INTERVAL);
        let blocks: Vec<ReceptionReport> = self
            .streams
            .iter_mut()
            .take(MOST_REPORTED)
            .filter_map(|(ssrc, incoming)| incoming.reception.block(now, *ssrc, &incoming.stream))
            .collect();
        for part in blocks.chunks(MOST_BLOCKS) {
            packets.push(Box::new(ReceiverReport {
                ssrc: self.feedback_ssrc,
                reports: part.to_vec(),
                ..Default::default()
            }));
        }
    }
}
