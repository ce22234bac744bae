//! Writing an answer, or an offer of ours: ICE-lite, DTLS passive (offered as either), one bundle, candidates inline.
//!
//! The order of sections is the offer's. Native clients abort on SDP they cannot parse, so nothing unusual is written.

use super::{ExtensionIds, Matched, Section};
use crate::rtc::dtls::Fingerprint;
use crate::rtc::ice::Credentials;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// Priority of the first host candidate (RFC 8445 section 5.1.2: type 126, component 1).
const HOST_PRIORITY: u32 = 126 << 24 | 0xffff << 8 | 255;
/// The same for TCP: below every kind of UDP candidate (RFC 6544 section 4.2 leaves the number open; 90 is libwebrtc's),
/// direction preference 4 for passive ones.
const TCP_PRIORITY: u32 = 90 << 24 | ((4 << 13) | 0x1fff) << 8 | 255;
/// The sender name in RTCP terms; says nothing about anybody.
const CNAME: &str = "causeway";

/// What stands once in an answer.
#[derive(Debug)]
pub(crate) struct AnswerHead<'a> {
    pub(crate) session_id: u32,
    pub(crate) version: u32,
    pub(crate) credentials: &'a Credentials,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) candidates: &'a [SocketAddr],
    pub(crate) tcp_candidates: &'a [SocketAddr],
    pub(crate) allow_mixed: bool,
    pub(crate) max_message_bytes: usize,
    /// It is an offer of ours: the client takes a part of what it says.
    pub(crate) offers: bool,
}

/// What a section is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Given up, or of no use to us.
    Rejected,
    /// Data channels.
    Data,
    /// Kept open without a track.
    Idle(Arc<[Matched]>),
    /// The client sends.
    Uplink(Matched),
    /// We send.
    Downlink {
        matched: Matched,
        stream_id: String,
        track_id: String,
        ssrc: u32,
        rtx_ssrc: Option<u32>,
    },
}

/// A section of the offer and its use.
#[derive(Debug)]
pub(crate) struct AnswerSection<'a> {
    pub(crate) section: &'a Section,
    pub(crate) role: Role,
}

/// Writes the whole answer.
pub(crate) fn write_answer(head: &AnswerHead<'_>, sections: &[AnswerSection<'_>]) -> String {
    let mut out = String::with_capacity(1024 + 700 * sections.len());
    write_all(&mut out, head, sections).expect("invariant: writing to a string does not fail");
    out
}

fn write_all(out: &mut String, head: &AnswerHead<'_>, sections: &[AnswerSection<'_>]) -> fmt::Result {
    let AnswerHead {
        session_id, version, ..
    } = head;
    let used = |section: &&AnswerSection<'_>| section.role != Role::Rejected;
    write!(
        out,
        "v=0\r\no=- {session_id} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE"
    )?;
    for section in sections.iter().filter(used) {
        write!(out, " {}", section.section.mid)?;
    }
    write!(out, "\r\na=ice-lite\r\na=msid-semantic: WMS *\r\n")?;
    if head.allow_mixed {
        write!(out, "a=extmap-allow-mixed\r\n")?;
    }
    let transport = sections.iter().position(|section| used(&section));
    let everywhere = transport_lines(head);
    for (position, AnswerSection { section, role }) in sections.iter().enumerate() {
        write_media_line(out, section, role)?;
        if *role == Role::Rejected {
            write!(out, "c=IN IP4 0.0.0.0\r\na=mid:{}\r\na=inactive\r\n", section.mid)?;
            continue;
        }
        write_transport(out, head, transport == Some(position))?;
        write!(out, "{everywhere}a=mid:{}\r\n", section.mid)?;
        match role {
            Role::Rejected => {}
            Role::Data => {
                write!(
                    out,
                    "a=sctp-port:5000\r\na=max-message-size:{}\r\n",
                    head.max_message_bytes
                )?;
            }
            Role::Idle(matched) => write_media(out, section, matched, Direction::Inactive)?,
            Role::Uplink(matched) => {
                write_media(out, section, std::slice::from_ref(matched), Direction::Receives)?
            }
            Role::Downlink {
                matched,
                stream_id,
                track_id,
                ssrc,
                rtx_ssrc,
            } => {
                let direction = if head.offers {
                    Direction::OffersToSend
                } else {
                    Direction::Sends
                };
                write_media(out, section, std::slice::from_ref(matched), direction)?;
                write!(out, "a=msid:{stream_id} {track_id}\r\n")?;
                if let Some(rtx_ssrc) = rtx_ssrc {
                    write!(out, "a=ssrc-group:FID {ssrc} {rtx_ssrc}\r\n")?;
                }
                for ssrc in std::iter::once(ssrc).chain(rtx_ssrc) {
                    write!(
                        out,
                        "a=ssrc:{ssrc} cname:{CNAME}\r\na=ssrc:{ssrc} msid:{stream_id} {track_id}\r\n"
                    )?;
                }
            }
        }
    }
    Ok(())
}

fn write_media_line(out: &mut String, section: &Section, role: &Role) -> fmt::Result {
    let port = if *role == Role::Rejected { 0 } else { 9 };
    write!(out, "m={} {port} {}", section.media, section.protocol)?;
    let matched: &[Matched] = match role {
        Role::Rejected | Role::Data => {
            for format in &section.formats {
                write!(out, " {format}")?;
            }
            &[]
        }
        Role::Idle(matched) => matched,
        Role::Uplink(matched) | Role::Downlink { matched, .. } => std::slice::from_ref(matched),
    };
    // A client sends what stands first: sound repeats itself on the way up wherever both sides know how.
    let sends = matches!(role, Role::Uplink(_));
    for Matched {
        pt, rtx_pt, red_pt, ..
    } in matched
    {
        let before = red_pt.filter(|_| sends);
        let behind = red_pt.filter(|_| !sends);
        for pt in before.iter().chain([pt]).chain(&behind).chain(rtx_pt) {
            write!(out, " {pt}")?;
        }
    }
    write!(out, "\r\n")
}

