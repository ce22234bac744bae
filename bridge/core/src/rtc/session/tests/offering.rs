//! Offers of the node: what they look like over time, and what an answer may and may not do.

use super::*;
use crate::rtc::testing::{AnswererSide, answer};
use std::collections::BTreeMap;

fn session(now: Instant) -> Session {
    Session::new(config(), [9; 32], now)
}

fn wanted(tracks: &[(TrackSid, Codec)]) -> Vec<Wanted<'_>> {
    let wanted = tracks.iter().map(|(track, codec)| Wanted {
        track,
        codec: *codec,
        stream_id: "PA_x|camera",
    });
    wanted.collect()
}

fn numbered(number: u32) -> (TrackSid, Codec) {
    let codec = [Codec::Opus, Codec::Vp8, Codec::H264][number as usize % 3];
    (TrackSid(format!("TR_{number}")), codec)
}

/// Kind, mid and track of every section, in order.
fn sections(sdp: &str) -> Vec<(String, String, Option<String>)> {
    let sections = sdp.split("\r\nm=").skip(1).map(|section| {
        let value = |key: &str| section.lines().find_map(|line| line.strip_prefix(key));
        let kind = section.split(' ').next().unwrap().to_owned();
        let track = value("a=msid:").and_then(|msid| msid.split(' ').nth(1));
        (
            kind,
            value("a=mid:").unwrap().to_owned(),
            track.map(str::to_owned),
        )
    });
    sections.collect()
}

#[test]
fn sections_keep_their_place_are_never_taken_away_and_are_empty_between_two_tracks() {
    let now = testing::instant();
    for seed in 0..40 {
        let mut session = session(now);
        let mut dice = SeededRandom::new(&[seed; 32]);
        let mut before: Vec<(String, String, Option<String>)> = Vec::new();
        let mut ssrcs: BTreeMap<u32, TrackSid> = BTreeMap::new();
        for _ in 0..30 {
            let tracks: Vec<_> = (0..9)
                .filter(|_| dice.number().is_multiple_of(2))
                .map(numbered)
                .collect();
            let offered = session.offer(now, &wanted(&tracks)).unwrap();
            assert_eq!(session.offer(now, &[]), None, "one offer at a time");
            let after = sections(&offered.sdp);
            assert_eq!(after[0].0, "application");
            assert!(after.len() >= before.len());
            for (old, new) in before.iter().zip(&after) {
                assert_eq!((&old.0, &old.1), (&new.0, &new.1));
                let changed = old.2.is_some() && new.2.is_some() && old.2 != new.2;
                assert!(!changed, "{old:?} became {new:?} at once");
            }
            let reply = answer(&offered.sdp, &AnswererSide::default());
            let accepted = session.accept(offered.offer_id, &reply).unwrap().unwrap();
            let told: Vec<_> = offered.sections.iter().map(|(mid, track)| (mid, track)).collect();
            let bound: Vec<_> = accepted
                .downlinks
                .iter()
                .map(|downlink| (&downlink.mid, &downlink.track))
                .collect();
            assert_eq!(told, bound);
            for downlink in &accepted.downlinks {
                let owner = ssrcs
                    .entry(downlink.ssrc)
                    .or_insert_with(|| downlink.track.clone());
                assert_eq!(*owner, downlink.track, "an SSRC belongs to one track");
            }
            // Whatever found no section this time finds one at the next offer.
            if bound.len() < tracks.len() {
                assert!(accepted.offer_again);
                let offered = session.offer(now, &wanted(&tracks)).unwrap();
                let reply = answer(&offered.sdp, &AnswererSide::default());
                let accepted = session.accept(0, &reply).unwrap().unwrap();
                assert_eq!(accepted.downlinks.len(), tracks.len());
                before = sections(&offered.sdp);
            } else {
                before = after;
            }
        }
        // Data, and at most three sounds and six pictures, each section also used while another is emptied.
        assert!(before.len() <= 1 + 2 * 9, "{}", before.len());
    }
}

#[test]
fn a_client_takes_a_part_of_an_offer_and_gets_no_more_than_that() {
    let now = testing::instant();
    let mut session = session(now);
    let tracks = [numbered(0), numbered(1), numbered(2)];
    let offered = session.offer(now, &wanted(&tracks)).unwrap();
    let whole = answer(&offered.sdp, &AnswererSide::default());
    let (sound, pictures) = whole.split_once("m=video").unwrap();
    let (vp8, h264) = pictures.split_once("m=video").unwrap();
    let vp8: String = vp8
        .replace(" 97", "")
        .lines()
        .filter(|line| !line.contains(":97") && !line.contains("transport-wide"))
        .flat_map(|line| [line, "\r\n"])
        .collect();
    let h264 = h264.replace("a=recvonly", "a=inactive");
    let part = format!("{sound}m=video{vp8}m=video{h264}");
    let accepted = session.accept(offered.offer_id, &part).unwrap().unwrap();
    let taken: Vec<_> = accepted
        .downlinks
        .iter()
        .map(|downlink| (downlink.codec, downlink.rtx_pt, downlink.rtx_ssrc.is_some()))
        .collect();
    assert_eq!(taken, [(Codec::Opus, None, false), (Codec::Vp8, None, false)]);
    assert_eq!(accepted.downlinks[0].mid_ext, Some(4));
}

