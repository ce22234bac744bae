//! Transport-wide congestion control (draft-holmer-rmcat-transport-wide-cc-extensions-01), both directions:
//! [`recorder`] tells a publisher when its packets came; [`history`] numbers what we send and reads what a viewer
//! tells of it, from the body that [`feedback`] parses.
//!
//! What may not live here: what the arrivals mean (see [`crate::bandwidth`]).

mod feedback;
mod history;
mod recorder;

pub(crate) use history::SendHistory;
pub(crate) use recorder::TwccRecorder;

/// One unit of a receive delta.
const DELTA_UNIT_US: i64 = 250;
/// One unit of the reference time.
const REFERENCE_UNIT_US: i64 = 64_000;
