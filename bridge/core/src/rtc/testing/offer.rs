//! Offers in the layout of real clients.

use crate::rtc::sdp::ExtensionIds as Uri;
use std::fmt::Write;

/// Ids of header extensions in every offer of an [`OfferBuilder`].
pub mod extension {
    /// `ssrc-audio-level`.
    pub const AUDIO_LEVEL: u8 = 1;
    /// `abs-send-time`.
    pub const ABS_SEND_TIME: u8 = 2;
    /// `transport-wide-cc`.
    pub const TRANSPORT_CC: u8 = 3;
    /// `sdes:mid`.
    pub const MID: u8 = 4;
    /// `sdes:rtp-stream-id`.
    pub const RID: u8 = 10;
    /// `sdes:repaired-rtp-stream-id`.
    pub const REPAIRED_RID: u8 = 11;
}

/// Payload types in every offer of an [`OfferBuilder`].
pub mod payload_type {
    /// Opus.
    pub const OPUS: u8 = 111;
    /// Opus, redundant (RFC 2198).
    pub const RED: u8 = 63;
    /// VP8.
    pub const VP8: u8 = 96;
    /// RTX of VP8.
    pub const VP8_RTX: u8 = 97;
    /// H.264, constrained baseline, packetization mode 1.
    pub const H264: u8 = 108;
    /// RTX of H.264.
    pub const H264_RTX: u8 = 109;
}

#[derive(Clone, Debug)]
enum Media {
    Receive {
        video: bool,
        inactive: bool,
    },
    Send {
        video: bool,
        cid: String,
        rids: Vec<String>,
        prefer_h264: bool,
    },
    Data,
}

/// Writes offers in the layout of real clients: sections in the order they were added, never removed, one bundle.
#[derive(Clone, Debug)]
pub struct OfferBuilder {
    sections: Vec<Media>,
    ufrag: String,
    password: String,
    fingerprint: String,
    version: u32,
    reports_arrivals: bool,
    retransmits: bool,
    repairs_sound: bool,
}

impl Default for OfferBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl OfferBuilder {
    /// An offer without sections, with a made-up fingerprint (see [`OfferBuilder::fingerprint`]).
    #[must_use]
    pub fn new() -> Self {
        Self {
            sections: Vec::new(),
            ufrag: "peer".to_owned(),
            password: "peerpasswordpeerpassword".to_owned(),
            fingerprint: vec!["5A"; 32].join(":"),
            version: 0,
            reports_arrivals: true,
            retransmits: true,
            repairs_sound: true,
        }
    }

    /// Offers no retransmission format.
    pub const fn no_retransmissions(&mut self) -> &mut Self {
        self.retransmits = false;
        self
    }

    /// Offers no feedback on sound, as clients do that are no browsers (those take part in repair without offering it).
    pub const fn no_sound_repair(&mut self) -> &mut Self {
        self.repairs_sound = false;
        self
    }

    /// Offers no transport-wide numbers, as a client that reports no arrivals.
    pub const fn report_no_arrivals(&mut self) -> &mut Self {
        self.reports_arrivals = false;
        self
    }

    /// What clients of the single-connection protocol offer first: three audio and three video sections to receive on,
    /// and data channels (mids 0 to 6).
    #[must_use]
    pub fn first_join() -> Self {
        let mut offer = Self::new();
        offer.receive_audio(3).receive_video(3).data();
        offer
    }

    /// Adds sections to receive sound on.
    pub fn receive_audio(&mut self, count: usize) -> &mut Self {
        let media = Media::Receive {
            video: false,
            inactive: false,
        };
        self.sections.extend(std::iter::repeat_n(media, count));
        self
    }

    /// Adds sections to receive pictures on.
    pub fn receive_video(&mut self, count: usize) -> &mut Self {
        let media = Media::Receive {
            video: true,
            inactive: false,
        };
        self.sections.extend(std::iter::repeat_n(media, count));
        self
    }

