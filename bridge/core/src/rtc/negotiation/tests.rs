use super::*;
use crate::rtc::config::{RtcConfig, RtcLimits};
use crate::rtc::io::Negotiated;
use crate::rtc::sdp::ExtensionIds;
use crate::rtc::session::Session;
use crate::rtc::testing::{self, OfferBuilder, extension, payload_type};
use crate::shard::io::ShardId;
use relay_proto::room::Codec;
use std::sync::Arc;
use std::time::Instant;

/// A session whose transport is not used.
struct Bench {
    session: Session,
    offer: OfferBuilder,
    now: Instant,
    /// What the client would like to send.
    codec: Option<Codec>,
}

impl Bench {
    fn new(offer: OfferBuilder) -> Self {
        let config = RtcConfig {
            certificate: testing::certificate(),
            candidates: vec![
                "192.0.2.10:7882".parse().unwrap(),
                "[2001:db8::1]:7882".parse().unwrap(),
            ],
            tcp_candidates: Vec::new(),
            shard: ShardId(0),
            estimates_paths: true,
            limits: RtcLimits::default(),
        };
        let now = testing::instant();
        Self {
            session: Session::new(Arc::new(config), [0; 32], now),
            offer,
            now,
            codec: None,
        }
    }

    fn negotiate(&mut self, announced: &[(&str, &str, MediaKind)], wanted: &[(&str, Codec)]) -> Negotiated {
        let tracks: Vec<TrackSid> = announced
            .iter()
            .map(|(_, track, _)| TrackSid::from(*track))
            .collect();
        let announced: Vec<Announced<'_>> = announced
            .iter()
            .zip(&tracks)
            .map(|((cid, _, kind), track)| Announced {
                red_disabled: false,
                cid,
                track,
                kind: *kind,
                codec: self.codec.filter(|codec| codec.kind() == *kind),
                stereo: false,
                dtx_disabled: false,
            })
            .collect();
        let sids: Vec<TrackSid> = wanted.iter().map(|(track, _)| TrackSid::from(*track)).collect();
        let wanted: Vec<Wanted<'_>> = wanted
            .iter()
            .zip(&sids)
            .map(|((_, codec), track)| Wanted {
                track,
                codec: *codec,
                stream_id: "PA_x|camera",
            })
            .collect();
        let offer = self.offer.build();
        self.session
            .negotiate(self.now, &offer, &announced, &wanted)
            .unwrap()
    }
}

/// The lines of one section of an answer.
fn section(answer: &str, mid: usize) -> Vec<&str> {
    let part = answer.split("\r\nm=").nth(mid + 1).expect("the section");
    part.trim_end().split("\r\n").collect()
}

fn tracks(negotiated: &Negotiated) -> Vec<(&str, &str)> {
    let pairs = negotiated.downlinks.iter();
    pairs
        .map(|downlink| (downlink.mid.as_str(), downlink.track.as_str()))
        .collect()
}

