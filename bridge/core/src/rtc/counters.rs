//! What a session has refused, by reason. Hostile input is counted here and nowhere else.

/// Counters of one session; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtcCounters {
    /// Datagrams that are no STUN, DTLS, RTP or RTCP at all, or are too short for what they claim.
    pub malformed: u64,
    /// STUN requests with a wrong name, integrity or fingerprint.
    pub stun_refused: u64,
    /// DTLS from an address that has not passed a check.
    pub dtls_unvalidated: u64,
    /// DTLS datagrams that are not made of whole records, or over the handshake's budget.
    pub dtls_refused: u64,
    /// SRTP or SRTCP before keys are installed.
    pub before_keys: u64,
    /// SRTP or SRTCP whose tag is wrong.
    pub forged: u64,
    /// SRTP or SRTCP seen before or too old.
    pub replayed: u64,
    /// New SSRCs refused because the limit is reached.
    pub ssrcs_refused: u64,
    /// Authenticated RTP that belongs to no section.
    pub unroutable: u64,
    /// RTCP that cannot be read.
    pub bad_rtcp: u64,
    /// SCTP packets dropped before an association exists, or by the association.
    pub bad_sctp: u64,
    /// Messages on channels nobody knows, and messages over the size limit.
    pub data_dropped: u64,
    /// Outgoing datagrams dropped because too many waited.
    pub transmit_dropped: u64,
}

impl std::ops::AddAssign for RtcCounters {
    fn add_assign(&mut self, other: Self) {
        // Taken apart, so that none is forgotten.
        let Self {
            malformed,
            stun_refused,
            dtls_unvalidated,
            dtls_refused,
            before_keys,
            forged,
            replayed,
            ssrcs_refused,
            unroutable,
            bad_rtcp,
            bad_sctp,
            data_dropped,
            transmit_dropped,
        } = other;
        self.malformed += malformed;
        self.stun_refused += stun_refused;
        self.dtls_unvalidated += dtls_unvalidated;
        self.dtls_refused += dtls_refused;
        self.before_keys += before_keys;
        self.forged += forged;
        self.replayed += replayed;
        self.ssrcs_refused += ssrcs_refused;
        self.unroutable += unroutable;
        self.bad_rtcp += bad_rtcp;
        self.bad_sctp += bad_sctp;
        self.data_dropped += data_dropped;
        self.transmit_dropped += transmit_dropped;
    }
}