#[test]
fn an_unusable_answer_changes_nothing_and_one_to_another_offer_is_left_alone() {
    let now = testing::instant();
    let mut session = session(now);
    let side = AnswererSide::default();
    assert_eq!(session.accept(0, "v=0"), Ok(None), "nothing was offered");
    let tracks = [numbered(0)];
    let offered = session.offer(now, &wanted(&tracks)).unwrap();
    let good = answer(&offered.sdp, &side);
    assert_eq!(session.accept(offered.offer_id + 1, &good), Ok(None));
    let (without_sound, _) = good.split_once("m=audio").unwrap();
    for bad in [
        "nothing".to_owned(),
        without_sound.to_owned(),
        good.replace("m=audio", "m=video"),
        good.replace("a=mid:1", "a=mid:7")
            .replace("BUNDLE 0 1", "BUNDLE 0 7"),
        good.replace("a=setup:active", "a=setup:passive"),
    ] {
        assert!(session.accept(offered.offer_id, &bad).is_err(), "{bad}");
    }
    assert_eq!(
        session
            .accept(offered.offer_id, &good)
            .unwrap()
            .unwrap()
            .downlinks
            .len(),
        1
    );
    let offered = session.offer(now, &[]).unwrap();
    let other = AnswererSide {
        ufrag: "another".to_owned(),
        ..side
    };
    let moved = answer(&offered.sdp, &other);
    assert!(
        session.accept(offered.offer_id, &moved).is_err(),
        "only an offer restarts ICE"
    );
}

#[test]
fn a_client_connects_by_an_offer_of_the_node_and_reads_channels_the_node_opens() {
    for (loss_percent, late) in [(0, false), (0, true), (20, false)] {
        let mut peer = Peer::new(peer::Flavour::Both);
        peer.is_offered = true;
        let side = AnswererSide {
            fingerprint: peer.fingerprint.clone(),
            ..AnswererSide::default()
        };
        let mut world = World::new(peer, testing::instant(), loss_percent, 5);
        let now = world.now;
        let offered = world.session.offer(now, &[]).unwrap();
        world.peer.adopt_answer(&offered.sdp);
        world
            .session
            .send_data(now, true, Bytes::from_static(b"early"))
            .unwrap();
        if late {
            // The client's handshake overtakes its answer.
            assert!(!world.run(Duration::from_millis(200), |world| world.session.is_connected()));
            assert!(world.session.counters().dtls_unvalidated > 0);
        }
        let reply = answer(&offered.sdp, &side);
        assert!(world.session.accept(offered.offer_id, &reply).unwrap().is_some());
        let read = world.run(Duration::from_secs(60), |world| world.peer.messages.len() == 1);
        assert!(read, "loss {loss_percent}, late {late}");
        world
            .session
            .send_data(world.now, false, Bytes::from_static(b"lossy"))
            .unwrap();
        if loss_percent == 0 {
            assert!(world.run(Duration::from_secs(5), |world| world.peer.messages.len() == 2));
            assert_eq!(world.peer.messages, [b"early".to_vec(), b"lossy".to_vec()]);
        }
    }
}

#[test]
fn no_answer_in_time_ends_the_session() {
    let now = testing::instant();
    let mut session = session(now);
    session.offer(now, &[]).unwrap();
    session.handle_timeout(session.poll_timeout().unwrap());
    assert_eq!(
        session.poll_event(),
        Some(RtcEvent::Ended(EndCause::HandshakeTimedOut))
    );
}

#[test]
fn an_offer_of_ours_tells_every_address_once_with_falling_priority_and_tcp_last() {
    let now = testing::instant();
    let mut shared = RtcConfig::clone(&config());
    shared.candidates = ["203.0.113.10:7882", "[2001:db8::1]:7882", "10.0.0.10:7882"]
        .map(|address| address.parse().unwrap())
        .to_vec();
    shared.tcp_candidates = ["203.0.113.10:443", "[2001:db8::1]:443"]
        .map(|address| address.parse().unwrap())
        .to_vec();
    let mut session = Session::new(Arc::new(shared), [9; 32], now);
    let tracks: Vec<_> = (0..3).map(numbered).collect();
    let sdp = session.offer(now, &wanted(&tracks)).unwrap().sdp;
    let lines: Vec<&str> = sdp
        .lines()
        .filter(|line| line.starts_with("a=candidate"))
        .collect();
    assert_eq!(
        lines,
        [
            "a=candidate:1 1 udp 2130706431 203.0.113.10 7882 typ host",
            "a=candidate:2 1 udp 2130706175 2001:db8::1 7882 typ host",
            "a=candidate:3 1 udp 2130705919 10.0.0.10 7882 typ host",
            "a=candidate:4 1 tcp 1520435199 203.0.113.10 443 typ host tcptype passive",
            "a=candidate:5 1 tcp 1520434943 2001:db8::1 443 typ host tcptype passive",
        ]
    );
}
