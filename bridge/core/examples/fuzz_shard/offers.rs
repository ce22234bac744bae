//! Session descriptions: offers of real layout, damaged as text, and applied in any state of a session.

use crate::fuzzing::{Random, Tally, throwing};
use crate::world::{World, session};
use bridge_core::rtc::testing::OfferBuilder;
use bridge_core::shard::io::ShardCommand;
use relay_proto::id::TrackSid;
use relay_proto::room::MediaKind;

const INPUTS: u64 = 250;
/// Bytes of a section many times over: a little more than any description may have.
const MOST_REPEATED_BYTES: usize = 600 << 10;

/// Lines that are valid somewhere, or nearly.
const LINES: [&str; 24] = [
    "a=simulcast:send q;h;f",
    "a=simulcast:send ;;;~q,h;f recv",
    "a=simulcast:recv q",
    "a=rid:q send",
    "a=rid: send pt=96,97;max-width=",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:99999/sendonly http://x y z",
    "a=rtpmap:96 VP8/90000",
    "a=rtpmap:-1 opus/48000/2",
    "a=rtpmap:96",
    "a=fmtp:97 apt=97",
    "a=fmtp:97 apt=96;apt=97",
    "a=fmtp:106 packetization-mode=9;profile-level-id=zz",
    "a=ssrc-group:FID 1 2 3 4 5 6 7 8",
    "a=ssrc:4294967295 cname:x",
    "a=ssrc:99999999999 msid:a b",
    "a=msid:- cam",
    "a=mid:",
    "a=sctp-port:0",
    "a=max-message-size:0",
    "a=group:BUNDLE",
    "a=fingerprint:sha-256 00",
    "m=video 0 UDP/TLS/RTP/SAVPF 96",
];

/// One round.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut world = World::new(random.next());
    for serial in [1, 2] {
        world.open(serial);
        world.announce(serial, &format!("mic{serial}"), MediaKind::Audio);
        world.announce(serial, &format!("cam{serial}"), MediaKind::Video);
    }
    for _ in 0..INPUTS {
        let serial = 1 + random.below(2) as u32;
        let sdp = offer(random, serial);
        throwing(sdp.as_bytes());
        world.offer(session(serial), sdp);
        match random.below(12) {
            0 => world.pass(random.below(40)),
            1 => world.command(ShardCommand::SetSubscription {
                session: session(serial),
                tracks: vec![TrackSid(format!("TR_cam{}", 3 - serial))],
                wanted: random.once_in(2),
            }),
            2 => world.announce(serial, &format!("cam{serial}"), MediaKind::Video),
            3 if random.once_in(8) => {
                world.command(ShardCommand::CloseSession {
                    session: session(serial),
                });
                world.open(serial);
            }
            _ => {}
        }
    }
    Tally {
        inputs: INPUTS,
        accepted: world.answered,
    }
}

fn offer(random: &mut Random, serial: u32) -> String {
    let mut offer = OfferBuilder::new();
    for _ in 0..random.below(9) {
        match random.below(6) {
            0 => offer.receive_audio(1 + random.below(3)),
            1 => offer.receive_video(1 + random.below(3)),
            2 => offer.data(),
            3 => offer.send_audio(&format!("mic{serial}")),
            4 => offer.send_h264(&format!("cam{serial}")),
            _ => {
                let rids: &[&str] = random.of(&[
                    &[] as &[&str],
                    &["q"],
                    &["q", "h", "f"],
                    &["f", "x", "q", "h", "1"],
                ]);
                offer.send_video(&format!("cam{serial}"), rids)
            }
        };
    }
    if random.once_in(6) {
        offer.credentials("else", "elseelseelseelseelseelse");
    }
    let sdp = offer.build();
    if random.once_in(4) {
        return sdp;
    }
    let mut lines: Vec<String> = sdp.split("\r\n").map(str::to_owned).collect();
    for _ in 0..=random.below(4) {
        damage_lines(random, &mut lines);
    }
    let text = lines.join(if random.once_in(10) { "\n" } else { "\r\n" });
    if random.once_in(5) {
        let mut bytes = text.into_bytes();
        random.damage(&mut bytes);
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    text
}

fn damage_lines(random: &mut Random, lines: &mut Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let (at, other) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(9) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => lines.insert(at, random.of(&LINES).to_owned()),
        4 => lines[at] = with_other_number(random, &lines[at]),
        5 => lines[at] = lines[at].replace(' ', random.of(&["", "  ", "\t", " 1 "])),
        6 => lines[at].push_str(&"x".repeat(random.below(20_000))),
        7 => {
            // A section many times over.
            let begins = lines.iter().position(|line| line.starts_with("m=")).unwrap_or(0);
            let mut section = lines[begins..lines.len().min(begins + 12)].to_vec();
            section.retain(|line| line.len() < 1_000);
            let bytes: usize = section.iter().map(String::len).sum();
            let most = (MOST_REPEATED_BYTES / bytes.max(1)).min(9_000 / section.len().max(1));
            for _ in 0..random.below(700).min(most) {
                lines.extend_from_slice(&section);
            }
        }
        _ => {
            let mut line = lines[at].clone();
            line.truncate(line.floor_char_boundary(1_000));
            lines.extend(std::iter::repeat_n(line, random.below(400)));
        }
    }
}

/// Another number in place of the first of a line.
fn with_other_number(random: &mut Random, line: &str) -> String {
    let Some(begins) = line.find(|letter: char| letter.is_ascii_digit()) else {
        return line.to_owned();
    };
    let rest = line[begins..].trim_start_matches(|letter: char| letter.is_ascii_digit());
    let numbers = [
        "0",
        "-1",
        "1",
        "15",
        "255",
        "256",
        "65535",
        "65536",
        "4294967296",
        "99999999999999999999",
        "",
    ];
    format!("{}{}{rest}", &line[..begins], random.of(&numbers))
}