    /// Adds the section of the data channels.
    pub fn data(&mut self) -> &mut Self {
        self.sections.push(Media::Data);
        self
    }

    /// Adds a section that sends a sound track.
    pub fn send_audio(&mut self, cid: &str) -> &mut Self {
        let media = Media::Send {
            video: false,
            cid: cid.to_owned(),
            rids: Vec::new(),
            prefer_h264: false,
        };
        self.sections.push(media);
        self
    }

    /// Adds a section that sends a video track, VP8 first, with these simulcast streams (none: no simulcast).
    pub fn send_video(&mut self, cid: &str, rids: &[&str]) -> &mut Self {
        let rids = rids.iter().map(|rid| (*rid).to_owned()).collect();
        self.sections.push(Media::Send {
            video: true,
            cid: cid.to_owned(),
            rids,
            prefer_h264: false,
        });
        self
    }

    /// Adds a section that sends a video track, H.264 first.
    pub fn send_h264(&mut self, cid: &str) -> &mut Self {
        let media = Media::Send {
            video: true,
            cid: cid.to_owned(),
            rids: Vec::new(),
            prefer_h264: true,
        };
        self.sections.push(media);
        self
    }

    /// Stops section `mid` from sending or receiving (`unpublish`, `removeTrack`).
    pub fn stop(&mut self, mid: usize) -> &mut Self {
        let video = match &self.sections[mid] {
            Media::Receive { video, .. } | Media::Send { video, .. } => *video,
            Media::Data => return self,
        };
        self.sections[mid] = Media::Receive {
            video,
            inactive: true,
        };
        self
    }

    /// Credentials of the offer; other ones than before are an ICE restart.
    pub fn credentials(&mut self, ufrag: &str, password: &str) -> &mut Self {
        ufrag.clone_into(&mut self.ufrag);
        password.clone_into(&mut self.password);
        self
    }

    /// SHA-256 of the client's certificate, as pairs of hexadecimal digits with colons.
    pub fn fingerprint(&mut self, fingerprint: &str) -> &mut Self {
        fingerprint.clone_into(&mut self.fingerprint);
        self
    }

    /// The offer as SDP; the mid of a section is its position.
    #[must_use]
    pub fn build(&mut self) -> String {
        self.version += 1;
        let mids: Vec<String> = (0..self.sections.len()).map(|mid| mid.to_string()).collect();
        let mut out = format!(
            "v=0\r\no=- 4611731400430051336 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
            self.version
        );
        line(&mut out, &format!("a=group:BUNDLE {}", mids.join(" ")));
        line(&mut out, "a=extmap-allow-mixed");
        line(&mut out, "a=msid-semantic: WMS");
        for (mid, media) in self.sections.iter().enumerate() {
            self.section(&mut out, mid, media);
        }
        out
    }

    fn section(&self, out: &mut String, mid: usize, media: &Media) {
        let (video, prefer_h264) = match media {
            Media::Data => return self.data_section(out, mid),
            Media::Receive { video, .. } => (*video, false),
            Media::Send {
                video, prefer_h264, ..
            } => (*video, *prefer_h264),
        };
        line(out, media_line(video, prefer_h264));
        line(out, "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0");
        self.transport(out, mid);
        let offered = |(id, _): &(u8, &str)| self.reports_arrivals || *id != extension::TRANSPORT_CC;
        for (id, uri) in extensions(video).into_iter().filter(offered) {
            line(out, &format!("a=extmap:{id} {uri}"));
        }
        match media {
            Media::Receive { inactive: true, .. } => line(out, "a=inactive"),
            Media::Receive { .. } => line(out, "a=recvonly"),
            Media::Send { cid, .. } => line(out, &format!("a=sendonly\r\na=msid:stream-of-{cid} {cid}")),
            Media::Data => {}
        }
        line(out, "a=rtcp-mux\r\na=rtcp-rsize");
        let codecs = if video { VIDEO_CODECS } else { AUDIO_CODECS };
        let is_rtx = |text: &&str| text.contains(" rtx/") || text.contains(" apt=");
        let offered = |text: &&str| {
            (self.retransmits || !is_rtx(text)) && (self.repairs_sound || !text.starts_with("a=rtcp-fb:111 "))
        };
        for text in codecs.lines().filter(offered) {
            line(out, text);
        }
        if let Media::Send { rids, .. } = media
            && !rids.is_empty()
        {
            for rid in rids {
                line(out, &format!("a=rid:{rid} send"));
            }
            line(out, &format!("a=simulcast:send {}", rids.join(";")));
        }
    }

