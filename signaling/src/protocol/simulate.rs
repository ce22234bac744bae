//! Faults that clients ask for in tests.

use livekit_protocol as proto;
use proto::simulate_scenario::Scenario as Wanted;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The client hears that it speaks, for so many seconds.
    Speaking {
        /// How long.
        seconds: u32,
    },
    /// Connection and session are gone without a word.
    NodeFailure,
    /// The server sends the client away for good.
    ServerLeave,
    /// The server sends the client to join anew.
    FullReconnect,
    /// The next connection that goes on with the session is closed.
    DisconnectOnResume {
        /// Before anything is said on it.
        without_messages: bool,
    },
    /// One that is not served.
    Other(&'static str),
}

pub(super) fn scenario_of(wanted: Wanted) -> Scenario {
    match wanted {
        Wanted::SpeakerUpdate(seconds) => Scenario::Speaking {
            seconds: u32::try_from(seconds).unwrap_or_default(),
        },
        // A session that moves to another node ends here as on a node that fails; the client joins anew.
        Wanted::NodeFailure(_) | Wanted::Migration(_) => Scenario::NodeFailure,
        Wanted::ServerLeave(_) => Scenario::ServerLeave,
        Wanted::LeaveRequestFullReconnect(_) => Scenario::FullReconnect,
        Wanted::DisconnectSignalOnResume(_) => Scenario::DisconnectOnResume {
            without_messages: false,
        },
        Wanted::DisconnectSignalOnResumeNoMessages(_) => Scenario::DisconnectOnResume {
            without_messages: true,
        },
        Wanted::SwitchCandidateProtocol(_) => Scenario::Other("switching the transport of media"),
        Wanted::SubscriberBandwidth(_) => Scenario::Other("limiting the bandwidth of viewers"),
    }
}