#[test]
fn an_answer_has_the_offers_order_and_everything_a_client_needs() {
    let mut bench = Bench::new(OfferBuilder::first_join());
    let negotiated = bench.negotiate(&[], &[("TR_a", Codec::Opus), ("TR_v", Codec::Vp8)]);
    let answer = &negotiated.answer;
    assert_eq!(tracks(&negotiated), [("0", "TR_a"), ("3", "TR_v")]);
    assert!(answer.starts_with("v=0\r\no=- "));
    assert!(answer.contains("\r\na=group:BUNDLE 0 1 2 3 4 5 6\r\na=ice-lite\r\n"));
    assert!(answer.ends_with("\r\n"));
    let audio = section(answer, 0);
    assert_eq!(audio[0], "audio 9 UDP/TLS/RTP/SAVPF 111 63");
    for line in [
        "a=candidate:1 1 udp 2130706431 192.0.2.10 7882 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 7882 typ host",
        "a=end-of-candidates",
        "a=setup:passive",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1",
        "a=rtpmap:63 red/48000/2",
        "a=fmtp:63 111/111",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=msid:PA_x|camera TR_a",
    ] {
        assert!(audio.contains(&line), "{line} in {audio:?}");
    }
    assert!(!audio.iter().any(|line| line.contains("transport-cc")));
    let video = section(answer, 3);
    for uri in [
        ExtensionIds::RID,
        ExtensionIds::REPAIRED_RID,
        ExtensionIds::TRANSPORT_CC,
    ] {
        // Or Chromium would offer no later section the extension, and could share no screen in layers.
        assert!(video.iter().any(|line| line.ends_with(uri)), "{uri} in {video:?}");
    }
    assert_eq!(video[0], "video 9 UDP/TLS/RTP/SAVPF 96 97");
    let downlink = &negotiated.downlinks[1];
    assert_eq!(
        (downlink.pt, downlink.rtx_pt),
        (payload_type::VP8, Some(payload_type::VP8_RTX))
    );
    assert_eq!(downlink.mid_ext, Some(extension::MID));
    assert_eq!(
        (downlink.abs_send_time_ext, downlink.audio_level_ext),
        (Some(extension::ABS_SEND_TIME), None)
    );
    let group = format!(
        "a=ssrc-group:FID {} {}",
        downlink.ssrc,
        downlink.rtx_ssrc.unwrap()
    );
    assert!(video.contains(&group.as_str()));
    assert!(section(answer, 1).contains(&"a=inactive"));
    let data = section(answer, 6);
    assert_eq!(data[0], "application 9 UDP/DTLS/SCTP webrtc-datachannel");
    assert!(data.contains(&"a=max-message-size:65536") && data.contains(&"a=sctp-port:5000"));
    assert_eq!((negotiated.free_audios, negotiated.free_videos), (2, 2));
    assert_eq!(answer.matches("a=candidate").count(), 2);
}

#[test]
fn our_answers_can_be_parsed_by_the_sdp_library() {
    let mut bench = Bench::new(OfferBuilder::first_join());
    bench.offer.send_video("cam", &["q", "h", "f"]).send_audio("mic");
    let announced = [
        ("cam", "TR_cam", MediaKind::Video),
        ("mic", "TR_mic", MediaKind::Audio),
    ];
    let answer = bench.negotiate(&announced, &[("TR_v", Codec::H264)]).answer;
    let parsed = rtc_sdp::description::session::SessionDescription::unmarshal(&mut std::io::Cursor::new(
        answer.as_bytes(),
    ));
    assert_eq!(parsed.unwrap().media_descriptions.len(), 9);
}

#[test]
fn published_tracks_are_bound_by_cid_and_simulcast_is_mirrored() {
    let mut bench = Bench::new(OfferBuilder::first_join());
    bench
        .offer
        .send_audio("mic")
        .send_video("{cam}", &["f", "h", "q"])
        .send_h264("screen")
        .send_video("nobody", &[]);
    let announced = [
        ("mic", "TR_mic", MediaKind::Audio),
        ("cam", "TR_cam", MediaKind::Video),
        ("stream-of-screen", "TR_screen", MediaKind::Video),
    ];
    let negotiated = bench.negotiate(&announced, &[]);
    let bound: Vec<_> = negotiated
        .uplinks
        .iter()
        .map(|uplink| {
            (
                uplink.mid.as_str(),
                uplink.track.as_str(),
                uplink.codec,
                uplink.simulcast,
                uplink.layers,
            )
        })
        .collect();
    assert_eq!(
        bound,
        [
            ("7", "TR_mic", Codec::Opus, false, 1),
            ("8", "TR_cam", Codec::Vp8, true, 3),
            ("9", "TR_screen", Codec::H264, false, 1),
        ]
    );
    let camera = section(&negotiated.answer, 8);
    for line in [
        "a=recvonly",
        "a=rid:q recv",
        "a=simulcast:recv f;h;q",
        "a=rtcp-fb:96 transport-cc",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 ccm fir",
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    ] {
        assert!(camera.contains(&line), "{line}");
    }
    assert!(
        !camera
            .iter()
            .any(|line| line.contains("goog-remb") || line.contains("video-orientation"))
    );
    assert!(section(&negotiated.answer, 10).contains(&"a=inactive"));
    bench.offer.stop(8);
    let negotiated = bench.negotiate(&announced, &[]);
    assert_eq!(negotiated.uplinks.len(), 2);
    assert!(section(&negotiated.answer, 8).contains(&"a=inactive"));
}

