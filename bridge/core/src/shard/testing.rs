//! A client of a shard without a network: offers, keys, packets. For simulations, benchmarks and tests.
//!
//! Negotiation, SRTP and everything behind them are the real ones; only ICE and DTLS are replaced by keys both sides
//! know beforehand ([`ShardCore::install_keys`]), so that a run is fast and the same every time.

mod repair;

use super::ShardCore;
use crate::red::{self, Earlier};
use crate::rtc::SrtpProfile;
use crate::rtc::testing::{OfferBuilder, PeerSrtp, RtpFields, extension, payload_type, rtp_packet};
use crate::rtc::testing::{RtpHeader, TwccRecorder, write_twcc};
use relay_proto::id::{MAX_LAYERS, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{ClientTrackFacts, MediaKind, TrackRecord, TrackSource};
use repair::SoundRepair;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Profile of all simulated clients.
const PROFILE: SrtpProfile = SrtpProfile::Aes128Gcm;
/// Keying material of [`PROFILE`]: two keys of 16 bytes, two salts of 12.
const KEYING_BYTES: usize = 56;

/// A track of which nothing is known but what it is.
#[must_use]
pub fn bare_track(sid: TrackSid, alias: TrackAlias, kind: MediaKind) -> TrackRecord {
    TrackRecord {
        sid,
        alias,
        kind,
        source: TrackSource::Unknown,
        codec: None,
        name: String::new(),
        stream: String::new(),
        muted: false,
        width: 0,
        height: 0,
        simulcast: false,
        layers: Vec::new(),
        client: ClientTrackFacts::default(),
    }
}

impl ShardCore {
    /// Connects a session as if ICE and DTLS had succeeded from `remote`; false where there is no such session.
    pub fn install_keys(&mut self, now: Instant, client: &SimClient) -> bool {
        let Some(&slot) = self.session_slots.get(&client.session) else {
            return false;
        };
        self.install_keys_at(now, slot, client);
        true
    }

    /// The same for the connection a client with two receives on.
    pub fn install_second_keys(&mut self, now: Instant, client: &SimClient) -> bool {
        let Some(&slot) = self.second_slots.get(&client.session) else {
            return false;
        };
        self.install_keys_at(now, slot, client);
        true
    }

    fn install_keys_at(&mut self, now: Instant, slot: u32, client: &SimClient) {
        let rtc = &mut self.members[slot as usize].rtc;
        rtc.install_keys(now, client.address, PROFILE, &client.keying);
        self.events_of(now, slot);
    }
}

/// What a client has received of one track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Packets, each counted once.
    pub packets: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// The newest payload.
    pub payload: Vec<u8>,
    /// When it came.
    pub at: Option<Instant>,
}

#[derive(Debug)]
struct Sending {
    cid: String,
    mid: usize,
    kind: MediaKind,
    /// Next sequence number and time per stream; several with simulcast.
    streams: Vec<(u32, u32)>,
    rids: Vec<String>,
    /// The frames of sound sent last, nearest first.
    earlier: Vec<Vec<u8>>,
}

/// A client without a network.
#[derive(Debug)]
pub struct SimClient {
    /// Its session.
    pub session: SessionId,
    /// Where it seems to be.
    pub address: SocketAddr,
    /// What it has received, by track.
    pub heard: BTreeMap<TrackSid, Heard>,
    keying: [u8; KEYING_BYTES],
    srtp: PeerSrtp,
    offer: OfferBuilder,
    sections: usize,
    sending: Vec<Sending>,
    /// SSRC of the node -> track, from the last answer.
    receiving: BTreeMap<u32, TrackSid>,
    /// What it reports of arrivals, if it does.
    arrivals: Option<TwccRecorder>,
    /// What it repairs of sound, if it does.
    repair: Option<SoundRepair>,
    /// How loud its sound is, in minus dBov; none where it does not say.
    pub level: Option<u8>,
    /// Whether its packets of sound repeat the two frames before their own.
    repeats: bool,
    /// Whether its pictures have three temporal layers; each packet is a picture then.
    temporal: bool,
    /// Media time from one packet of each stream of a picture to the next; at first each packet is a frame.
    pub picture_steps: [u32; MAX_LAYERS],
}

