//! Join requests, messages among participants, tokens: bytes and text that are decoded before there is a session.

use crate::fuzzing::{Random, Tally, throwing};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use livekit_protocol as proto;
use prost::Message as _;
use relay_proto::id::{Identity, ParticipantSid};
use signaling::protocol::{Stamp, decode_join, inspect_data};
use signaling::token::{Claims, Grants, admit, mint};
use std::collections::BTreeMap;
use std::io::Write as _;

const INPUTS: u64 = 400;
/// As `limits.join_request_bytes` is by default.
const JOIN_REQUEST_BYTES: usize = 1024 * 1024;
/// What a bomb unpacks to.
const BOMB_BYTES: usize = 32 * 1024 * 1024;
const NOW_S: u64 = 1_700_000_000;

/// One round of join requests and messages.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut tally = Tally::default();
    let bomb = packed(&bomb_of(random.byte()), true);
    let identity = Identity("ada".to_owned());
    let sid = ParticipantSid("PA_1".to_owned());
    for _ in 0..INPUTS {
        tally.inputs += 1;
        if random.once_in(2) {
            let mut message = message(random).encode_to_vec();
            if !random.once_in(4) {
                random.damage(&mut message);
            }
            throwing(&message);
            let stamp = Stamp {
                identity: &identity,
                sid: &sid,
                reliable: random.once_in(2),
            };
            if let Ok(incoming) = inspect_data(&message, stamp, 64) {
                tally.accepted += 1;
                // What is passed on is in the name of its sender, whatever it claims.
                if let Ok(out) = proto::DataPacket::decode(incoming.stamped.as_slice()) {
                    assert_eq!(out.participant_identity, "ada", "a message in another's name");
                }
            }
            continue;
        }
        let parameter = if random.once_in(40) {
            bomb.clone()
        } else {
            join_parameter(random)
        };
        throwing(parameter.as_bytes());
        if let Ok(join) = decode_join(&parameter, JOIN_REQUEST_BYTES) {
            tally.accepted += 1;
            assert!(
                join.metadata.len() <= JOIN_REQUEST_BYTES,
                "more than the limit was unpacked"
            );
        }
    }
    tally
}

/// Gzip of a run of one byte that is 1,000 times as long as it.
fn bomb_of(byte: u8) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let run = vec![byte; 64 * 1024];
    for _ in 0..BOMB_BYTES / run.len() {
        encoder.write_all(&run).expect("writing to memory does not fail");
    }
    encoder.finish().expect("writing to memory does not fail")
}

fn packed(request: &[u8], gzip: bool) -> String {
    let compression = if gzip {
        proto::wrapped_join_request::Compression::Gzip
    } else {
        proto::wrapped_join_request::Compression::None
    };
    let wrapped = proto::WrappedJoinRequest {
        compression: compression.into(),
        join_request: request.to_vec(),
    };
    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
}

fn join_parameter(random: &mut Random) -> String {
    let request = proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: i32::from(random.byte()),
            version: "2.0".to_owned(),
            protocol: i32::from(random.byte()),
            ..proto::ClientInfo::default()
        }),
        metadata: "m".repeat(random.below(2_000)),
        participant_attributes: (0..random.below(20))
            .map(|at| (format!("key{at}"), "v".repeat(random.below(50))))
            .collect(),
        add_track_requests: (0..random.below(30))
            .map(|at| proto::AddTrackRequest {
                cid: format!("cid{at}"),
                ..proto::AddTrackRequest::default()
            })
            .collect(),
        publisher_offer: Some(proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp: "v=0\r\n".repeat(random.below(500)),
            ..proto::SessionDescription::default()
        }),
        ..proto::JoinRequest::default()
    };
    let mut bytes = request.encode_to_vec();
    if random.once_in(2) {
        random.damage(&mut bytes);
    }
    let gzip = random.once_in(2);
    if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder
            .write_all(&bytes)
            .expect("writing to memory does not fail");
        bytes = encoder.finish().expect("writing to memory does not fail");
        if random.once_in(3) {
            random.damage(&mut bytes);
        }
    }
    let parameter = packed(&bytes, gzip);
    if random.once_in(4) {
        let mut text = parameter.into_bytes();
        random.damage(&mut text);
        return String::from_utf8_lossy(&text).into_owned();
    }
    parameter
}

fn message(random: &mut Random) -> proto::DataPacket {
    let destinations = (0..random.below(80)).map(|at| format!("user{at}")).collect();
    let user = proto::UserPacket {
        payload: random.noise(300),
        topic: Some("chat".to_owned()),
        ..proto::UserPacket::default()
    };
    proto::DataPacket {
        participant_identity: "somebody else".to_owned(),
        participant_sid: "PA_other".to_owned(),
        destination_identities: destinations,
        value: Some(proto::data_packet::Value::User(user)),
        ..proto::DataPacket::default()
    }
}

/// One round of tokens: sound ones, damaged ones, and none that was not signed may be let in.
pub(crate) fn tokens_round(random: &mut Random) -> Tally {
    let keys = BTreeMap::from([(
        "key".to_owned(),
        "a secret of at least thirty-two letters".to_owned(),
    )]);
    let others = BTreeMap::from([(
        "key".to_owned(),
        "another secret of thirty-two letters.".to_owned(),
    )]);
    let mut tally = Tally::default();
    for _ in 0..INPUTS {
        let claims = Claims {
            sub: "ada".to_owned(),
            name: "n".repeat(random.below(100)),
            exp: NOW_S + 60 * random.below(3) as u64,
            nbf: NOW_S,
            video: Grants {
                room_join: !random.once_in(8),
                room: "standup".to_owned(),
                ..Grants::default()
            },
            ..Claims::default()
        };
        let Ok(sound) = mint(claims, if random.once_in(6) { &others } else { &keys }) else {
            continue;
        };
        let token = match random.below(3) {
            0 => sound.clone(),
            1 => {
                let mut bytes = sound.clone().into_bytes();
                random.damage(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            }
            _ => resigned(random, &sound),
        };
        throwing(token.as_bytes());
        tally.inputs += 1;
        if admit(&token, &keys, NOW_S).is_ok() {
            tally.accepted += 1;
            // The last letter of a signature has bits that mean nothing; all others count.
            let (said, signed) = (token.rsplit_once('.'), sound.rsplit_once('.'));
            assert_eq!(
                said.map(|parts| parts.0),
                signed.map(|parts| parts.0),
                "a token nobody signed"
            );
        }
    }
    tally
}

/// Other headers and claims under the old signature, or none.
fn resigned(random: &mut Random, token: &str) -> String {
    let signature = token.rsplit('.').next().unwrap_or_default();
    let header = random.of(&[
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":["HS256"]}"#,
        "{",
        "[[[[[[[[[[[[[[[[",
    ]);
    let claims = random.of(&[
        r#"{"iss":"key","exp":99999999999,"sub":"ada","video":{"roomJoin":true,"room":"standup"}}"#,
        r#"{"iss":"key","exp":-1}"#,
        r#"{"iss":"key","exp":1e99,"video":[]}"#,
        r#"{"iss":null}"#,
        "\"",
    ]);
    let signature = if random.once_in(3) { "" } else { signature };
    format!(
        "{}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    )
}
