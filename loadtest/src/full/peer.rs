//! A `PeerConnection` that looks on: sections to receive on, offers and answers, and the stamps of what comes.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::watch;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
    RTCSessionDescription, Registry, SettingEngineBuilder, StatsSelector, register_default_interceptors,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use webrtc::runtime::TokioRuntime;

use super::figures::Tally;
use super::{ClientFailure, ControlFigures, ControlKind};
use crate::trace::Stamp;

/// A receiving connection with its figures.
pub(super) struct Peer {
    connection: Box<dyn PeerConnection>,
    tally: Arc<Mutex<Tally>>,
    state: watch::Receiver<RTCPeerConnectionState>,
    /// Packets received and lost before the figures began.
    before: (u64, i64),
}

struct Watcher {
    tally: Arc<Mutex<Tally>>,
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait]
impl PeerConnectionEventHandler for Watcher {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let tally = Arc::clone(&self.tally);
        // Ends with the track, and that with the connection.
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event
                    && let Some(stamp) = Stamp::read(&packet.payload)
                {
                    lock(&tally).note(stamp, unix_ns());
                }
            }
        });
    }
}

impl Peer {
    /// A connection with so many sections for sound and as many for pictures, on the interface that leads to `server`.
    pub(super) async fn new(server: SocketAddr, sections: usize) -> Result<Self, ClientFailure> {
        let tally = Arc::default();
        let (sender, state) = watch::channel(RTCPeerConnectionState::New);
        let watcher = Watcher {
            tally: Arc::clone(&tally),
            state: sender,
        };
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        // Servers have addresses, not names of the local network.
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .build();
        let connection = PeerConnectionBuilder::new()
            .with_setting_engine(settings)
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(watcher))
            .with_runtime(Arc::new(TokioRuntime))
            .with_udp_addrs(vec![SocketAddr::new(local_to(server)?, 0)])
            .build()
            .await?;
        let peer = Self {
            connection: Box::new(connection),
            tally,
            state,
            before: (0, 0),
        };
        peer.add_sections(sections, sections).await?;
        Ok(peer)
    }

    /// Adds sections to receive on; the next offer has them.
    pub(super) async fn add_sections(&self, audios: usize, videos: usize) -> Result<(), ClientFailure> {
        let kinds = [(RtpCodecKind::Audio, audios), (RtpCodecKind::Video, videos)];
        for (kind, count) in kinds {
            for _ in 0..count {
                let init = RTCRtpTransceiverInit {
                    direction: RTCRtpTransceiverDirection::Recvonly,
                    ..Default::default()
                };
                self.connection
                    .add_transceiver_from_kind(kind, Some(init))
                    .await?;
            }
        }
        Ok(())
    }

    /// The next offer. It names no candidates: the server learns our address from our checks.
    pub(super) async fn offer(&self) -> Result<String, ClientFailure> {
        let offer = self.connection.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Takes the answer to it.
    pub(super) async fn take_answer(&self, sdp: String) -> Result<(), ClientFailure> {
        let answer = RTCSessionDescription::answer(sdp)?;
        Ok(self.connection.set_remote_description(answer).await?)
    }

    /// Waits for the next state of the connection.
    pub(super) async fn next_state(&mut self) -> RTCPeerConnectionState {
        // The other end lives in the connection, which we own.
        let _ = self.state.changed().await;
        *self.state.borrow_and_update()
    }

    /// Forgets what came so far.
    pub(super) async fn restart(&mut self) {
        self.before = self.packets().await;
        *lock(&self.tally) = Tally::default();
    }

    /// What came since.
    pub(super) async fn figures(&self, id: u32) -> ControlFigures {
        let (received, lost) = self.packets().await;
        ControlFigures {
            kind: ControlKind::Full,
            id,
            received: received.saturating_sub(self.before.0),
            lost: lost - self.before.1,
            legs: lock(&self.tally).legs(),
        }
    }

    pub(super) async fn close(&self) {
        // It is over either way.
        let _ = self.connection.close().await;
    }

    /// Packets received and lost for good, by the library's own account.
    async fn packets(&self) -> (u64, i64) {
        let report = self
            .connection
            .get_stats(Instant::now(), StatsSelector::None)
            .await;
        report
            .inbound_rtp_streams()
            .fold((0, 0), |(received, lost), stream| {
                let stream = &stream.received_rtp_stream_stats;
                (received + stream.packets_received, lost + stream.packets_lost)
            })
    }
}

/// The address from which packets to `server` leave; nothing is sent.
fn local_to(server: SocketAddr) -> std::io::Result<IpAddr> {
    let any = if server.is_ipv4() {
        SocketAddr::from(([0; 4], 0))
    } else {
        SocketAddr::from(([0_u8; 16], 0))
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    Ok(socket.local_addr()?.ip())
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    // Counting does not stop half way.
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}