impl SimClient {
    /// A client that offers three sections of each kind to receive on, as real ones do.
    #[must_use]
    pub fn new(session: SessionId, address: SocketAddr) -> Self {
        let mut keying = [0; KEYING_BYTES];
        for (at, byte) in keying.iter_mut().enumerate() {
            *byte = (session.serial as usize * 31 + session.entry.0 as usize + at * 7) as u8;
        }
        Self {
            session,
            address,
            heard: BTreeMap::new(),
            keying,
            srtp: PeerSrtp::new(PROFILE, &keying),
            offer: {
                let mut offer = OfferBuilder::first_join();
                offer.report_no_arrivals();
                offer
            },
            sections: 7,
            sending: Vec::new(),
            receiving: BTreeMap::new(),
            arrivals: None,
            repair: None,
            level: Some(20),
            repeats: false,
            temporal: false,
            picture_steps: [3_000; MAX_LAYERS],
        }
    }

    /// The same with an offer of transport-wide numbers: its arrivals must be reported (see [`Self::feedback`]), or
    /// the shard takes its path for dead.
    #[must_use]
    pub fn reporting(session: SessionId, address: SocketAddr, now: Instant) -> Self {
        Self {
            offer: OfferBuilder::first_join(),
            arrivals: Some(TwccRecorder::new(now)),
            ..Self::new(session, address)
        }
    }

    /// The same without retransmissions.
    #[must_use]
    pub fn without_retransmissions(mut self) -> Self {
        self.offer.no_retransmissions();
        self
    }

    /// The same that asks for sound it misses, and sends again what the node asks for.
    #[must_use]
    pub fn repairing(mut self) -> Self {
        self.repair = Some(SoundRepair::default());
        self
    }

    /// The same without repair of sound in its offer.
    #[must_use]
    pub fn without_sound_repair(mut self) -> Self {
        self.offer.no_sound_repair();
        self
    }

    /// The same that reports what sound it misses, and does not ask for it.
    #[must_use]
    pub fn reporting_losses(mut self) -> Self {
        self.repair = Some(SoundRepair::only_reporting());
        self
    }

    /// The same whose packets of sound repeat the two frames before their own.
    #[must_use]
    pub const fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// From now on its pictures have three temporal layers, and each packet is a picture.
    pub const fn divide_in_time(&mut self) {
        self.temporal = true;
    }

    /// How many of the packets it got repeated others.
    #[must_use]
    pub fn redundant_packets(&self) -> u64 {
        self.repair.as_ref().map_or(0, |repair| repair.redundant)
    }

    /// How many numbers of sound it knows of and has not got, and how many it has got.
    #[must_use]
    pub fn missing_sound(&self) -> (u64, u64) {
        self.repair.as_ref().map_or((0, 0), SoundRepair::missing)
    }

    /// Requests for sound, sealed, and answers to the node's, that are due.
    pub fn repairs(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let Some(repair) = &mut self.repair else {
            return Vec::new();
        };
        let mut out = repair.take_answers();
        for (ssrc, seqs) in repair.requests(now) {
            out.push(self.srtp.seal_rtcp(PeerSrtp::nack(ssrc, &seqs)));
        }
        let reports = repair.reports(now);
        if !reports.is_empty() {
            out.push(self.srtp.seal_rtcp(PeerSrtp::receiver_report(&reports)));
        }
        out
    }

    /// The reports of arrivals that are due, sealed: every 50 ms.
    pub fn feedback(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let Some(arrivals) = &mut self.arrivals else {
            return Vec::new();
        };
        let seal = |body: Vec<u8>| {
            let mut compound = Vec::new();
            write_twcc(&mut compound, 1, 2, &body);
            self.srtp.seal_rtcp(compound)
        };
        arrivals.poll_feedback(now).into_iter().map(seal).collect()
    }

    /// Adds a sound track to the next offer.
    pub fn publish_audio(&mut self, cid: &str) {
        self.offer.send_audio(cid);
        self.add_sending(cid, MediaKind::Audio, &[]);
    }

    /// Adds a video track to the next offer, with these simulcast streams (none: no simulcast).
    pub fn publish_video(&mut self, cid: &str, rids: &[&str]) {
        self.offer.send_video(cid, rids);
        self.add_sending(cid, MediaKind::Video, rids);
    }

