//! Which section carries which track, over all offers of a client.
//!
//! A section that carried a track to the client and no longer does is answered inactive once before it may carry
//! another: only then do clients report the old track as ended and the new one as begun.

use super::demux::UplinkSection;
use super::io::{Announced, Downlink, Uplink, Wanted};
use super::random::SeededRandom;
use super::sdp::{AnswerSection, Matched, Role, Section, SectionKind};
use relay_proto::id::{Layer, TrackSid};
use relay_proto::room::MediaKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names of simulcast streams whose order is known, smallest first.
const KNOWN_RIDS: [&str; 3] = ["q", "h", "f"];
/// Largest id of a one-byte header extension, which is what forwarders write.
const MAX_ONE_BYTE_ID: u8 = 14;

/// What a section carried after the last offer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Carried {
    Nothing,
    FromClient(TrackSid),
    ToClient {
        track: TrackSid,
        ssrc: u32,
        rtx_ssrc: u32,
    },
}

/// The memory of the answerer: one entry per mid of the latest offer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assignments {
    sections: BTreeMap<String, Carried>,
}

/// What an offer led to, section by section.
#[derive(Debug)]
pub(crate) struct Assigned<'o> {
    pub(crate) answer: Vec<AnswerSection<'o>>,
    pub(crate) uplinks: Vec<Uplink>,
    pub(crate) uplink_sections: Vec<UplinkSection>,
    pub(crate) downlinks: Vec<Downlink>,
    pub(crate) more_audios: u32,
    pub(crate) more_videos: u32,
    pub(crate) offer_again: bool,
    /// Sections that are needed before this offer is over: those freed just now serve at the next one.
    pub(crate) lacking_audios: u32,
    pub(crate) lacking_videos: u32,
    pub(crate) free_audios: u32,
    pub(crate) free_videos: u32,
}

/// One section while it is being decided on.
struct Draft<'o> {
    section: &'o Section,
    matched: Arc<[Matched]>,
    before: Carried,
    after: Carried,
    role: Role,
}

impl Draft<'_> {
    /// Whether it could carry a track of this codec to the client.
    fn could_carry(&self, wanted: &Wanted<'_>) -> bool {
        let idle = matches!(self.role, Role::Idle(_)) && self.section.receives;
        idle && self.matched.iter().any(|matched| matched.codec == wanted.codec)
    }
}

impl Assignments {
    /// Decides on every section of an offer and remembers it. `wanted` is in order of priority; a track that has a
    /// section keeps it.
    pub(crate) fn apply<'o>(
        &mut self,
        sections: &'o [Section],
        announced: &[Announced<'_>],
        wanted: &[Wanted<'_>],
        random: &mut SeededRandom,
    ) -> Assigned<'o> {
        let mut drafts: Vec<Draft<'o>> = sections.iter().map(|section| self.draft(section)).collect();
        keep_one_data_section(&mut drafts);
        assign_uplinks(&mut drafts, announced);
        keep_downlinks(&mut drafts, wanted);
        let missing = assign_downlinks(&mut drafts, wanted, random);
        self.sections = drafts
            .iter()
            .map(|draft| (draft.section.mid.clone(), draft.after.clone()))
            .collect();
        finish(drafts, &missing)
    }

    fn draft<'o>(&self, section: &'o Section) -> Draft<'o> {
        let matched = Arc::clone(&section.matched);
        let role = match section.kind {
            _ if section.rejected => Role::Rejected,
            SectionKind::Data => Role::Data,
            SectionKind::Audio | SectionKind::Video if !matched.is_empty() => Role::Idle(matched.clone()),
            _ => Role::Rejected,
        };
        let before = self
            .sections
            .get(&section.mid)
            .cloned()
            .unwrap_or(Carried::Nothing);
        Draft {
            section,
            matched,
            before,
            after: Carried::Nothing,
            role,
        }
    }
}

fn keep_one_data_section(drafts: &mut [Draft<'_>]) {
    for draft in drafts.iter_mut().filter(|draft| draft.role == Role::Data).skip(1) {
        draft.role = Role::Rejected;
    }
}

/// Binds sections the client sends on to announced tracks: by a token of the msid, else to what they carried before.
fn assign_uplinks(drafts: &mut [Draft<'_>], announced: &[Announced<'_>]) {
    let mut bound = BTreeSet::new();
    for draft in drafts.iter_mut().filter(|draft| draft.section.sends) {
        if !matches!(draft.role, Role::Idle(_)) {
            continue;
        }
        let free = |track: &&Announced<'_>| {
            !bound.contains(track.track) && Some(track.kind) == media_kind(draft.section.kind)
        };
        let named = announced
            .iter()
            .filter(free)
            .find(|track| names(draft.section, track.cid));
        let carried = || {
            announced
                .iter()
                .filter(free)
                .find(|track| draft.before == Carried::FromClient(track.track.clone()))
        };
        if let Some(track) = named.or_else(carried) {
            bound.insert(track.track.clone());
            draft.after = Carried::FromClient(track.track.clone());
            let liked = draft
                .matched
                .iter()
                .find(|matched| Some(matched.codec) == track.codec);
            let matched = liked.unwrap_or(&draft.matched[0]).clone();
            draft.role =
                Role::Uplink(matched.announced(track.stereo, track.dtx_disabled, track.red_disabled));
        }
    }
}

