//! Figures of signalling for the metrics endpoint: relaxed atomics, never labelled by room or participant.

use std::sync::atomic::{AtomicU64, Ordering};

/// One figure that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The figure now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One figure that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the figure.
    pub fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    /// The figure now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// All figures of the signalling of one node.
        #[derive(Debug, Default)]
        pub struct Counters {
            /// Sessions open now.
            pub sessions: Gauge,
            /// Rooms with at least one session here now.
            pub rooms: Gauge,
            $($(#[$doc])* pub $name: Counter,)+
        }

        impl Counters {
            /// Every counter with its name, in a fixed order.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.value()),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Sessions opened since the start.
    sessions_opened,
    /// Clients refused because of their token.
    refused_token,
    /// Clients refused because their join request could not be read.
    refused_join_request,
    /// Clients refused because a limit was reached.
    refused_limit,
    /// Sessions that went on over a new connection.
    resumed,
    /// Sessions that waited for a new connection in vain.
    resume_waited_in_vain,
    /// Reliable messages dropped because they had come before a resume.
    data_repeated,
    /// Resumes refused with the order to connect anew.
    refused_resume,
    /// Frames that could not be decoded.
    malformed_frames,
    /// Requests refused or ignored because a rule or limit forbids them.
    refused_requests,
    /// Sessions closed because the client did not read.
    closed_slow,
    /// Sessions closed because the client fell silent.
    closed_idle,
    /// Sessions closed because the client broke the rules too often.
    closed_abuse,
    /// Data messages passed on.
    data_forwarded,
    /// Data messages dropped: malformed, too big, not permitted, or the bridge was behind.
    data_dropped,
    /// Sessions whose client was sent to another node because this one drains.
    moved,
    /// Sessions whose media was opened on a nearer node.
    steered,
    /// People of another node's room that were not taken in: it tells of more than a room may have.
    steered_refused,
    /// Clients that came while this node drains and were sent on.
    sent_on,
    /// Join API calls answered with a node.
    joins_assigned,
    /// Join API calls refused.
    joins_refused,
}
