//! How a publisher's media time stands to its wall clock.

use relay_proto::unit::RtpTime;

/// A publisher's relation of media time to its wall clock, from a sender report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// 64-bit NTP time.
    pub ntp: u64,
    /// RTP time at that moment.
    pub time: RtpTime,
}

impl Clock {
    /// RTP time at another NTP time, for a clock of `rate` Hz.
    #[must_use]
    pub fn time_at(&self, ntp: u64, rate: u32) -> u32 {
        let elapsed = i128::from(ntp.wrapping_sub(self.ntp) as i64);
        let ticks = (elapsed * i128::from(rate)) >> 32;
        self.time.0.wrapping_add(ticks as u32)
    }
}