/// Whether a token of the msid is the cid; some browsers put it in braces.
fn names(section: &Section, cid: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches('{').trim_end_matches('}').to_owned();
    section.msid.iter().any(|token| bare(token) == bare(cid))
}

/// Tracks that are still wanted stay where they are.
fn keep_downlinks(drafts: &mut [Draft<'_>], wanted: &[Wanted<'_>]) {
    for draft in drafts {
        let Carried::ToClient {
            track,
            ssrc,
            rtx_ssrc,
        } = draft.before.clone()
        else {
            continue;
        };
        let still = wanted
            .iter()
            .find(|wanted| *wanted.track == track)
            .filter(|wanted| draft.could_carry(wanted));
        if let Some(wanted) = still {
            carry(draft, wanted, ssrc, rtx_ssrc);
        }
    }
}

/// Gives free sections to tracks without one; the tracks that found none.
fn assign_downlinks<'w, 'a>(
    drafts: &mut [Draft<'_>],
    wanted: &'w [Wanted<'a>],
    random: &mut SeededRandom,
) -> Vec<&'w Wanted<'a>> {
    let carried: BTreeSet<TrackSid> = drafts
        .iter()
        .filter_map(|draft| carried_to_client(&draft.after))
        .collect();
    let mut missing = Vec::new();
    for wanted in wanted.iter().filter(|wanted| !carried.contains(wanted.track)) {
        let fresh =
            |draft: &&mut Draft<'_>| draft.could_carry(wanted) && carried_to_client(&draft.before).is_none();
        match drafts.iter_mut().find(fresh) {
            Some(draft) => carry(draft, wanted, random.number(), random.number()),
            None => missing.push(wanted),
        }
    }
    missing
}

fn carry(draft: &mut Draft<'_>, wanted: &Wanted<'_>, ssrc: u32, rtx_ssrc: u32) {
    let Some(matched) = draft
        .matched
        .iter()
        .find(|matched| matched.codec == wanted.codec)
        .cloned()
    else {
        return;
    };
    draft.after = Carried::ToClient {
        track: wanted.track.clone(),
        ssrc,
        rtx_ssrc,
    };
    draft.role = Role::Downlink {
        rtx_ssrc: matched.rtx_pt.map(|_| rtx_ssrc),
        matched,
        stream_id: wanted.stream_id.to_owned(),
        track_id: wanted.track.to_string(),
        ssrc,
    };
}

fn carried_to_client(carried: &Carried) -> Option<TrackSid> {
    match carried {
        Carried::ToClient { track, .. } => Some(track.clone()),
        _ => None,
    }
}

