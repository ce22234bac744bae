//! What waits for one connection: a lane for everything that must not wait, and one for pictures.
//!
//! UDP loses what a path does not carry; TCP makes it wait. So that sound stays sound, it overtakes pictures here, and the
//! kernel is given little in advance (`tcp_notsent_lowat`). A full queue drops the oldest picture: what is shown next is
//! worth more than what should have been shown. Whoever misses a packet asks for it again, as over UDP.

use super::counters::{TcpCounters, count};
use super::framing;
use super::limits::TcpLimits;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// What a packet costs beside its bytes: a share of the queue's own memory.
const PACKET_BYTES: usize = 48;

#[derive(Debug, Default)]
struct Waiting {
    others: VecDeque<Box<[u8]>>,
    pictures: VecDeque<(Instant, Box<[u8]>)>,
    bytes: usize,
    /// The shard has let go of the connection.
    is_over: bool,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    filled: Notify,
    limits: TcpLimits,
    counters: Arc<TcpCounters>,
}

/// The shard's end. Dropping it ends the connection.
#[derive(Debug)]
pub struct Sender(Arc<Shared>);

/// The connection's end.
#[derive(Debug)]
pub struct Receiver(Arc<Shared>);

/// Both ends of the lanes of one connection.
#[must_use]
pub fn lanes(limits: TcpLimits, counters: Arc<TcpCounters>) -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        waiting: Mutex::default(),
        filled: Notify::new(),
        limits,
        counters,
    });
    (Sender(shared.clone()), Receiver(shared))
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops pictures that are too old, and then, oldest first, whatever is over the limit.
    fn drop_excess(&self, waiting: &mut Waiting, now: Instant) {
        let too_old = |at: Instant| now.saturating_duration_since(at) > self.limits.queue_time;
        while let Some((at, _)) = waiting.pictures.front()
            && (too_old(*at) || waiting.bytes > self.limits.queue_bytes)
        {
            waiting.pop_picture();
            count(&self.counters.pictures_dropped, 1);
        }
        while waiting.bytes > self.limits.queue_bytes && waiting.pop_other().is_some() {
            count(&self.counters.others_dropped, 1);
        }
    }
}

impl Waiting {
    fn pop_picture(&mut self) -> Option<Box<[u8]>> {
        let (_, packet) = self.pictures.pop_front()?;
        self.bytes -= packet.len() + PACKET_BYTES;
        Some(packet)
    }

    fn pop_other(&mut self) -> Option<Box<[u8]>> {
        let packet = self.others.pop_front()?;
        self.bytes -= packet.len() + PACKET_BYTES;
        Some(packet)
    }
}

impl Sender {
    /// Queues a packet, or several of `segment_bytes` each (the last may be shorter). Never waits; what there is no room for
    /// is dropped and counted. Cost: a lock nobody holds for long, and an allocation a packet.
    pub fn push(&self, now: Instant, bytes: &[u8], segment_bytes: Option<usize>, is_picture: bool) {
        let segment = segment_bytes.unwrap_or(bytes.len()).max(1);
        {
            let mut waiting = self.0.waiting();
            for packet in bytes.chunks(segment) {
                waiting.bytes += packet.len() + PACKET_BYTES;
                if is_picture {
                    waiting.pictures.push_back((now, packet.into()));
                } else {
                    waiting.others.push_back(packet.into());
                }
            }
            self.0.drop_excess(&mut waiting, now);
        }
        self.0.filled.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.waiting().is_over = true;
        self.0.filled.notify_one();
    }
}

impl Receiver {
    /// Waits for packets and writes them framed to `out`, until that holds `most` bytes or nothing waits. False where the
    /// shard has let go of the connection. Safe to cancel.
    pub(super) async fn take(&mut self, most: usize, out: &mut BytesMut) -> bool {
        loop {
            if self.take_waiting(Instant::now(), most, out) {
                return true;
            }
            if self.0.waiting().is_over {
                return false;
            }
            self.0.filled.notified().await;
        }
    }