fn write_transport(out: &mut String, head: &AnswerHead<'_>, first: bool) -> fmt::Result {
    write!(out, "c=IN IP4 0.0.0.0\r\n")?;
    if first {
        for (position, candidate) in head.candidates.iter().enumerate() {
            let priority = HOST_PRIORITY - (u32::try_from(position).unwrap_or(0xff).min(0xff) << 8);
            let (foundation, ip, port) = (position + 1, candidate.ip(), candidate.port());
            write!(
                out,
                "a=candidate:{foundation} 1 udp {priority} {ip} {port} typ host\r\n"
            )?;
        }
        for (position, candidate) in head.tcp_candidates.iter().enumerate() {
            let priority = TCP_PRIORITY - (u32::try_from(position).unwrap_or(0xff).min(0xff) << 8);
            let foundation = head.candidates.len() + position + 1;
            let (ip, port) = (candidate.ip(), candidate.port());
            write!(
                out,
                "a=candidate:{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive\r\n"
            )?;
        }
        write!(out, "a=end-of-candidates\r\n")?;
    }
    Ok(())
}

/// What stands in every section about the transport they share: put together once.
fn transport_lines(head: &AnswerHead<'_>) -> String {
    let Credentials { ufrag, password } = head.credentials;
    // RFC 8842 section 5.2: an offer takes either role; the client must choose the active one.
    let setup = if head.offers { "actpass" } else { "passive" };
    format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:sha-256 {}\r\na=setup:{setup}\r\n",
        head.fingerprint
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Receives,
    Sends,
    /// As `Sends`, with all feedback that may be answered.
    OffersToSend,
    Inactive,
}

fn write_media(out: &mut String, section: &Section, codecs: &[Matched], direction: Direction) -> fmt::Result {
    let word = match direction {
        Direction::Receives => "recvonly",
        Direction::Sends | Direction::OffersToSend => "sendonly",
        Direction::Inactive => "inactive",
    };
    write!(out, "a={word}\r\na=rtcp-mux\r\n")?;
    if section.reduced_size_rtcp {
        write!(out, "a=rtcp-rsize\r\n")?;
    }
    for matched in codecs {
        write_codec(out, matched, direction != Direction::Sends)?;
    }
    write_extensions(out, section, direction)?;
    if direction == Direction::Receives && !section.rids.is_empty() {
        for rid in &section.rids {
            write!(out, "a=rid:{rid} recv\r\n")?;
        }
        write!(out, "a=simulcast:recv {}\r\n", section.rids.join(";"))?;
    }
    Ok(())
}

fn write_codec(out: &mut String, matched: &Matched, receives: bool) -> fmt::Result {
    let pt = matched.pt;
    let (_, name) = matched.codec.mime().split_once('/').unwrap_or_default();
    let rate = matched.codec.clock_rate();
    let channels = if matched.codec == relay_proto::room::Codec::Opus {
        "/2"
    } else {
        ""
    };
    write!(out, "a=rtpmap:{pt} {name}/{rate}{channels}\r\n")?;
    if !matched.format.is_empty() {
        write!(out, "a=fmtp:{pt} {}\r\n", matched.format)?;
    }
    for line in matched.feedback_lines(receives) {
        write!(out, "a=rtcp-fb:{pt} {line}\r\n")?;
    }
    if let Some(red_pt) = matched.red_pt {
        write!(
            out,
            "a=rtpmap:{red_pt} red/{rate}{channels}\r\na=fmtp:{red_pt} {pt}/{pt}\r\n"
        )?;
    }
    if let Some(rtx_pt) = matched.rtx_pt {
        write!(
            out,
            "a=rtpmap:{rtx_pt} rtx/{rate}\r\na=fmtp:{rtx_pt} apt={pt}\r\n"
        )?;
    }
    Ok(())
}

/// Everything needed to tell streams apart on the way up, also in sections that only go down: Chromium offers a new
/// section no extension that the first section of its kind was refused, and a simulcast section without rid is an error
/// there (measured: Chromium 156, a screen shared after somebody else's picture had come).
fn write_extensions(out: &mut String, section: &Section, direction: Direction) -> fmt::Result {
    let ids = &section.extensions;
    let down = direction != Direction::Receives;
    let video = section.kind == super::SectionKind::Video;
    let mapped = [
        (ids.mid, ExtensionIds::MID, true),
        (ids.rid, ExtensionIds::RID, video),
        (ids.repaired_rid, ExtensionIds::REPAIRED_RID, video),
        (
            ids.audio_level,
            ExtensionIds::AUDIO_LEVEL,
            section.kind == super::SectionKind::Audio,
        ),
        (ids.transport_cc, ExtensionIds::TRANSPORT_CC, true),
        (ids.abs_send_time, ExtensionIds::ABS_SEND_TIME, down),
        (ids.dependency, ExtensionIds::DEPENDENCY, video),
    ];
    for (id, uri, wanted) in mapped {
        if let Some(id) = id.filter(|_| wanted) {
            write!(out, "a=extmap:{id} {uri}\r\n")?;
        }
    }
    Ok(())
}