fn finish<'o>(drafts: Vec<Draft<'o>>, missing: &[&Wanted<'_>]) -> Assigned<'o> {
    let audios = shortage(&drafts, missing, MediaKind::Audio);
    let videos = shortage(&drafts, missing, MediaKind::Video);
    let mut assigned = Assigned {
        answer: Vec::with_capacity(drafts.len()),
        uplinks: Vec::new(),
        uplink_sections: Vec::new(),
        downlinks: Vec::new(),
        more_audios: audios.more,
        more_videos: videos.more,
        offer_again: audios.freed + videos.freed > 0,
        lacking_audios: audios.more + audios.freed,
        lacking_videos: videos.more + videos.freed,
        free_audios: free_sections(&drafts, MediaKind::Audio),
        free_videos: free_sections(&drafts, MediaKind::Video),
    };
    for Draft {
        section, after, role, ..
    } in drafts
    {
        match (&role, &after) {
            (Role::Uplink(matched), Carried::FromClient(track)) => {
                let uplink = uplink_section(section, matched, track);
                assigned.uplinks.push(uplink_of(&uplink));
                assigned.uplink_sections.push(uplink);
            }
            (
                Role::Downlink {
                    matched,
                    ssrc,
                    rtx_ssrc,
                    ..
                },
                Carried::ToClient { track, .. },
            ) => {
                assigned
                    .downlinks
                    .push(downlink(section, matched, track, *ssrc, *rtx_ssrc));
            }
            _ => {}
        }
        assigned.answer.push(AnswerSection { section, role });
    }
    assigned
}

/// What is needed of a kind and has no section.
#[derive(Clone, Copy, Debug, Default)]
struct Shortage {
    /// More sections.
    more: u32,
    /// What one that was freed just now can serve, at the next offer.
    freed: u32,
}

/// How many sections of a kind are needed. Codecs no section of the client knows are not worth asking for.
fn shortage(drafts: &[Draft<'_>], missing: &[&Wanted<'_>], kind: MediaKind) -> Shortage {
    let of_kind = || {
        drafts
            .iter()
            .filter(|draft| media_kind(draft.section.kind) == Some(kind))
    };
    let known = |wanted: &&&Wanted<'_>| {
        let codec = wanted.codec;
        let mut any = of_kind().filter(|draft| draft.section.receives).peekable();
        any.peek().is_none() || any.any(|draft| draft.matched.iter().any(|matched| matched.codec == codec))
    };
    let needed = missing
        .iter()
        .filter(|wanted| wanted.codec.kind() == kind)
        .filter(known);
    let mut freed: Vec<&Draft<'_>> = of_kind()
        .filter(|draft| carried_to_client(&draft.before).is_some())
        .collect();
    let mut shortage = Shortage::default();
    for wanted in needed {
        match freed.iter().position(|draft| draft.could_carry(wanted)) {
            Some(at) => {
                freed.swap_remove(at);
                shortage.freed += 1;
            }
            None => shortage.more += 1,
        }
    }
    shortage
}

/// Receiving sections of a kind that carry nothing now.
fn free_sections(drafts: &[Draft<'_>], kind: MediaKind) -> u32 {
    let free = drafts.iter().filter(|draft| {
        media_kind(draft.section.kind) == Some(kind)
            && draft.section.receives
            && matches!(draft.role, Role::Idle(_))
    });
    u32::try_from(free.count()).unwrap_or(u32::MAX)
}

fn media_kind(kind: SectionKind) -> Option<MediaKind> {
    match kind {
        SectionKind::Audio => Some(MediaKind::Audio),
        SectionKind::Video => Some(MediaKind::Video),
        SectionKind::Data | SectionKind::Unknown => None,
    }
}

fn uplink_section(section: &Section, matched: &Matched, track: &TrackSid) -> UplinkSection {
    UplinkSection {
        mid: section.mid.clone(),
        track: track.clone(),
        codec: matched.codec,
        pt: matched.pt,
        rtx_pt: matched.rtx_pt,
        red_pt: matched.red_pt,
        repaired: matched.is_repaired(),
        rids: layers(&section.rids),
        declared: section.ssrcs.clone(),
        repaired_by: section.repaired_by.clone(),
    }
}

/// Layers of simulcast streams: by their names where all are known, by position otherwise; always 0, 1, … without gap.
fn layers(rids: &[String]) -> Vec<(String, Layer)> {
    let rank = |rid: &String| KNOWN_RIDS.iter().position(|known| known == rid);
    let mut ordered: Vec<&String> = rids.iter().collect();
    if rids.iter().all(|rid| rank(rid).is_some()) {
        ordered.sort_by_key(|rid| rank(rid));
    }
    ordered
        .into_iter()
        .zip(0_u8..)
        .map(|(rid, layer)| (rid.clone(), Layer(layer)))
        .collect()
}

fn uplink_of(section: &UplinkSection) -> Uplink {
    Uplink {
        mid: section.mid.clone(),
        track: section.track.clone(),
        codec: section.codec,
        repaired: section.repaired,
        simulcast: section.rids.len() > 1,
        layers: u8::try_from(section.rids.len().max(1)).expect("invariant: at most three layers are taken"),
    }
}

fn downlink(
    section: &Section,
    matched: &Matched,
    track: &TrackSid,
    ssrc: u32,
    rtx_ssrc: Option<u32>,
) -> Downlink {
    let short = |id: Option<u8>| id.filter(|id| *id <= MAX_ONE_BYTE_ID);
    let ids = section.extensions;
    Downlink {
        mid: section.mid.clone(),
        track: track.clone(),
        codec: matched.codec,
        pt: matched.pt,
        rtx_pt: matched.rtx_pt,
        red_pt: matched.red_pt,
        ssrc,
        rtx_ssrc,
        mid_ext: short(ids.mid),
        abs_send_time_ext: short(ids.abs_send_time),
        dependency_ext: short(ids.dependency).filter(|_| section.kind == SectionKind::Video),
        audio_level_ext: short(ids.audio_level).filter(|_| section.kind == SectionKind::Audio),
    }
}

#[cfg(test)]
mod tests;
