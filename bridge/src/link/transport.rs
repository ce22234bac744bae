//! quinn's knobs, each with its reason.

use super::congestion::RateControllerFactory;
use super::estimate::{LinkEstimate, RateLimits};
use quinn::{AckFrequencyConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

/// Every path on the internet carries this (RFC 9000, 14).
pub const SMALLEST_MTU: u16 = 1_200;
/// UDP payload of an Ethernet path over IPv6 without fragmentation: 1,500 - 48.
pub const LARGEST_MTU: u16 = 1_452;

/// Datagrams handed to quinn and not yet sent, in bytes. quinn drops the oldest beyond it without a word, so the
/// pump never goes beyond it; the queue that matters is our lanes, which know audio from video.
pub const SEND_BUFFER_BYTES: usize = 128 << 10;

/// Datagrams that wait for our reader task: 60 ms of 140 Mbit/s.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Largest unread part of the control stream; a frame is at most 1 MiB.
const CONTROL_WINDOW: u32 = 2 << 20;

/// Reclaims what a dead peer leaves behind. Death is noticed by the mesh's pings long before.
const IDLE_TIMEOUT_MS: u32 = 10_000;

/// Acknowledge several bursts of video as one, but not later than this: a node in between is woken for each acknowledgement. The
/// estimator takes the smallest round trip of a round, which this does not blur.
const ACK_EVERY: u32 = 100;
const ACK_DELAY: Duration = Duration::from_millis(10);

/// Transport settings for one connection that reports to `estimate`.
///
/// `initial_mtu` is the UDP payload believed to pass (a known path), within [`SMALLEST_MTU`] and [`LARGEST_MTU`];
/// quinn searches upwards from there and falls back on a black hole.
#[must_use]
pub fn transport(estimate: &Arc<LinkEstimate>, limits: RateLimits, initial_mtu: u16) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(LARGEST_MTU);
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_EVERY))
        .max_ack_delay(Some(ACK_DELAY));
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(RateControllerFactory {
            estimate: estimate.clone(),
            limits,
        }))
        .initial_mtu(initial_mtu.clamp(SMALLEST_MTU, LARGEST_MTU))
        .mtu_discovery_config(Some(mtu))
        .ack_frequency_config(Some(acks))
        .datagram_send_buffer_size(SEND_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER_BYTES))
        // Liveness is ours (pings of the mesh), so no keep-alive; they also keep a quiet link from timing out.
        .keep_alive_interval(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        // One control stream each way and nothing else.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .stream_receive_window(VarInt::from_u32(CONTROL_WINDOW))
        .receive_window(VarInt::from_u32(CONTROL_WINDOW))
        .send_window(u64::from(CONTROL_WINDOW));
    transport
}
