//! Answers of a server, read as far as a light client needs.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::{IpAddr, SocketAddr};

use rtc_sdp::description::common::Attribute;
use rtc_sdp::description::media::MediaDescription;
use rtc_sdp::description::session::SessionDescription;
use thiserror::Error;

use super::MediaKind;
use crate::client::Fingerprint;
use crate::trace::Codec;

/// Longest answer that is read: [`super::offer::MOST_SECTIONS`] sections of some 1.5 kB.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// Candidates taken from one answer.
const MOST_CANDIDATES: usize = 32;

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Too long.
    #[error("the server's answer is longer than {MOST_BYTES} bytes")]
    TooLong,
    /// Not SDP.
    #[error("the server's answer is not SDP: {0}")]
    NotSdp(String),
    /// Something every answer has.
    #[error("the server's answer lacks {0}")]
    Lacks(&'static str),
}

/// A codec as one payload type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownCodec {
    /// `None` for one light clients do not know.
    pub codec: Option<Codec>,
    /// Payload type of its retransmissions.
    pub rtx: Option<u8>,
    /// Payload type of packets that repeat it (RFC 2198).
    pub red: Option<u8>,
}

/// One m-line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSection {
    /// Its name.
    pub mid: String,
    /// What it is for.
    pub kind: MediaKind,
    /// Refused, or given up.
    pub rejected: bool,
    /// The server sends here.
    pub sends: bool,
    /// The server takes what we send here.
    pub receives: bool,
    /// Payload types in use.
    pub codecs: BTreeMap<u8, KnownCodec>,
    /// Ids of header extensions.
    pub extensions: BTreeMap<String, u8>,
    /// Stream and track of `a=msid`.
    pub msid: Option<(String, String)>,
    /// SSRC of what the server sends.
    pub ssrc: Option<u32>,
    /// SSRC of its retransmissions.
    pub rtx_ssrc: Option<u32>,
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// User name fragment of ICE.
    pub ice_ufrag: String,
    /// Password of ICE.
    pub ice_password: String,
    /// SHA-256 of the server's certificate.
    pub fingerprint: Option<Fingerprint>,
    /// UDP addresses, best first.
    pub candidates: Vec<SocketAddr>,
    /// In the order of the offer.
    pub sections: Vec<AnswerSection>,
}

impl Answer {
    /// Reads an answer. About 20 µs per section.
    ///
    /// # Errors
    /// [`AnswerError`] says what is missing.
    pub fn parse(text: &str) -> Result<Self, AnswerError> {
        if text.len() > MOST_BYTES {
            return Err(AnswerError::TooLong);
        }
        let sdp = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
            .map_err(|error| AnswerError::NotSdp(error.to_string()))?;
        let sections = sdp.media_descriptions.iter().map(read_section).collect();
        let everywhere = || {
            let of_media = sdp.media_descriptions.iter().flat_map(|media| &media.attributes);
            of_media.chain(&sdp.attributes)
        };
        let first = |key: &str| everywhere().find_map(|attribute| value_of(attribute, key));
        let mut candidates: Vec<(u32, SocketAddr)> = everywhere()
            .filter_map(|attribute| read_candidate(value_of(attribute, "candidate")?))
            .take(MOST_CANDIDATES)
            .collect();
        candidates.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        candidates.dedup();
        Ok(Self {
            ice_ufrag: first("ice-ufrag")
                .ok_or(AnswerError::Lacks("ice-ufrag"))?
                .to_owned(),
            ice_password: first("ice-pwd").ok_or(AnswerError::Lacks("ice-pwd"))?.to_owned(),
            fingerprint: everywhere()
                .filter_map(|attribute| value_of(attribute, "fingerprint"))
                .find_map(read_fingerprint),
            candidates: candidates.into_iter().map(|(_, address)| address).collect(),
            sections,
        })
    }
}

fn value_of<'a>(attribute: &'a Attribute, key: &str) -> Option<&'a str> {
    (attribute.key == key).then_some(attribute.value.as_deref()?)
}

fn read_section(media: &MediaDescription) -> AnswerSection {
    let attributes = &media.attributes;
    let values = |key: &'static str| {
        attributes
            .iter()
            .filter_map(move |attribute| value_of(attribute, key))
    };
    let flag = |key: &str| attributes.iter().any(|attribute| attribute.key == key);
    let (repaired, repairing) = values("ssrc-group")
        .find_map(|group| {
            let mut parts = group.strip_prefix("FID ")?.split_whitespace();
            Some((parts.next()?.parse().ok(), parts.next()?.parse().ok()))
        })
        .unwrap_or_default();
    let first_ssrc = values("ssrc").find_map(|line| line.split_whitespace().next()?.parse().ok());
    AnswerSection {
        mid: values("mid").next().unwrap_or_default().to_owned(),
        kind: match media.media_name.media.as_str() {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            _ => MediaKind::Application,
        },
        rejected: media.media_name.port.value == 0,
        sends: flag("sendonly") || flag("sendrecv"),
        receives: flag("recvonly") || flag("sendrecv"),
        codecs: read_codecs(attributes),
        extensions: values("extmap").filter_map(read_extension).collect(),
        msid: values("msid").find_map(|msid| {
            let (stream, track) = msid.split_once(' ')?;
            Some((stream.to_owned(), track.to_owned()))
        }),
        ssrc: repaired.or(first_ssrc),
        rtx_ssrc: repairing,
    }
}

