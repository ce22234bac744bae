//! The estimator of the `webrtc` family on our links.

use super::path::Subject;
use crate::bandwidth::{Arrivals, BandwidthEstimator};
use relay_proto::unit::Bitrate;
use rtc_interceptor::{BandwidthEstimator as _, Gcc, PacketReport as TheirReport};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Theirs {
    gcc: Gcc,
    number: u64,
}

impl BandwidthEstimator for Theirs {
    fn on_reports(&mut self, now: Instant, arrivals: &Arrivals) {
        let packets = arrivals.packets.iter();
        let reports: Vec<TheirReport> = packets
            .map(|report| {
                self.number += 1;
                TheirReport {
                    ssrc: 1,
                    id: self.number,
                    rtp_sequence_number: self.number as u16,
                    is_twcc: true,
                    twcc_sequence_number: self.number as u16,
                    size: report.bytes as usize,
                    arrived: report.arrived_us.is_some(),
                    departure: arrivals.sent(report),
                    arrival: report.arrived_us.map(|at| Duration::from_micros(at as u64)),
                    ecn: Default::default(),
                }
            })
            .collect();
        self.gcc.on_reports(now, &reports);
    }

    fn estimate(&self) -> Bitrate {
        Bitrate(self.gcc.target_bitrate() as u64)
    }
}

impl Subject for Theirs {
    fn padding(&mut self, _: Instant, _: Bitrate, _: crate::bandwidth::SentBytes) -> Option<usize> {
        None
    }
}
