//! Figures of the directory outside of the mesh.

use super::{counter, gauge};
use crate::directory::Desk;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, desk: &Desk) -> fmt::Result {
    let counters = desk.counters();
    let connected = counters.connected.load(Ordering::Relaxed);
    gauge(
        encoder,
        "directory_connected",
        "whether the room directory is reached",
        f64::from(u8::from(connected)),
    )?;
    gauge(
        encoder,
        "directory_watched_rooms",
        "rooms followed there now",
        desk.watched() as f64,
    )?;
    gauge(
        encoder,
        "directory_lag_seconds",
        "age of the oldest word of this node that it does not hold yet",
        desk.lag(Instant::now()).as_secs_f64(),
    )?;
    let figures = [
        (
            "directory_errors",
            "calls that failed and connections lost",
            &counters.errors,
        ),
        ("directory_published", "entries written", &counters.published),
        ("directory_heard", "changes of others heard", &counters.heard),
        (
            "directory_garbage",
            "keys and values there that no node has written",
            &counters.garbage,
        ),
        (
            "directory_unanswered",
            "joins placed without its answer",
            &counters.unanswered,
        ),
    ];
    for (name, help, figure) in figures {
        counter(encoder, name, help, figure.load(Ordering::Relaxed))?;
    }
    Ok(())
}
