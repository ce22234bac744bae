//! Sections of our own offers: what a client could receive on them, in numbers we choose.
//!
//! They are written as if a client had offered them, so that one piece of code decides which section carries what.

use super::codecs::{OfferedCodec, matched};
use super::{ExtensionIds, Section, SectionKind};

/// Header extensions of our offers; the ids browsers use themselves.
const EXTENSIONS: ExtensionIds = ExtensionIds {
    mid: Some(4),
    rid: None,
    repaired_rid: None,
    audio_level: Some(1),
    transport_cc: Some(3),
    abs_send_time: Some(2),
    dependency: Some(12),
};

/// A section to send on, or the one of the data channels. Its mid is its position.
pub(crate) fn our_section(kind: SectionKind, position: usize) -> Section {
    let (media, protocol, codecs) = match kind {
        SectionKind::Audio => ("audio", "UDP/TLS/RTP/SAVPF", audio_codecs()),
        SectionKind::Video => ("video", "UDP/TLS/RTP/SAVPF", video_codecs()),
        SectionKind::Data | SectionKind::Unknown => ("application", "UDP/DTLS/SCTP", Vec::new()),
    };
    let formats = if codecs.is_empty() {
        vec!["webrtc-datachannel".to_owned()]
    } else {
        codecs.iter().map(|codec| codec.pt.to_string()).collect()
    };
    Section {
        kind,
        media: media.to_owned(),
        protocol: protocol.to_owned(),
        formats,
        mid: position.to_string(),
        rejected: false,
        sends: false,
        receives: true,
        msid: Vec::new(),
        matched: matched(kind, &codecs),
        extensions: EXTENSIONS,
        rids: Vec::new(),
        ssrcs: Vec::new(),
        repaired_by: Vec::new(),
        reduced_size_rtcp: true,
        max_message_bytes: 0,
    }
}

fn audio_codecs() -> Vec<OfferedCodec> {
    let opus = "minptime=10;useinbandfec=1";
    vec![
        codec(111, ("opus", 48_000), opus, &["transport-cc", "nack"]),
        codec(63, ("red", 48_000), "111/111", &[]),
    ]
}

fn video_codecs() -> Vec<OfferedCodec> {
    let feedback = ["transport-cc", "ccm fir", "nack", "nack pli"];
    let h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    vec![
        codec(96, ("vp8", 90_000), "", &feedback),
        codec(97, ("rtx", 90_000), "apt=96", &[]),
        codec(102, ("h264", 90_000), h264, &feedback),
        codec(103, ("rtx", 90_000), "apt=102", &[]),
        codec(98, ("vp9", 90_000), "profile-id=0", &feedback),
        codec(99, ("rtx", 90_000), "apt=98", &[]),
        codec(45, ("av1", 90_000), "level-idx=5;profile=0;tier=0", &feedback),
        codec(46, ("rtx", 90_000), "apt=45", &[]),
    ]
}

fn codec(pt: u8, (name, clock_rate): (&str, u32), format: &str, feedback: &[&str]) -> OfferedCodec {
    OfferedCodec {
        pt,
        name: name.to_owned(),
        clock_rate,
        format: format.to_owned(),
        feedback: feedback.iter().map(|line| (*line).to_owned()).collect(),
    }
}