    fn add_sending(&mut self, cid: &str, kind: MediaKind, rids: &[&str]) {
        self.sending.push(Sending {
            cid: cid.to_owned(),
            mid: self.sections,
            kind,
            streams: vec![(100, 0); rids.len().max(1)],
            rids: rids.iter().map(|rid| (*rid).to_owned()).collect(),
            earlier: Vec::new(),
        });
        self.sections += 1;
    }

    /// Takes a track out of the next offer.
    pub fn unpublish(&mut self, cid: &str) {
        if let Some(at) = self.sending.iter().position(|sending| sending.cid == cid) {
            self.offer.stop(self.sending.remove(at).mid);
        }
    }

    /// Adds receiving sections to the next offer.
    pub fn add_sections(&mut self, audios: u32, videos: u32) {
        self.offer
            .receive_audio(audios as usize)
            .receive_video(videos as usize);
        self.sections += (audios + videos) as usize;
    }

    /// The next offer.
    #[must_use]
    pub fn offer(&mut self) -> String {
        self.offer.build()
    }

    /// Reads an answer: which stream is which track.
    pub fn answered(&mut self, sdp: &str, sections: &[(String, TrackSid)]) {
        let by_mid: BTreeMap<&str, &TrackSid> = sections
            .iter()
            .map(|(mid, track)| (mid.as_str(), track))
            .collect();
        self.receiving.clear();
        for section in sdp.split("\r\nm=").skip(1) {
            let mid = section.lines().find_map(|line| line.strip_prefix("a=mid:"));
            let ssrc = section.lines().find_map(|line| line.strip_prefix("a=ssrc:"));
            let ssrc = ssrc.and_then(|line| line.split(' ').next()?.parse().ok());
            if let (Some(track), Some(ssrc)) = (mid.and_then(|mid| by_mid.get(mid)), ssrc) {
                self.receiving.insert(ssrc, (*track).clone());
            }
        }
    }

    /// Tracks the last answer gives it.
    pub fn receives(&self) -> impl Iterator<Item = &TrackSid> {
        self.receiving.values()
    }

    /// The next packet of a track's stream, sealed; `payload` follows what makes it a packet of its codec. None for
    /// an unknown track.
    pub fn packet(&mut self, cid: &str, stream: usize, keyframe: bool, payload: &[u8]) -> Option<Vec<u8>> {
        let at = self.sending.iter().position(|sending| sending.cid == cid)?;
        let sending = &mut self.sending[at];
        let (seq, time) = sending.streams.get_mut(stream)?;
        let repeats = self.repeats && !sending.earlier.is_empty();
        let (step, payload_type) = match sending.kind {
            MediaKind::Audio if repeats => (960, payload_type::RED),
            MediaKind::Audio => (960, payload_type::OPUS),
            MediaKind::Video => (self.picture_steps[stream.min(MAX_LAYERS - 1)], payload_type::VP8),
        };
        let fields = RtpFields {
            payload_type,
            marker: sending.kind == MediaKind::Video,
            seq: *seq as u16,
            time: *time,
            ssrc: 1_000 + (sending.mid * 10 + stream) as u32,
        };
        let rollovers = *seq >> 16;
        *seq += 1;
        *time = time.wrapping_add(step);
        let mid = sending.mid.to_string();
        let mut extensions = vec![(extension::MID, mid.as_bytes())];
        let level = self
            .level
            .map(|level| [level | if level <= 50 { 0x80 } else { 0 }]);
        match sending.kind {
            MediaKind::Audio => {
                extensions.extend(level.as_ref().map(|level| (extension::AUDIO_LEVEL, &level[..])))
            }
            MediaKind::Video => extensions.extend(
                sending
                    .rids
                    .get(stream)
                    .map(|rid| (extension::RID, rid.as_bytes())),
            ),
        }
        let mut body = Vec::new();
        if sending.kind == MediaKind::Video {
            // A VP8 payload descriptor (start of a frame) and the first byte of the frame.
            if self.temporal {
                body.extend_from_slice(&temporal_descriptor(fields.seq, keyframe));
            } else {
                body.push(0x10);
            }
            body.push(u8::from(!keyframe));
        }
        if sending.kind == MediaKind::Audio && repeats {
            let mut earlier = Earlier::default();
            for (frame, back) in sending.earlier.iter().zip(1..) {
                earlier.push(960 * back, frame);
            }
            earlier.write(&mut body, payload_type::OPUS, payload);
        } else {
            body.extend_from_slice(payload);
        }
        sending.earlier.insert(0, payload.to_vec());
        sending.earlier.truncate(red::MAX_EARLIER);
        let packet = rtp_packet(fields, &extensions, &body);
        let sealed = self.srtp.seal_rtp(packet, rollovers);
        if let Some(repair) = &mut self.repair {
            repair.sent(fields.ssrc, fields.seq, &sealed);
        }
        Some(sealed)
    }