    fn take_waiting(&mut self, now: Instant, most: usize, out: &mut BytesMut) -> bool {
        let mut waiting = self.0.waiting();
        self.0.drop_excess(&mut waiting, now);
        let before = out.len();
        while out.len() < most
            && let Some(packet) = waiting.pop_other().or_else(|| waiting.pop_picture())
        {
            framing::write(&packet, out);
        }
        out.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    fn bench(queue_bytes: usize) -> (Sender, Receiver, Arc<TcpCounters>, Instant) {
        let counters = Arc::new(TcpCounters::default());
        let limits = TcpLimits {
            queue_bytes,
            ..TcpLimits::default()
        };
        let (sender, receiver) = lanes(limits, counters.clone());
        (sender, receiver, counters, Instant::now())
    }

    /// First bytes of the packets taken.
    fn taken(receiver: &mut Receiver, now: Instant, most: usize) -> Vec<u8> {
        let mut out = BytesMut::new();
        receiver.take_waiting(now, most, &mut out);
        let mut firsts = Vec::new();
        while out.len() > 2 {
            let length = usize::from(u16::from_be_bytes([out[0], out[1]]));
            firsts.push(out[2]);
            let _ = out.split_to(2 + length);
        }
        firsts
    }

    #[test]
    fn everything_else_overtakes_pictures_and_each_lane_keeps_its_order() {
        let (sender, mut receiver, _, now) = bench(100_000);
        sender.push(now, &[[1; 500], [2; 500], [3; 500]].concat(), Some(500), true);
        sender.push(now, &[10; 100], None, false);
        sender.push(now, &[11; 100], None, false);
        assert_eq!(taken(&mut receiver, now, 700), [10, 11, 1]);
        sender.push(now, &[12; 100], None, false);
        assert_eq!(taken(&mut receiver, now, 10_000), [12, 2, 3]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_pictures_and_sound_only_when_there_are_none() {
        let (sender, mut receiver, counters, now) = bench(3 * (1_000 + PACKET_BYTES));
        for n in 1..=5 {
            sender.push(now, &[n; 1_000], None, true);
        }
        sender.push(now, &[10; 1_000], None, false);
        assert_eq!(counters.pictures_dropped.load(Ordering::Relaxed), 3);
        assert_eq!(taken(&mut receiver, now, 10_000), [10, 4, 5]);
        for n in 10..15 {
            sender.push(now, &[n; 1_000], None, false);
        }
        assert_eq!(counters.others_dropped.load(Ordering::Relaxed), 2);
        assert_eq!(taken(&mut receiver, now, 10_000), [12, 13, 14]);
        assert_eq!(receiver.0.waiting().bytes, 0);
    }

    #[test]
    fn old_pictures_are_dropped_whether_something_comes_or_goes() {
        let (sender, mut receiver, counters, now) = bench(100_000);
        sender.push(now, &[1; 100], None, true);
        sender.push(now, &[10; 100], None, false);
        let late = now + TcpLimits::default().queue_time + Duration::from_millis(1);
        sender.push(late, &[2; 100], None, true);
        assert_eq!(counters.pictures_dropped.load(Ordering::Relaxed), 1);
        assert_eq!(taken(&mut receiver, late, 10_000), [10, 2]);
        sender.push(late, &[3; 100], None, true);
        let later = late + Duration::from_secs(1);
        assert!(taken(&mut receiver, later, 10_000).is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_told_of_the_end_after_the_last_packet() {
        let (sender, mut receiver, _, now) = bench(100_000);
        let waiting = tokio::spawn(async move {
            let mut out = BytesMut::new();
            let mut takes = 0;
            while receiver.take(100, &mut out).await {
                takes += 1;
                out.clear();
            }
            takes
        });
        tokio::task::yield_now().await;
        sender.push(now, &[1; 100], None, false);
        sender.push(now, &[2; 100], None, true);
        drop(sender);
        assert_eq!(waiting.await.unwrap(), 2);
    }
}
