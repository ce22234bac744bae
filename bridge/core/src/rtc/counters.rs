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