    /// Any RTP packet, sealed as this client's; none where its header cannot be read.
    pub fn media(&mut self, packet: Vec<u8>, rollovers: u32) -> Option<Vec<u8>> {
        RtpHeader::parse(&packet)?;
        Some(self.srtp.seal_rtp(packet, rollovers))
    }

    /// A compound of RTCP, sealed.
    pub fn rtcp(&mut self, compound: Vec<u8>) -> Vec<u8> {
        self.srtp.seal_rtcp(compound)
    }

    /// Notes the arrival of a datagram that is not opened.
    pub fn note_arrival(&mut self, now: Instant, datagram: &[u8]) {
        let number = RtpHeader::parse(datagram).and_then(|header| {
            let mut extensions = header.extensions(datagram);
            let (_, data) = extensions.find(|(id, _)| *id == extension::TRANSPORT_CC)?;
            data.first_chunk::<2>().copied()
        });
        if let (Some(arrivals), Some(number)) = (&mut self.arrivals, number) {
            arrivals.record(now, u16::from_be_bytes(number));
        }
    }

    /// Takes a datagram from the node; false where it is no authentic media of a known track.
    pub fn receive(&mut self, now: Instant, datagram: &mut [u8]) -> bool {
        self.note_arrival(now, datagram);
        if let Some(repair) = &mut self.repair
            && let Some(items) = self.srtp.open_rtcp(now, &mut datagram.to_vec())
        {
            repair.asked(&items);
            return false;
        }
        let Some(packet) = self.srtp.open_rtp(now, datagram) else {
            return false;
        };
        let Some(track) = self.receiving.get(&packet.ssrc) else {
            return false;
        };
        let repeated = match packet.payload_type {
            payload_type::RED => red::read(packet.payload, payload_type::OPUS),
            _ => None,
        };
        let is_sound = matches!(packet.payload_type, payload_type::OPUS | payload_type::RED);
        if is_sound && let Some(repair) = &mut self.repair {
            if let Some((earlier, _)) = repeated {
                repair.repeated(now, packet.ssrc, packet.seq, earlier.blocks().len() as u16);
            }
            repair.received(now, packet.ssrc, packet.seq);
        }
        let prefix = match packet.payload.first() {
            Some(first) if packet.payload_type == payload_type::VP8 => {
                if first & 0x80 != 0 {
                    TEMPORAL_BYTES + 1
                } else {
                    2
                }
            }
            _ => 0,
        };
        let payload = match repeated {
            Some((_, own)) => own.to_vec(),
            None => packet.payload.get(prefix..).unwrap_or_default().to_vec(),
        };
        let heard = self.heard.entry(track.clone()).or_default();
        *heard = Heard {
            packets: heard.packets + 1,
            bytes: heard.bytes + payload.len() as u64,
            payload,
            at: Some(now),
        };
        true
    }
}

/// Length of a VP8 payload descriptor with everything in it.
const TEMPORAL_BYTES: usize = 6;

/// The VP8 payload descriptor (RFC 7741, section 4.2) of picture `number` with temporal layers as libwebrtc has them.
fn temporal_descriptor(number: u16, keyframe: bool) -> [u8; TEMPORAL_BYTES] {
    let temporal = if keyframe {
        0
    } else {
        [0, 2, 1, 2][usize::from(number) % 4]
    };
    let syncs = temporal == 1;
    let [high, low] = (number | 0x8000).to_be_bytes();
    let base = (number / 4) as u8;
    [0x90, 0xe0, high, low, base, temporal << 6 | u8::from(syncs) << 5]
}
