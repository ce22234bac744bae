//! Why a node stands where it stands: machine-readable, and as a sentence for logs and people.

use std::fmt;

/// One reason for the position of a node in a [`Ranking`](super::Ranking).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The request, or the operator for the client's network, asked for this node or its region.
    Asked,
    /// Distance and the round trip predicted from it.
    Distance {
        /// Great circle, kilometres.
        distance_km: f64,
        /// Predicted round trip, milliseconds.
        predicted_rtt_ms: f64,
    },
    /// The client's place is unknown, so distance says nothing.
    PlaceUnknown,
    /// The client measured this node.
    Measured {
        /// What it measured, milliseconds.
        rtt_ms: f64,
        /// Blend of prediction and measurement that was used, milliseconds.
        used_rtt_ms: f64,
    },
    /// The room is already on this node.
    HostsRoom {
        /// Participants of the room here.
        participants: u32,
    },
    /// Others of the room are on other nodes.
    OthersAway {
        /// Participants elsewhere.
        participants: u32,
        /// Mean round trip from this node to theirs, milliseconds.
        mean_rtt_ms: f64,
    },
    /// The room exists, but not here: choosing this node splits it further.
    SplitsRoom {
        /// What had to be gained, milliseconds.
        split_gain_ms: f64,
    },
    /// Load of the node.
    Load {
        /// 0 to 1, reservations included.
        load: f32,
        /// What it cost in the ranking, milliseconds.
        cost_ms: f64,
    },
}

/// Why a node cannot be chosen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Exclusion {
    /// It is going down in an orderly way.
    Draining,
    /// It stopped answering a moment ago.
    Suspect,
    /// It is down.
    Dead,
    /// Its load is at or above the limit.
    Full {
        /// 0 to 1, reservations included.
        load: f32,
    },
    /// The client could not reach it.
    Unreachable,
    /// A residency rule forbids it.
    Residency {
        /// The rule in words.
        rule: String,
    },
    /// Another candidate has the same name.
    DuplicateName,
}

impl Reason {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Distance { .. } => "distance",
            Self::PlaceUnknown => "place_unknown",
            Self::Measured { .. } => "measured",
            Self::HostsRoom { .. } => "hosts_room",
            Self::OthersAway { .. } => "others_away",
            Self::SplitsRoom { .. } => "splits_room",
            Self::Load { .. } => "load",
        }
    }
}

impl Exclusion {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Suspect => "suspect",
            Self::Dead => "dead",
            Self::Full { .. } => "full",
            Self::Unreachable => "unreachable",
            Self::Residency { .. } => "residency",
            Self::DuplicateName => "duplicate_name",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked for"),
            Self::Distance {
                distance_km,
                predicted_rtt_ms,
            } => {
                write!(
                    f,
                    "about {distance_km:.0} km away, round trip about {predicted_rtt_ms:.0} ms"
                )
            }
            Self::PlaceUnknown => f.write_str("your place is unknown, so distance was not considered"),
            Self::Measured { rtt_ms, used_rtt_ms } => {
                write!(
                    f,
                    "round trip measured as {rtt_ms:.0} ms, counted as {used_rtt_ms:.0} ms"
                )
            }
            Self::HostsRoom { participants: 1 } => f.write_str("one participant of the room is here"),
            Self::HostsRoom { participants } => write!(f, "{participants} participants of the room are here"),
            Self::OthersAway {
                participants: 1,
                mean_rtt_ms,
            } => {
                write!(f, "one participant is {mean_rtt_ms:.0} ms from here")
            }
            Self::OthersAway {
                participants,
                mean_rtt_ms,
            } => {
                write!(
                    f,
                    "{participants} participants are on average {mean_rtt_ms:.0} ms from here"
                )
            }
            Self::SplitsRoom { split_gain_ms } => {
                write!(
                    f,
                    "the room is not here yet, which had to gain {split_gain_ms:.0} ms"
                )
            }
            Self::Load { load, cost_ms } => {
                write!(f, "{:.0} % loaded, counted as {cost_ms:.0} ms", load * 100.0)
            }
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining => f.write_str("is draining"),
            Self::Suspect => f.write_str("has stopped answering"),
            Self::Dead => f.write_str("is down"),
            Self::Full { load } => write!(f, "is full ({:.0} % loaded)", load * 100.0),
            Self::Unreachable => f.write_str("could not be reached by the client"),
            Self::Residency { rule } => write!(f, "is forbidden by the residency rule: {rule}"),
            Self::DuplicateName => f.write_str("has the same name as another node"),
        }
    }
}
