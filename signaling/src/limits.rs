//! Everything that can grow has a limit with a name here, and the counting that enforces the limits on connections.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Limits of signalling. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame a client may send. (A request line is limited to 65,534 bytes by the HTTP library.)
    pub frame_bytes: usize,
    /// Largest join request after decompression.
    pub join_request_bytes: usize,
    /// Largest session description.
    pub sdp_bytes: usize,
    /// Frames per second a client may send on average.
    pub frames_per_second: u32,
    /// Frames a client may send at once.
    pub frame_burst: u32,
    /// Offers per second a client may make on average. Each costs a media thread some 50 us per section.
    pub offers_per_second: u32,
    /// Offers a client may make at once.
    pub offer_burst: u32,
    /// Malformed frames after which a session is closed.
    pub malformed_frames: u32,
    /// Rejected offers in a row after which a session is closed.
    pub rejected_offers: u32,
    /// Longest display name.
    pub name_bytes: usize,
    /// Longest metadata.
    pub metadata_bytes: usize,
    /// All attributes of a participant together, keys and values.
    pub attributes_bytes: usize,
    /// Participants of one room on all nodes, as another node tells of them.
    pub participants_per_room: usize,
    /// Number of attributes.
    pub attributes: usize,
    /// People named when a participant says who may receive its tracks.
    pub audience_grants: usize,
    /// All names in that, in bytes.
    pub audience_bytes: usize,
    /// Tracks a participant may have announced at once.
    pub tracks_per_participant: usize,
    /// Tracks named in one request.
    pub tracks_per_request: usize,
    /// Largest data message.
    pub data_bytes: usize,
    /// Recipients named in one data message.
    pub data_recipients: usize,
    /// Frames queued for a client that does not read; one more closes it.
    pub send_queue_frames: usize,
    /// Sessions of one address (IPv6: of one /64).
    pub sessions_per_address: usize,
    /// Sessions of the node.
    pub sessions: usize,
    /// Sessions of the node that are still opening: nothing has been said to the client.
    pub pending_sessions: usize,
    /// Body of a join API call.
    pub join_body_bytes: usize,
    /// How long a session whose connection is lost waits for another one.
    pub resume_grace: Duration,
    /// Sessions that wait so at once; further ones end with their connection.
    pub waiting_sessions: usize,
    /// Participants who have left a room that are remembered for those who wait.
    pub departures_remembered: usize,
    /// People a draining node sends away at once; more where the time is too short for that.
    pub drain_batch: usize,
    /// Pause between two such batches; shorter where the time is too short for it.
    pub drain_pause: Duration,
    /// In how much time those are sent away who come back to the address they know, whoever answers there: they are out
    /// of the meeting until this node has gone.
    pub drain_tail: Duration,
    /// How long whoever was sent away is still there, to come in elsewhere first.
    pub move_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 512 * 1024,
            join_request_bytes: 1024 * 1024,
            sdp_bytes: 256 * 1024,
            frames_per_second: 50,
            frame_burst: 500,
            offers_per_second: 10,
            offer_burst: 100,
            malformed_frames: 10,
            rejected_offers: 5,
            name_bytes: 256,
            metadata_bytes: 32 * 1024,
            attributes_bytes: 32 * 1024,
            participants_per_room: 4_096,
            attributes: 64,
            audience_grants: 1_000,
            audience_bytes: 64 * 1024,
            tracks_per_participant: 32,
            tracks_per_request: 1_000,
            data_bytes: 66 * 1024,
            data_recipients: 1_000,
            send_queue_frames: 512,
            sessions_per_address: 1_000,
            sessions: 10_000,
            pending_sessions: 1_000,
            join_body_bytes: 32 * 1024,
            resume_grace: Duration::from_secs(15),
            waiting_sessions: 2_000,
            departures_remembered: 256,
            drain_batch: 1,
            drain_pause: Duration::from_secs(1),
            drain_tail: Duration::from_secs(10),
            move_grace: Duration::from_secs(5),
        }
    }
}

/// A first answer must come within this time: clients give up after 5 s.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a client is to ping, seconds.
pub const PING_INTERVAL_S: u16 = 5;
/// Silence after which a client takes the connection for lost, seconds.
pub const PING_TIMEOUT_S: u16 = 15;
/// Silence after which the node takes the client for lost: the ping timeout and a margin for the way.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(PING_TIMEOUT_S as u64 + 5);
/// How long requirements of media sections are gathered before they are sent: each costs the client a new offer. Short: the
/// bridge gathers what changes before it says so.
pub const SECTIONS_DEBOUNCE: Duration = Duration::from_millis(10);
/// A token that ends sooner than this is replaced: time enough for a client to come back with it.
pub const TOKEN_REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long a replaced token is valid: twice that.
pub const TOKEN_REFRESH_TTL: Duration = Duration::from_secs(10 * 60);
/// A frame must leave within this time, or the client counts as not reading.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket that lets through `burst` at once and `rate` per second on average.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate_per_s: f64,
    burst: f64,
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// Starts full.
    #[must_use]
    pub fn new(rate_per_s: u32, burst: u32, now: Instant) -> Self {
        Self {
            rate_per_s: f64::from(rate_per_s),
            burst: f64::from(burst),
            tokens: f64::from(burst),
            filled_at: now,
        }
    }

    /// Takes one token; `false` when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = passed.mul_add(self.rate_per_s, self.tokens).min(self.burst);
        self.filled_at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// Which limit keeps a client out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Crowded {
    /// This address has too many sessions.
    #[error("too many sessions from this address; close some and try again")]
    Address,
    /// The node has too many sessions.
    #[error("this node is full; join again to be sent to another one")]
    Node,
    /// Too many sessions are being opened.
    #[error("too many people are joining at this moment; try again in a few seconds")]
    Pending,
}

/// Counts the sessions per address, and those still opening.
#[derive(Debug, Default)]
pub struct Admission {
    by_address: BTreeMap<IpAddr, usize>,
    sessions: usize,
    pending: usize,
}

impl Admission {
    /// Counts a session that is about to open.
    ///
    /// # Errors
    /// [`Crowded`] names the limit that is reached; nothing is counted then.
    pub fn enter(&mut self, address: IpAddr, limits: &Limits) -> Result<(), Crowded> {
        if self.sessions >= limits.sessions {
            return Err(Crowded::Node);
        }
        if self.pending >= limits.pending_sessions {
            return Err(Crowded::Pending);
        }
        let of_address = self.by_address.entry(counted_as(address)).or_default();
        if *of_address >= limits.sessions_per_address {
            return Err(Crowded::Address);
        }
        *of_address += 1;
        self.sessions += 1;
        self.pending += 1;
        Ok(())
    }

    /// Notes that a counted session is open.
    pub const fn opened(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    /// Forgets a counted session; `was_pending` when it never opened.
    pub fn left(&mut self, address: IpAddr, was_pending: bool) {
        let key = counted_as(address);
        if let Some(of_address) = self.by_address.get_mut(&key) {
            *of_address -= 1;
            if *of_address == 0 {
                self.by_address.remove(&key);
            }
        }
        self.sessions = self.sessions.saturating_sub(1);
        if was_pending {
            self.opened();
        }
    }

    /// Sessions counted now.
    #[must_use]
    pub const fn sessions(&self) -> usize {
        self.sessions
    }
}

/// One household has a whole IPv6 /64: that is what counts as an address.
#[must_use]
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
