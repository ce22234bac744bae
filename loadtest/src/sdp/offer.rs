//! Offers in the layout of browsers that speak the single-connection protocol.

use std::fmt::Write as _;

use super::uri;
use crate::client::{Credentials, Fingerprint};
use crate::trace::Codec;

/// Sections of one offer: a room of 500 seen whole.
pub(super) const MOST_SECTIONS: usize = 1_024;

const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack\r\n\
a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n";
const VP8: &str = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\n\
a=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n";
const H264: &str = "a=rtpmap:108 H264/90000\r\na=rtcp-fb:108 transport-cc\r\na=rtcp-fb:108 ccm fir\r\n\
a=rtcp-fb:108 nack\r\na=rtcp-fb:108 nack pli\r\n\
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:109 rtx/90000\r\n\
a=fmtp:109 apt=108\r\n";

/// One m-line. Its mid is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferSection {
    /// Sound to come.
    ReceiveAudio,
    /// Pictures to come.
    ReceiveVideo,
    /// Something to send.
    Send {
        /// The client's id of the track, which `AddTrack` repeats.
        cid: String,
        /// Its codec; Opus makes it sound.
        codec: Codec,
        /// Simulcast layers; none for a single stream.
        rids: &'static [&'static str],
        /// SSRC of a single stream.
        ssrc: u32,
    },
    /// Data channels.
    Data,
}

/// A client's side of the negotiation: sections only grow, every text has a new version.
#[derive(Clone, Debug)]
pub struct Offer {
    credentials: Credentials,
    fingerprint: Fingerprint,
    sections: Vec<OfferSection>,
    version: u32,
}

impl Offer {
    /// An offer without sections.
    #[must_use]
    pub fn new(credentials: Credentials, fingerprint: Fingerprint) -> Self {
        Self {
            credentials,
            fingerprint,
            sections: Vec::new(),
            version: 0,
        }
    }

    /// Appends a section and returns its mid; `None` when there are 1,024.
    pub fn add(&mut self, section: OfferSection) -> Option<String> {
        if self.sections.len() >= MOST_SECTIONS {
            return None;
        }
        self.sections.push(section);
        Some((self.sections.len() - 1).to_string())
    }

    /// Appends sections to receive on, as a server asks for.
    pub fn add_receivers(&mut self, audios: usize, videos: usize) {
        for _ in 0..audios {
            self.add(OfferSection::ReceiveAudio);
        }
        for _ in 0..videos {
            self.add(OfferSection::ReceiveVideo);
        }
    }

    /// The text, and its number from 1.
    pub fn write(&mut self) -> (u32, String) {
        self.version += 1;
        let mut out = String::with_capacity(512 + 900 * self.sections.len());
        let mids: Vec<String> = (0..self.sections.len()).map(|mid| mid.to_string()).collect();
        push(
            &mut out,
            format_args!(
                "v=0\r\no=- 4611731400430051336 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
                 a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n",
                self.version,
                mids.join(" ")
            ),
        );
        let transport = self.transport();
        for (mid, section) in self.sections.iter().enumerate() {
            write_section(&mut out, &transport, mid, section);
        }
        (self.version, out)
    }

    /// What all sections say of the transport they share.
    fn transport(&self) -> String {
        let Credentials { ufrag, password } = &self.credentials;
        let pairs: Vec<String> = self
            .fingerprint
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        format!(
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:actpass\r\n",
            pairs.join(":")
        )
    }
}

fn write_section(out: &mut String, transport: &str, mid: usize, section: &OfferSection) {
    let (video, h264_first) = match section {
        OfferSection::ReceiveAudio => (false, false),
        OfferSection::ReceiveVideo => (true, false),
        OfferSection::Send { codec, .. } => (*codec != Codec::Opus, *codec == Codec::H264),
        OfferSection::Data => {
            out.push_str("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n");
            push(out, format_args!("{transport}a=mid:{mid}\r\n"));
            out.push_str("a=sctp-port:5000\r\na=max-message-size:262144\r\n");
            return;
        }
    };
    out.push_str(match (video, h264_first) {
        (false, _) => "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n",
        (true, false) => "m=video 9 UDP/TLS/RTP/SAVPF 96 97 108 109\r\n",
        (true, true) => "m=video 9 UDP/TLS/RTP/SAVPF 108 109 96 97\r\n",
    });
    out.push_str("c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n");
    push(out, format_args!("{transport}a=mid:{mid}\r\n"));
    extensions(out, video);
    match section {
        OfferSection::Send { cid, .. } => {
            push(out, format_args!("a=sendonly\r\na=msid:{cid} {cid}\r\n"));
        }
        _ => out.push_str("a=recvonly\r\n"),
    }
    out.push_str("a=rtcp-mux\r\na=rtcp-rsize\r\n");
    if video {
        out.push_str(VP8);
        out.push_str(H264);
    } else {
        out.push_str(OPUS);
    }
    if let OfferSection::Send { cid, rids, ssrc, .. } = section {
        streams(out, cid, rids, *ssrc);
    }
}

fn extensions(out: &mut String, video: bool) {
    let shared = [(2, uri::ABS_SEND_TIME), (3, uri::TRANSPORT_CC), (4, uri::MID)];
    let own: &[(u8, &str)] = if video {
        &[(10, uri::RID), (11, uri::REPAIRED_RID)]
    } else {
        &[(1, uri::AUDIO_LEVEL)]
    };
    for (id, uri) in shared.iter().chain(own) {
        push(out, format_args!("a=extmap:{id} {uri}\r\n"));
    }
}

fn streams(out: &mut String, cid: &str, rids: &[&str], ssrc: u32) {
    if rids.is_empty() {
        push(
            out,
            format_args!("a=ssrc:{ssrc} cname:loadtest\r\na=ssrc:{ssrc} msid:{cid} {cid}\r\n"),
        );
        return;
    }
    for rid in rids {
        push(out, format_args!("a=rid:{rid} send\r\n"));
    }
    push(out, format_args!("a=simulcast:send {}\r\n", rids.join(";")));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("invariant: writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keep_their_place_and_versions_rise() {
        let credentials = Credentials {
            ufrag: "abcd".to_owned(),
            password: "password".to_owned(),
        };
        let mut offer = Offer::new(credentials, [0xab; 32]);
        offer.add_receivers(1, 1);
        let send = OfferSection::Send {
            cid: "camera".to_owned(),
            codec: Codec::H264,
            rids: &["q", "h"],
            ssrc: 5,
        };
        assert_eq!(offer.add(send).as_deref(), Some("2"));
        let (first, _) = offer.write();
        offer.add_receivers(0, 1);
        let (second, text) = offer.write();
        assert_eq!((first, second), (1, 2));
        assert!(text.contains("a=group:BUNDLE 0 1 2 3\r\n"));
        assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 108 109 96 97\r\n"));
        assert!(text.contains("a=simulcast:send q;h\r\n"));
        assert!(text.contains("a=fingerprint:sha-256 AB:AB:"));
        assert_eq!(text.matches("a=recvonly").count(), 3);
        let read =
            rtc_sdp::description::session::SessionDescription::unmarshal(&mut std::io::Cursor::new(&text));
        assert_eq!(read.unwrap().media_descriptions.len(), 4);
    }
}
