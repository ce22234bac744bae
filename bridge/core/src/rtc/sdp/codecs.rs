//! Which of the offered codecs are ours: Opus (with redundancy, RFC 2198, where offered), VP8, H.264, VP9 and AV1 (with
//! RTX where offered).
//!
//! The client's order decides among them, unless it has said at the announcement which one it wants to publish.

use super::SectionKind;
use super::offer::values;
use relay_proto::room::{Codec, MediaKind};
use rtc_sdp::description::media::MediaDescription;
use std::sync::Arc;

/// Feedback we take part in, on the video we receive or send.
const VIDEO_FEEDBACK: [&str; 3] = [NACK, "nack pli", "ccm fir"];
/// Missing packets are named and sent again (RFC 4585, section 6.2.1).
const NACK: &str = "nack";
const TRANSPORT_CC: &str = "transport-cc";

/// A payload type of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfferedCodec {
    pub(crate) pt: u8,
    /// Lower case.
    pub(crate) name: String,
    pub(crate) clock_rate: u32,
    pub(crate) format: String,
    pub(crate) feedback: Vec<String>,
}

impl OfferedCodec {
    /// A parameter of the format.
    fn parameter(&self, key: &str) -> Option<&str> {
        let pairs = self
            .format
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        pairs
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim())
    }
}

/// A codec both sides know, in the client's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) codec: Codec,
    pub(crate) pt: u8,
    pub(crate) rtx_pt: Option<u8>,
    /// Payload type of redundant sound (RFC 2198).
    pub(crate) red_pt: Option<u8>,
    /// Format of the answer.
    pub(crate) format: String,
    /// Feedback of the answer, if we receive the stream (with transport-wide feedback) or send it (without).
    pub(crate) feedback: Vec<String>,
}

impl Matched {
    /// Whether missing packets are asked for again.
    pub(crate) fn is_repaired(&self) -> bool {
        self.feedback.iter().any(|line| line == NACK)
    }

    /// The feedback lines of a section with this direction.
    pub(crate) fn feedback_lines(&self, receives: bool) -> impl Iterator<Item = &str> {
        self.feedback
            .iter()
            .map(String::as_str)
            .filter(move |line| receives || *line != TRANSPORT_CC)
    }
}

/// Codecs of an m-line in the order of its formats.
pub(super) fn read_codecs(media: &MediaDescription, max: usize) -> Vec<OfferedCodec> {
    let attributes = &media.attributes;
    let for_pt = |key: &'static str, pt: &str| -> Vec<String> {
        let own = values(attributes, key)
            .filter_map(|line| line.split_once(' '))
            .filter(|(head, _)| *head == pt);
        own.map(|(_, rest)| rest.trim().to_owned()).collect()
    };
    let formats = media.media_name.formats.iter().take(max);
    formats
        .filter_map(|format| {
            let pt: u8 = format.parse().ok().filter(|pt| *pt < 128)?;
            let mapping = for_pt("rtpmap", format).into_iter().next()?;
            let mut parts = mapping.split('/');
            let name = parts.next()?.to_ascii_lowercase();
            let clock_rate = parts.next()?.parse().ok()?;
            let feedback = for_pt("rtcp-fb", format);
            let format = for_pt("fmtp", format).into_iter().next().unwrap_or_default();
            Some(OfferedCodec {
                pt,
                name,
                clock_rate,
                format,
                feedback,
            })
        })
        .collect()
}

/// What both sides know, at most once per codec, in the client's order.
pub(super) fn matched(kind: SectionKind, offered: &[OfferedCodec]) -> Arc<[Matched]> {
    let mut matched: Vec<Matched> = Vec::new();
    for one in offered {
        let Some(codec) = known_codec(kind, one) else {
            continue;
        };
        let candidate = Matched {
            codec,
            pt: one.pt,
            rtx_pt: rtx_of(offered, one.pt),
            red_pt: red_of(offered, codec, one.pt),
            format: answer_format(codec, one),
            feedback: answer_feedback(codec, one),
        };
        match matched.iter_mut().find(|known| known.codec == codec) {
            // Of several H.264 profiles the constrained one is what everybody decodes.
            Some(known) if is_constrained(&candidate) && !is_constrained(known) => *known = candidate,
            Some(_) => {}
            None => matched.push(candidate),
        }
    }
    matched.into()
}

