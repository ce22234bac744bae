//! From the lanes to QUIC, at the pace the link carries.

use super::event::{CloseReason, LinkEvent};
use super::explain::close_reason;
use super::handle::{Shared, lock};
use super::pace::Pace;
use super::transport::SEND_BUFFER_BYTES;
use bytes::Bytes;
use quinn::SendDatagramError;
use relay_proto::control::GoodbyeCause;
use relay_proto::datagram::Header;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often a changed datagram limit is looked for. quinn tells nobody; its own search takes a second or so.
const LIMIT_CHECK: Duration = Duration::from_millis(100);

/// quinn accounts this much per datagram besides its bytes.
const ENTRY_BYTES: usize = 64;

enum Step {
    Send(Bytes),
    Wait(Duration),
    Idle,
}

/// Sends what the lanes hold until the connection ends.
pub(super) async fn pump(link: Arc<Shared>) -> CloseReason {
    let mut pace = Pace::new(link.estimate.clone(), Instant::now());
    loop {
        match next_step(&link, &mut pace) {
            Step::Send(datagram) => {
                if let Err(reason) = send(&link, datagram).await {
                    return reason;
                }
            }
            Step::Wait(time) => {
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = link.lanes_filled.notified() => {}
                }
            }
            Step::Idle => link.lanes_filled.notified().await,
        }
    }
}

fn next_step(link: &Shared, pace: &mut Pace) -> Step {
    let now = Instant::now();
    let mut lanes = link.lanes();
    lanes.expire(now);
    let Some((lane, bytes)) = lanes.next() else {
        return Step::Idle;
    };
    match pace.take(now, lane, bytes) {
        Err(wait) => Step::Wait(wait),
        Ok(()) => lanes.pop().map_or(Step::Idle, Step::Send),
    }
}

async fn send(link: &Shared, datagram: Bytes) -> Result<(), CloseReason> {
    let header = Header::decode(&datagram).ok().map(|(header, _)| header);
    let bytes = datagram.len();
    let room = link.connection.datagram_send_buffer_space();
    debug_assert!(room <= SEND_BUFFER_BYTES);
    let result = if room > bytes + ENTRY_BYTES {
        link.connection.send_datagram(datagram)
    } else {
        // The local socket is full: wait rather than let quinn drop its oldest, which may be audio.
        link.connection.send_datagram_wait(datagram).await
    };
    match result {
        Ok(()) => lock(&link.sent).count(header.as_ref(), bytes),
        Err(SendDatagramError::TooLarge) => {
            link.oversized.fetch_add(1, Ordering::Relaxed);
        }
        Err(SendDatagramError::ConnectionLost(error)) => return Err(close_reason(&error)),
        Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
            return Err(CloseReason::Protocol("the peer takes no datagrams".to_owned()));
        }
    }
    Ok(())
}

/// Reports the largest datagram of the path whenever it has changed, until nobody listens.
pub(super) async fn watch_datagram_limit(link: Arc<Shared>, events: mpsc::Sender<LinkEvent>) -> CloseReason {
    let mut known = 0;
    let mut ticks = tokio::time::interval(LIMIT_CHECK);
    loop {
        ticks.tick().await;
        let bytes = link.connection.max_datagram_size().unwrap_or(0);
        if bytes == known {
            continue;
        }
        known = bytes;
        if events
            .send(LinkEvent::DatagramLimitChanged {
                link: link.link,
                bytes,
            })
            .await
            .is_err()
        {
            return CloseReason::Ours(GoodbyeCause::Stopping);
        }
    }
}
