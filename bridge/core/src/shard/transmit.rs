//! What goes out to clients: handshakes and reports first, then repairs, then the media of the current batch, leg by
//! leg, as GSO batches.

use super::ShardCore;
use relay_proto::room::MediaKind;
use std::net::SocketAddr;
use std::time::Instant;

/// One send to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Where the buffer holds several datagrams: the size of each (the last may be shorter).
    pub segment_bytes: Option<usize>,
    /// Pictures: where a TCP connection holds packets back, everything else goes before them, and they are dropped first.
    pub is_picture: bool,
}

/// Where the fan-out of the current batch stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    track: usize,
    leg: usize,
    packet: usize,
}

impl ShardCore {
    /// Writes the next send into `buf`; none when everything is out. Hot path: media allocates nothing.
    ///
    /// Call until none after each batch of input: media of the batch waits here, not in queues.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.poll_talk(buf)
            .or_else(|| self.poll_repair(buf))
            .or_else(|| self.poll_media(now, buf))
    }

    fn poll_talk(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        while let Some(&slot) = self.talkative.last() {
            let next = self
                .members
                .get_mut(slot as usize)
                .and_then(|member| member.rtc.poll_transmit());
            if let Some((to, bytes)) = next {
                buf.clear();
                buf.extend_from_slice(&bytes);
                return Some(Transmit {
                    to,
                    segment_bytes: None,
                    is_picture: false,
                });
            }
            self.talkative.pop();
        }
        None
    }

    fn poll_repair(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let (transmit, bytes) = self.repairs.pop_front()?;
        buf.clear();
        buf.extend_from_slice(&bytes);
        Some(transmit)
    }

    fn poll_media(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        while let Some(&slot) = self.fresh.get(self.cursor.track) {
            let track = &mut self.tracks[slot as usize];
            while let Some(leg) = track.legs.get_mut(self.cursor.leg) {
                let rtc = &mut self.members[leg.session as usize].rtc;
                if let Some(to) = rtc.remote_addr()
                    && let Some(mut outgoing) = rtc.outgoing(now)
                {
                    let next = &mut self.cursor.packet;
                    if let Some(segment) =
                        leg.write_batch(now, &track.layers, &track.fresh, next, &mut outgoing, buf)
                    {
                        self.counters.batches_out += 1;
                        self.counters.bytes_out += buf.len() as u64;
                        return Some(Transmit {
                            to,
                            segment_bytes: (buf.len() > segment).then_some(segment),
                            is_picture: track.identity.codec.kind() == MediaKind::Video,
                        });
                    }
                }
                self.cursor.leg += 1;
                self.cursor.packet = 0;
            }
            track.fresh.clear();
            self.cursor = Cursor {
                track: self.cursor.track + 1,
                ..Cursor::default()
            };
        }
        self.fresh.clear();
        self.cursor = Cursor::default();
        None
    }
}