/// Redundant sound of which all blocks are of `pt`.
fn red_of(offered: &[OfferedCodec], codec: Codec, pt: u8) -> Option<u8> {
    let of_pt = |format: &str| format.split('/').all(|block| block.trim().parse() == Ok(pt));
    let repeats =
        |one: &&OfferedCodec| one.name == "red" && one.clock_rate == codec.clock_rate() && of_pt(&one.format);
    let found = offered.iter().find(repeats).map(|one| one.pt);
    found.filter(|_| codec == Codec::Opus)
}

fn rtx_of(offered: &[OfferedCodec], pt: u8) -> Option<u8> {
    let repairs = |one: &&OfferedCodec| {
        one.name == "rtx" && one.parameter("apt").and_then(|apt| apt.parse().ok()) == Some(pt)
    };
    offered.iter().find(repairs).map(|one| one.pt)
}

impl Matched {
    /// What the client said of its sound when it announced the track goes into the answer, which is what its encoder
    /// obeys (RFC 7587, 6.1). Stereo suppresses no silence, as in [`answer_format`]; pictures are left as they are.
    pub(crate) fn announced(mut self, stereo: bool, dtx_disabled: bool, red_disabled: bool) -> Self {
        if self.codec == Codec::Opus {
            self.red_pt = self.red_pt.filter(|_| !red_disabled);
            if stereo || dtx_disabled {
                self.format = self.format.replace(";usedtx=1", "");
            }
            if stereo && !self.format.contains(";stereo=1") {
                self.format.push_str(";stereo=1");
            }
        }
        self
    }
}

fn known_codec(kind: SectionKind, offered: &OfferedCodec) -> Option<Codec> {
    let codec = match (kind, offered.name.as_str()) {
        (SectionKind::Audio, "opus") => Codec::Opus,
        (SectionKind::Video, "vp8") => Codec::Vp8,
        (SectionKind::Video, "h264") if is_baseline(offered) => Codec::H264,
        (SectionKind::Video, "vp9") if is_profile_0(offered, "profile-id") => Codec::Vp9,
        (SectionKind::Video, "av1") if is_profile_0(offered, "profile") => Codec::Av1,
        _ => return None,
    };
    (codec.clock_rate() == offered.clock_rate).then_some(codec)
}

/// Packetization mode 1 and a baseline profile (66), constrained or not.
fn is_baseline(offered: &OfferedCodec) -> bool {
    let profile = offered.parameter("profile-level-id").unwrap_or("42e01f");
    offered.parameter("packetization-mode") == Some("1") && profile.get(..2).is_some_and(|idc| idc == "42")
}

/// Profile 0 (8 bits, 4:2:0), which is also what no profile means (RFC 9628 section 6, AOM's payload format section 7.2).
fn is_profile_0(offered: &OfferedCodec, parameter: &str) -> bool {
    offered.parameter(parameter).is_none_or(|profile| profile == "0")
}

fn is_constrained(matched: &Matched) -> bool {
    matched.codec == Codec::H264
        && matched
            .format
            .to_ascii_lowercase()
            .contains("profile-level-id=42e0")
}

/// Opus: in-band repair, and silence suppressed unless it is stereo; pictures: as offered.
fn answer_format(codec: Codec, offered: &OfferedCodec) -> String {
    if codec != Codec::Opus {
        return offered.format.clone();
    }
    let mut format = String::from("minptime=10;useinbandfec=1");
    if offered.parameter("stereo") == Some("1") {
        format.push_str(";stereo=1");
        if offered.parameter("sprop-stereo") == Some("1") {
            format.push_str(";sprop-stereo=1");
        }
    } else {
        format.push_str(";usedtx=1");
    }
    format
}

/// Feedback both know. Sound is repaired for browsers although they never offer it: libwebrtc asks for sound, and repeats
/// it, where the *answer* says so (measured: Chromium 150 lost 5 % of a line's sound for good without the line and asked
/// for nothing, and its SDK adds the line to answers only). It is known by the transport-wide feedback it offers for
/// sound; whoever offers neither is answered as RFC 4585 (section 4) has it, with nothing new.
fn answer_feedback(codec: Codec, offered: &OfferedCodec) -> Vec<String> {
    let known: &[&str] = match codec.kind() {
        MediaKind::Audio => &[NACK],
        MediaKind::Video => &VIDEO_FEEDBACK,
    };
    let ours = |line: &&String| line.as_str() == TRANSPORT_CC || known.contains(&line.as_str());
    let mut feedback: Vec<String> = offered.feedback.iter().filter(ours).cloned().collect();
    let has = |feedback: &[String], wanted: &str| feedback.iter().any(|line| line == wanted);
    if codec == Codec::Opus && has(&feedback, TRANSPORT_CC) && !has(&feedback, NACK) {
        feedback.push(NACK.to_owned());
    }
    feedback
}