#[test]
fn layers_go_by_known_names_and_by_position_otherwise() {
    let named = |rids: &[&str]| {
        let rids: Vec<String> = rids.iter().map(|rid| (*rid).to_owned()).collect();
        layers(&rids)
            .into_iter()
            .map(|(rid, layer)| (rid, layer.0))
            .collect::<Vec<_>>()
    };
    let pair = |rid: &str, layer| (rid.to_owned(), layer);
    assert_eq!(
        named(&["f", "h", "q"]),
        [pair("q", 0), pair("h", 1), pair("f", 2)]
    );
    assert_eq!(named(&["h", "f"]), [pair("h", 0), pair("f", 1)]);
    assert_eq!(named(&["2", "f"]), [pair("2", 0), pair("f", 1)]);
    assert!(named(&[]).is_empty());
}

#[test]
fn a_kept_track_keeps_its_section_and_ssrc_whatever_its_priority() {
    let mut bench = Bench::new(OfferBuilder::first_join());
    let first = bench.negotiate(&[], &[("TR_1", Codec::Vp8), ("TR_2", Codec::H264)]);
    let second = bench.negotiate(
        &[],
        &[("TR_3", Codec::Vp8), ("TR_2", Codec::H264), ("TR_1", Codec::Vp8)],
    );
    assert_eq!(tracks(&second), [("3", "TR_1"), ("4", "TR_2"), ("5", "TR_3")]);
    assert_eq!(first.downlinks[..2], second.downlinks[..2]);
    assert_eq!(
        (second.more_videos, second.offer_again, second.free_videos),
        (0, false, 0)
    );
}

#[test]
fn a_section_is_inactive_once_before_it_carries_another_track() {
    let mut bench = Bench::new(OfferBuilder::first_join());
    let all = [("TR_1", Codec::Vp8), ("TR_2", Codec::Vp8), ("TR_3", Codec::Vp8)];
    let before = bench.negotiate(&[], &all);
    let next = [("TR_1", Codec::Vp8), ("TR_4", Codec::Vp8), ("TR_3", Codec::Vp8)];
    let between = bench.negotiate(&[], &next);
    assert_eq!(tracks(&between), [("3", "TR_1"), ("5", "TR_3")]);
    assert!(section(&between.answer, 4).contains(&"a=inactive"));
    assert_eq!(
        (between.offer_again, between.more_videos, between.free_videos),
        (true, 0, 1)
    );
    let after = bench.negotiate(&[], &next);
    assert_eq!(tracks(&after), [("3", "TR_1"), ("4", "TR_4"), ("5", "TR_3")]);
    assert!(!after.offer_again);
    assert_ne!(before.downlinks[1].ssrc, after.downlinks[1].ssrc);
}

