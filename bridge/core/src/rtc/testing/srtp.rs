//! A client's SRTP and RTCP.

use crate::rtc::rtcp::{self, Item};
use crate::rtc::rtp::RtpHeader;
use crate::rtc::srtp::{SrtcpSealer, SrtpOpener, SrtpProfile, SrtpSealer, split_keying_material};
use std::time::Instant;

/// One client's SRTP, made from the keying material its session was given.
#[derive(Debug)]
pub struct PeerSrtp {
    sealer: SrtpSealer,
    rtcp_sealer: SrtcpSealer,
    opener: SrtpOpener,
}

/// What a client reads from one RTCP item of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerRtcp {
    /// The node wants a picture of this stream.
    Pli {
        /// The client's SSRC.
        ssrc: u32,
    },
    /// The node misses packets.
    Nack {
        /// The client's SSRC.
        ssrc: u32,
        /// Missing sequence numbers.
        seqs: Vec<u16>,
    },
    /// The node's clock of a stream.
    SenderReport {
        /// The node's SSRC.
        ssrc: u32,
        /// NTP time, 32.32.
        ntp: u64,
        /// The same instant in RTP time.
        rtp_time: u32,
    },
}

impl PeerSrtp {
    /// The client's side of `keying_material`; it remembers at most 1,024 incoming SSRCs.
    ///
    /// # Panics
    /// If `keying_material` has not the profile's length.
    #[must_use]
    pub fn new(profile: SrtpProfile, keying_material: &[u8]) -> Self {
        let (client, server) =
            split_keying_material(profile, keying_material).expect("keying material's length");
        Self {
            sealer: SrtpSealer::new(profile, client),
            rtcp_sealer: SrtcpSealer::new(profile, client),
            opener: SrtpOpener::new(profile, server, 1024),
        }
    }

    /// Seals a whole RTP packet; `rollovers` counts how often its sequence number has wrapped.
    ///
    /// # Panics
    /// If `packet` is no RTP.
    #[must_use]
    pub fn seal_rtp(&mut self, mut packet: Vec<u8>, rollovers: u32) -> Vec<u8> {
        let header = RtpHeader::parse(&packet).expect("an RTP packet");
        let len = packet.len();
        packet.resize(len + self.sealer.tag_bytes(), 0);
        let index = u64::from(rollovers) << 16 | u64::from(header.seq);
        let sealed = self
            .sealer
            .seal_rtp(&mut packet, header.len, len, header.ssrc, index);
        packet.truncate(sealed);
        packet
    }

    /// Opens an RTP packet of the node in place; none if it is not authentic or a replay.
    pub fn open_rtp<'p>(&mut self, now: Instant, packet: &'p mut [u8]) -> Option<PeerRtp<'p>> {
        let header = RtpHeader::parse(packet)?;
        let len = self
            .opener
            .open_rtp(now, packet, header.len, header.ssrc, header.seq)
            .ok()?;
        let end = header.payload_end(packet, len)?;
        let extensions = header.extensions(packet).collect();
        Some(PeerRtp {
            payload_type: header.payload_type,
            marker: header.marker,
            seq: header.seq,
            time: header.time,
            ssrc: header.ssrc,
            extensions,
            payload: &packet[header.len..end],
        })
    }

    /// Seals a compound RTCP packet.
    #[must_use]
    pub fn seal_rtcp(&mut self, mut compound: Vec<u8>) -> Vec<u8> {
        self.rtcp_sealer.seal(&mut compound);
        compound
    }

    /// Opens a compound RTCP packet of the node; none if it is not authentic. Reports and transport feedback are
    /// skipped.
    pub fn open_rtcp(&mut self, now: Instant, packet: &mut [u8]) -> Option<Vec<PeerRtcp>> {
        let len = self.opener.open_rtcp(now, packet).ok()?;
        let items = rtcp::parse(&packet[..len], 1024)?;
        Some(items.into_iter().filter_map(PeerRtcp::of).collect())
    }

    /// A PLI about one of the node's streams, not yet sealed.
    #[must_use]
    pub fn pli(ssrc: u32) -> Vec<u8> {
        let mut packet = Vec::new();
        rtcp::write_pli(&mut packet, 1, ssrc);
        packet
    }

    /// A full intra request with an entry for each of those streams (RFC 5104 section 4.3.1), not yet sealed.
    #[must_use]
    pub fn fir(ssrcs: &[u32], number: u8) -> Vec<u8> {
        let words = 2 + 2 * ssrcs.len() as u16;
        let mut packet = vec![0x84, 206];
        packet.extend(words.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0, 0, 0, 0]);
        for ssrc in ssrcs {
            packet.extend(ssrc.to_be_bytes());
            packet.extend([number, 0, 0, 0]);
        }
        packet
    }

    /// A NACK about one of the node's streams, not yet sealed.
    #[must_use]
    pub fn nack(ssrc: u32, seqs: &[u16]) -> Vec<u8> {
        let mut packet = Vec::new();
        rtcp::write_nack(&mut packet, 1, ssrc, seqs);
        packet
    }

    /// A receiver report about the node's streams: (SSRC, highest number, lost in all), not yet sealed.
    #[must_use]
    pub fn receiver_report(streams: &[(u32, u32, i32)]) -> Vec<u8> {
        let block = |&(ssrc, highest_seq, cumulative_lost): &(u32, u32, i32)| rtcp::ReportBlock {
            ssrc,
            highest_seq,
            cumulative_lost,
            ..rtcp::ReportBlock::default()
        };
        let blocks: Vec<_> = streams.iter().map(block).collect();
        let mut packet = Vec::new();
        rtcp::write_receiver_report(&mut packet, 1, &blocks);
        packet
    }

    /// A sender report of one of the client's streams, not yet sealed.
    #[must_use]
    pub fn sender_report(ssrc: u32, ntp: u64, rtp_time: u32) -> Vec<u8> {
        let mut packet = Vec::new();
        rtcp::write_sender_report(&mut packet, ssrc, ntp, rtp_time, 0, 0);
        packet
    }
}

impl PeerRtcp {
    fn of(item: Item) -> Option<Self> {
        match item {
            Item::PictureWanted { ssrc } => Some(Self::Pli { ssrc }),
            Item::Missing { ssrc, seqs } => Some(Self::Nack { ssrc, seqs }),
            Item::SenderReport { ssrc, ntp, rtp_time } => Some(Self::SenderReport { ssrc, ntp, rtp_time }),
            Item::Arrivals { .. } | Item::Received { .. } => None,
        }
    }
}

/// An opened RTP packet of the node.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerRtp<'p> {
    /// Payload type.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Sequence number.
    pub seq: u16,
    /// RTP timestamp.
    pub time: u32,
    /// SSRC.
    pub ssrc: u32,
    /// Header extensions, as (id, data).
    pub extensions: Vec<(u8, &'p [u8])>,
    /// Payload without padding.
    pub payload: &'p [u8],
}
