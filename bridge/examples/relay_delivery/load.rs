//! The offered load, the emulated path, and what arrives of it.

use crate::AnyError;
use bytes::Bytes;
use loadtest::wan::{BitRate, LinkProperties, Loss, Probability, Wan, WanConfig};
use relay_proto::datagram::{HEADER_BYTES, Header};
use relay_proto::id::{Layer, NodeId, TrackAlias};
use relay_proto::unit::{MediaSeq, RtpTime};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) const ONE_WAY: Duration = Duration::from_millis(38);
/// One burst of video per tick: 4,000 datagrams a second.
const TICK: Duration = Duration::from_millis(2);
const BURST: u32 = 8;
const VIDEO_BYTES: usize = 1_100;
const AUDIO_BYTES: usize = 180;
/// Audio in every second tick would be 250 a second; every 5 ms is 200.
const AUDIO_EVERY: Duration = Duration::from_millis(5);

/// One measurement.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    pub(crate) loss: f64,
    /// Bits per second both ways; none for a path that is never full.
    pub(crate) rate_bps: Option<u64>,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

impl Path {
    /// The emulated path from the dialling side to `target`, with loss both ways.
    pub(crate) fn start(&self, target: SocketAddr) -> Result<(Wan, SocketAddr), AnyError> {
        let SocketAddr::V4(target) = target else {
            return Err("an IPv4 address is needed".into());
        };
        let properties = LinkProperties {
            delay: ONE_WAY,
            loss: Loss::Uniform(Probability::new(self.loss)?),
            rate: self.rate_bps.and_then(BitRate::from_bps),
            ..LinkProperties::default()
        };
        let mut config = WanConfig::dialled(("near", "far"), target, properties.clone(), properties);
        config.seed = self.seed;
        let wan = Wan::start(&config, None)?;
        let entry: SocketAddrV4 = wan
            .listen_addr("near", "far")
            .ok_or("the emulator has no entry")?;
        Ok((wan, entry.into()))
    }
}

/// Sends the load through `send` on this thread; returns what was sent as (video, audio).
pub(crate) fn offer(path: Path, epoch: Instant, mut send: impl FnMut(bool, Bytes)) -> (u32, u32) {
    let start = Instant::now();
    let (mut video, mut audio, mut ticks) = (0, 0, 0);
    while start.elapsed() < path.time {
        for _ in 0..BURST {
            send(false, datagram(epoch, video, false));
            video += 1;
        }
        if start.elapsed() >= AUDIO_EVERY * audio {
            send(true, datagram(epoch, audio, true));
            audio += 1;
        }
        ticks += 1;
        std::thread::sleep((start + TICK * ticks).saturating_duration_since(Instant::now()));
    }
    (video, audio)
}

fn datagram(epoch: Instant, seq: u32, audio: bool) -> Bytes {
    let track = TrackAlias(u32::from(audio));
    let mut header = Header::media(NodeId::of("near"), track, Layer(0), MediaSeq(seq), RtpTime(0));
    header.audio = audio;
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&(epoch.elapsed().as_nanos() as u64).to_be_bytes());
    bytes.resize(if audio { AUDIO_BYTES } else { VIDEO_BYTES }, 0);
    Bytes::from(bytes)
}

/// One-way delays of what has arrived.
pub(crate) struct Arrivals {
    epoch: Instant,
    delays: Mutex<(Vec<Duration>, Vec<Duration>)>,
}

impl Arrivals {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            delays: Mutex::default(),
        }
    }

    /// Takes note of a datagram that arrives now; others than ours are ignored.
    pub(crate) fn note(&self, bytes: &[u8]) {
        let Ok((header, body)) = Header::decode(bytes) else {
            return;
        };
        let Some(stamp) = body.first_chunk() else {
            return;
        };
        let sent = Duration::from_nanos(u64::from_be_bytes(*stamp));
        let delay = self.epoch.elapsed().saturating_sub(sent);
        debug_assert!(bytes.len() >= HEADER_BYTES);
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        if header.audio {
            delays.1.push(delay)
        } else {
            delays.0.push(delay)
        }
    }

    pub(crate) fn measured(&self, (video, audio): (u32, u32)) -> Measured {
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        Measured {
            video: Stream::of(video, &mut delays.0),
            audio: Stream::of(audio, &mut delays.1),
        }
    }
}

pub(crate) struct Measured {
    pub(crate) video: Stream,
    pub(crate) audio: Stream,
}

impl Measured {
    /// Whether one in a hundred datagrams came more than a tenth later than the path delays it.
    pub(crate) fn is_late(&self) -> bool {
        self.video.p99_ms > ONE_WAY.as_secs_f64() * 1e3 * 1.1
    }
}

/// What became of one kind of datagrams.
pub(crate) struct Stream {
    pub(crate) delivered: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Stream {
    fn of(sent: u32, delays: &mut [Duration]) -> Self {
        delays.sort_unstable();
        let at = |share: f64| {
            let index = (delays.len() as f64 * share) as usize;
            delays
                .get(index.min(delays.len().saturating_sub(1)))
                .map_or(f64::NAN, |d| d.as_secs_f64() * 1e3)
        };
        Self {
            delivered: delays.len() as f64 / f64::from(sent),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        }
    }
}