#[test]
fn missing_sections_are_counted_per_kind_but_not_for_codecs_nobody_knows() {
    let mut bench = Bench::new(OfferBuilder::new());
    bench.offer.receive_audio(1).receive_video(1).data();
    let wanted = [
        ("TR_1", Codec::Opus),
        ("TR_2", Codec::Opus),
        ("TR_3", Codec::Vp8),
        ("TR_4", Codec::Vp8),
        ("TR_5", Codec::H264),
    ];
    let negotiated = bench.negotiate(&[], &wanted);
    assert_eq!((negotiated.more_audios, negotiated.more_videos), (1, 2));
    let mut none = Bench::new(OfferBuilder::new());
    none.offer.data();
    let negotiated = none.negotiate(&[], &wanted);
    assert_eq!((negotiated.more_audios, negotiated.more_videos), (2, 3));
    let offer = bench.offer.build().replace("H264/90000", "H266/90000");
    let track = TrackSid::from("TR_5");
    let wanted = [Wanted {
        track: &track,
        codec: Codec::H264,
        stream_id: "PA_x|camera",
    }];
    let negotiated = bench.session.negotiate(bench.now, &offer, &[], &wanted).unwrap();
    assert_eq!((negotiated.more_videos, negotiated.offer_again), (0, false));
}

#[test]
fn sections_of_no_use_are_rejected_and_leave_the_bundle() {
    let mut bench = Bench::new(OfferBuilder::first_join());
    bench.offer.data();
    let offer = bench.offer.build();
    let offer = offer
        .replacen("m=video 9 ", "m=text 9 ", 1)
        .replacen("m=audio 9 ", "m=audio 0 ", 1);
    let negotiated = bench.session.negotiate(bench.now, &offer, &[], &[]).unwrap();
    assert!(negotiated.answer.contains("a=group:BUNDLE 1 2 4 5 6\r\n"));
    for (mid, start) in [(0, "audio 0 "), (3, "text 0 "), (7, "application 0 ")] {
        assert!(section(&negotiated.answer, mid)[0].starts_with(start));
    }
    // The transport moves to the first section that is in use.
    assert!(section(&negotiated.answer, 1).contains(&"a=end-of-candidates"));
}

#[test]
fn a_refused_offer_changes_nothing() {
    let mut bench = Bench::new(OfferBuilder::first_join());
    let before = bench.negotiate(&[], &[("TR_1", Codec::Vp8)]);
    let ufrag = bench.session.ufrag().to_owned();
    assert!(bench.session.negotiate(bench.now, "v=0\r\n", &[], &[]).is_err());
    assert_eq!(bench.session.ufrag(), ufrag);
    assert_eq!(
        bench.negotiate(&[], &[("TR_1", Codec::Vp8)]).downlinks,
        before.downlinks
    );
}

#[test]
fn two_hundred_sections_are_answered() {
    let mut bench = Bench::new(OfferBuilder::new());
    bench.offer.receive_audio(100).receive_video(100).data();
    let sids: Vec<String> = (0..200).map(|number| format!("TR_{number}")).collect();
    let codec = |number: usize| {
        if number.is_multiple_of(2) {
            Codec::Opus
        } else {
            Codec::Vp8
        }
    };
    let wanted: Vec<_> = sids
        .iter()
        .enumerate()
        .map(|(number, sid)| (sid.as_str(), codec(number)))
        .collect();
    let negotiated = bench.negotiate(&[], &wanted);
    assert_eq!(negotiated.downlinks.len(), 200);
    let ssrcs: BTreeSet<u32> = negotiated
        .downlinks
        .iter()
        .map(|downlink| downlink.ssrc)
        .collect();
    assert_eq!(ssrcs.len(), 200);
}

#[test]
fn what_a_client_would_like_to_send_is_taken_whatever_comes_first_in_its_offer() {
    for (liked, codec) in [
        (None, Codec::Vp8),
        (Some(Codec::Vp9), Codec::Vp9),
        (Some(Codec::Av1), Codec::Av1),
        (Some(Codec::Opus), Codec::Vp8),
    ] {
        let mut offer = OfferBuilder::new();
        offer.send_video("cam", &[]);
        let mut bench = Bench::new(offer);
        bench.codec = liked;
        let negotiated = bench.negotiate(&[("cam", "TR_cam", MediaKind::Video)], &[]);
        assert_eq!(negotiated.uplinks[0].codec, codec, "{liked:?}");
    }
}
