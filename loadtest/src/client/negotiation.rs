//! What the sections of an answer mean for what is sent and what is read.

use super::receive::{Announced, Mapping};
use super::send::{ExtensionIds, PayloadTypes, Section};
use crate::sdp::{AnswerSection, MediaKind, uri};
use crate::trace::Codec;

/// How a source is sent, by the section of the answer; `None` if the codec was refused.
pub(super) fn upward(section: &AnswerSection, codec: Codec) -> Option<Section> {
    let (media, rtx) = section
        .codecs
        .iter()
        .find(|(_, known)| known.codec == Some(codec))
        .map(|(payload_type, known)| (*payload_type, known.rtx))?;
    let id = |uri: &str| section.extensions.get(uri).copied().unwrap_or(0);
    Some(Section {
        mid: section.mid.clone(),
        types: PayloadTypes { media, rtx },
        ids: ExtensionIds {
            mid: id(uri::MID),
            rid: id(uri::RID),
            repaired_rid: id(uri::REPAIRED_RID),
            audio_level: id(uri::AUDIO_LEVEL),
            abs_send_time: id(uri::ABS_SEND_TIME),
            transport_cc: id(uri::TRANSPORT_CC),
        },
    })
}

/// How what comes is to be read.
pub(super) fn downward(sections: &[AnswerSection]) -> (Mapping, Vec<Announced>) {
    let mut mapping = Mapping::default();
    let mut streams = Vec::new();
    let media = |section: &&AnswerSection| !section.rejected && section.kind != MediaKind::Application;
    for section in sections.iter().filter(media) {
        for (payload_type, known) in &section.codecs {
            if let Some(codec) = known.codec {
                mapping.codecs.insert(*payload_type, codec);
            }
            mapping.rtx.extend(known.rtx);
            if let (Some(red), Some(codec)) = (known.red, known.codec) {
                mapping.codecs.insert(red, codec);
                mapping.redundant.insert(red);
            }
        }
        mapping.transport_cc = mapping
            .transport_cc
            .or_else(|| section.extensions.get(uri::TRANSPORT_CC).copied());
        if let (true, Some(ssrc)) = (section.sends, section.ssrc) {
            streams.push(Announced {
                ssrc,
                rtx_ssrc: section.rtx_ssrc,
            });
        }
    }
    (mapping, streams)
}