fn read_codecs(attributes: &[Attribute]) -> BTreeMap<u8, KnownCodec> {
    let mut codecs: BTreeMap<u8, KnownCodec> = BTreeMap::new();
    let (mut rtx, mut red) = (Vec::new(), Vec::new());
    for line in attributes
        .iter()
        .filter_map(|attribute| value_of(attribute, "rtpmap"))
    {
        let Some((payload_type, name)) = line.split_once(' ') else {
            continue;
        };
        let Ok(payload_type) = payload_type.parse() else {
            continue;
        };
        let name = name.split('/').next().unwrap_or_default().to_ascii_lowercase();
        let codec = match name.as_str() {
            "rtx" => {
                rtx.push(payload_type);
                continue;
            }
            "red" => {
                red.push(payload_type);
                continue;
            }
            "opus" => Some(Codec::Opus),
            "vp8" => Some(Codec::Vp8),
            "h264" => Some(Codec::H264),
            _ => None,
        };
        codecs.insert(
            payload_type,
            KnownCodec {
                codec,
                rtx: None,
                red: None,
            },
        );
    }
    for line in attributes
        .iter()
        .filter_map(|attribute| value_of(attribute, "fmtp"))
    {
        let repaired = line.split_once(" apt=").and_then(|(rtx_type, repaired)| {
            let repaired: u8 = repaired.split(';').next()?.trim().parse().ok()?;
            Some((rtx_type.parse::<u8>().ok()?, repaired))
        });
        if let Some((rtx_type, repaired)) = repaired
            && rtx.contains(&rtx_type)
            && let Some(known) = codecs.get_mut(&repaired)
        {
            known.rtx = Some(rtx_type);
        }
        let repeated = line.split_once(' ').and_then(|(red_type, blocks)| {
            let block: u8 = blocks.split('/').next()?.trim().parse().ok()?;
            Some((red_type.parse::<u8>().ok()?, block))
        });
        if let Some((red_type, block)) = repeated
            && red.contains(&red_type)
            && let Some(known) = codecs.get_mut(&block)
        {
            known.red = Some(red_type);
        }
    }
    codecs
}

fn read_extension(line: &str) -> Option<(String, u8)> {
    let (id, uri) = line.split_once(' ')?;
    let id = id.split('/').next()?.parse().ok()?;
    Some((uri.split(' ').next()?.to_owned(), id))
}

/// `foundation component transport priority address port typ …`; UDP of the first component only.
fn read_candidate(line: &str) -> Option<(u32, SocketAddr)> {
    let parts: Vec<&str> = line.split_whitespace().collect();
    let [_, "1", transport, priority, address, port, ..] = parts[..] else {
        return None;
    };
    if !transport.eq_ignore_ascii_case("udp") {
        return None;
    }
    let address: IpAddr = address.parse().ok()?;
    Some((
        priority.parse().ok()?,
        SocketAddr::new(address, port.parse().ok()?),
    ))
}

fn read_fingerprint(line: &str) -> Option<Fingerprint> {
    let (algorithm, digits) = line.split_once(' ')?;
    if !algorithm.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let bytes: Vec<u8> = digits
        .trim()
        .split(':')
        .map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sdp::uri;

    const ANSWER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host\r\n\
a=candidate:2 1 tcp 2130706430 127.0.0.1 7883 typ host tcptype passive\r\n\
a=candidate:3 1 udp 2130706433 127.0.0.2 7884 typ host\r\na=ice-ufrag:uf\r\na=ice-pwd:pw\r\n\
a=fingerprint:sha-256 01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F:20\r\n\
a=setup:passive\r\na=mid:0\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\n\
a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
a=msid:PA_x|camera TR_y\r\na=ssrc-group:FID 11 12\r\na=ssrc:11 cname:c\r\na=ssrc:12 cname:c\r\n\
m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=inactive\r\n";

    #[test]
    fn an_answer_is_read() {
        let answer = Answer::parse(ANSWER).unwrap();
        assert_eq!(
            (answer.ice_ufrag.as_str(), answer.ice_password.as_str()),
            ("uf", "pw")
        );
        let addresses: Vec<String> = answer.candidates.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.2:7884", "127.0.0.1:7882"]);
        assert_eq!(answer.fingerprint.unwrap()[31], 0x20);
        let [up, down, given_up] = &answer.sections[..] else {
            panic!("three sections");
        };
        assert!(up.receives && !up.sends);
        assert_eq!(up.codecs[&111].codec, Some(Codec::Opus));
        assert!(down.sends && given_up.rejected);
        assert_eq!(down.codecs[&96].rtx, Some(97));
        assert_eq!(down.extensions[uri::TRANSPORT_CC], 3);
        assert_eq!((down.ssrc, down.rtx_ssrc), (Some(11), Some(12)));
        assert_eq!(down.msid, Some(("PA_x|camera".to_owned(), "TR_y".to_owned())));
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = ANSWER.replace("a=ice-pwd:pw\r\n", "");
        assert_eq!(Answer::parse(&without), Err(AnswerError::Lacks("ice-pwd")));
        assert!(matches!(Answer::parse("<html>"), Err(AnswerError::NotSdp(_))));
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(cut in 0_usize..1_500, noise in "\\PC{0,40}") {
            let mut text: String = ANSWER.chars().take(cut).collect();
            text.push_str(&noise);
            let _ = Answer::parse(&text);
        }
    }
}