    fn data_section(&self, out: &mut String, mid: usize) {
        line(
            out,
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0",
        );
        self.transport(out, mid);
        line(out, "a=sctp-port:5000\r\na=max-message-size:262144");
    }

    fn transport(&self, out: &mut String, mid: usize) {
        line(
            out,
            &format!("a=ice-ufrag:{}\r\na=ice-pwd:{}", self.ufrag, self.password),
        );
        line(out, "a=ice-options:trickle");
        line(
            out,
            &format!(
                "a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=mid:{mid}",
                self.fingerprint
            ),
        );
    }
}

fn line(out: &mut String, text: &str) {
    write!(out, "{text}\r\n").expect("invariant: writing to a string does not fail");
}

const fn media_line(video: bool, prefer_h264: bool) -> &'static str {
    match (video, prefer_h264) {
        (false, _) => "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
        (true, false) => "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 106 107 108 109 45 46 116 117 118",
        (true, true) => "m=video 9 UDP/TLS/RTP/SAVPF 106 107 108 109 96 97 98 99 45 46 116 117 118",
    }
}

fn extensions(video: bool) -> Vec<(u8, &'static str)> {
    let mut all = vec![
        (extension::ABS_SEND_TIME, Uri::ABS_SEND_TIME),
        (extension::TRANSPORT_CC, Uri::TRANSPORT_CC),
        (extension::MID, Uri::MID),
    ];
    if video {
        all.extend([
            (14, "urn:ietf:params:rtp-hdrext:toffset"),
            (13, "urn:3gpp:video-orientation"),
            (extension::RID, Uri::RID),
            (extension::REPAIRED_RID, Uri::REPAIRED_RID),
        ]);
    } else {
        all.push((extension::AUDIO_LEVEL, Uri::AUDIO_LEVEL));
    }
    all
}

const AUDIO_CODECS: &str = "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
a=rtpmap:126 telephone-event/8000\r\n";

const VIDEO_CODECS: &str = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n\
a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
a=rtpmap:98 VP9/90000\r\na=rtcp-fb:98 nack\r\na=fmtp:98 profile-id=0\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n\
a=rtpmap:106 H264/90000\r\na=rtcp-fb:106 transport-cc\r\na=rtcp-fb:106 ccm fir\r\na=rtcp-fb:106 nack\r\n\
a=rtcp-fb:106 nack pli\r\na=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
a=rtpmap:107 rtx/90000\r\na=fmtp:107 apt=106\r\na=rtpmap:108 H264/90000\r\na=rtcp-fb:108 transport-cc\r\n\
a=rtcp-fb:108 ccm fir\r\na=rtcp-fb:108 nack\r\na=rtcp-fb:108 nack pli\r\n\
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:109 rtx/90000\r\n\
a=fmtp:109 apt=108\r\na=rtpmap:45 AV1/90000\r\na=rtpmap:46 rtx/90000\r\na=fmtp:46 apt=45\r\na=rtpmap:116 red/90000\r\n\
a=rtpmap:117 rtx/90000\r\na=fmtp:117 apt=116\r\na=rtpmap:118 ulpfec/90000\r\n";
