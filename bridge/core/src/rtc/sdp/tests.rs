use super::*;
use crate::rtc::config::RtcLimits;
use crate::rtc::session::NegotiationError;
use crate::rtc::testing::{OfferBuilder, extension, payload_type};
use proptest::prelude::*;
use relay_proto::room::Codec;

fn parse(text: &str) -> Result<Offer, NegotiationError> {
    Offer::parse(text, &RtcLimits::default())
}

#[test]
fn the_first_offer_of_a_real_client_is_read() {
    let offer = parse(&OfferBuilder::first_join().build()).unwrap();
    assert_eq!(offer.sections.len(), 7);
    let kinds: Vec<_> = offer.sections.iter().map(|section| section.kind).collect();
    let (audio, video) = (SectionKind::Audio, SectionKind::Video);
    assert_eq!(
        kinds,
        [audio, audio, audio, video, video, video, SectionKind::Data]
    );
    assert!(
        offer.sections[..6]
            .iter()
            .all(|section| section.receives && !section.sends && !section.rejected)
    );
    assert_eq!(offer.sections[6].max_message_bytes, 262_144);
    assert!(offer.allow_mixed);
    let ids = offer.extensions();
    assert_eq!((ids.mid, ids.rid), (Some(extension::MID), Some(extension::RID)));
    assert_eq!(ids.repaired_rid, Some(extension::REPAIRED_RID));
    assert_eq!((ids.audio_level, ids.transport_cc), (Some(1), Some(3)));
}

#[test]
fn a_dependency_descriptor_is_taken_where_long_extensions_are() {
    let line = format!("a=extmap:12 {}\r\na=recvonly", ExtensionIds::DEPENDENCY);
    let offered = OfferBuilder::first_join().build().replace("a=recvonly", &line);
    let ids = |text: &str| parse(text).unwrap().sections[3].extensions;
    assert_eq!(ids(&offered).dependency, Some(12));
    let short_only = offered.replace("a=extmap-allow-mixed\r\n", "");
    assert_eq!(ids(&short_only).dependency, None);
    assert_eq!(ids(&short_only).mid, Some(extension::MID));
}

#[test]
fn codecs_are_matched_in_the_clients_order_with_their_rtx() {
    let mut builder = OfferBuilder::new();
    builder.send_audio("a").send_video("b", &[]).send_h264("c");
    let offer = parse(&builder.build()).unwrap();
    let opus = &offer.sections[0].matched[0];
    assert_eq!(
        (opus.codec, opus.pt, opus.rtx_pt),
        (Codec::Opus, payload_type::OPUS, None)
    );
    assert_eq!(opus.format, "minptime=10;useinbandfec=1;usedtx=1");
    assert_eq!(opus.feedback, ["transport-cc", "nack"]);
    let video = &offer.sections[1].matched;
    assert_eq!(
        video.iter().map(|matched| matched.codec).collect::<Vec<_>>(),
        [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1]
    );
    assert_eq!(
        (video[0].pt, video[0].rtx_pt),
        (payload_type::VP8, Some(payload_type::VP8_RTX))
    );
    // Of 42001f (first) and 42e01f, the constrained profile.
    assert_eq!(
        (video[2].pt, video[2].rtx_pt),
        (payload_type::H264, Some(payload_type::H264_RTX))
    );
    assert_eq!(video[0].feedback, ["transport-cc", "ccm fir", "nack", "nack pli"]);
    assert_eq!(offer.sections[2].matched[0].codec, Codec::H264);
}

#[test]
fn sound_is_repaired_for_who_offers_it_and_for_browsers_which_never_do() {
    let mut builder = OfferBuilder::new();
    let built = builder.send_audio("a").receive_audio(1).build();
    let feedback = |offer: &str| -> Vec<Vec<String>> {
        let sections = parse(offer).unwrap().sections;
        let matched = sections.iter().map(|section| section.matched[0].feedback.clone());
        matched.collect()
    };
    let browser = built.replace("a=rtcp-fb:111 nack\r\n", "");
    assert_ne!(browser, built);
    assert_eq!(feedback(&browser), [["transport-cc", "nack"]; 2]);
    let other = browser.replace("a=rtcp-fb:111 transport-cc\r\n", "");
    assert_eq!(feedback(&other), [[""; 0]; 2]);
    let offering = built.replace("a=rtcp-fb:111 transport-cc\r\n", "");
    assert_eq!(feedback(&offering), [["nack"]; 2]);
}

#[test]
fn what_a_client_announced_of_its_sound_is_answered() {
    let mut builder = OfferBuilder::new();
    let offer = parse(&builder.send_audio("a").send_video("b", &[]).build()).unwrap();
    let format = |section: usize, stereo, dtx_disabled| {
        let matched = offer.sections[section].matched[0].clone();
        matched.announced(stereo, dtx_disabled, false).format
    };
    assert_eq!(format(0, false, false), "minptime=10;useinbandfec=1;usedtx=1");
    assert_eq!(format(0, false, true), "minptime=10;useinbandfec=1");
    assert_eq!(format(0, true, false), "minptime=10;useinbandfec=1;stereo=1");
    assert_eq!(format(0, true, true), "minptime=10;useinbandfec=1;stereo=1");
    assert_eq!(format(1, true, true), format(1, false, false));
}

#[test]
fn stereo_is_copied_and_keeps_silence_unsuppressed() {
    let mut builder = OfferBuilder::new();
    let text = builder.send_audio("a").build();
    let stereo = text.replace("useinbandfec=1", "useinbandfec=1;stereo=1;sprop-stereo=1");
    let offer = parse(&stereo).unwrap();
    assert_eq!(
        offer.sections[0].matched[0].format,
        "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"
    );
}

#[test]
fn h264_without_packetization_mode_one_or_baseline_is_left_out() {
    let mut builder = OfferBuilder::new();
    let text = builder.send_h264("c").build();
    for (from, to) in [
        ("packetization-mode=1", "packetization-mode=0"),
        ("profile-level-id=42", "profile-level-id=64"),
    ] {
        let offer = parse(&text.replace(from, to)).unwrap();
        assert!(
            offer.sections[0]
                .matched
                .iter()
                .all(|matched| matched.codec != Codec::H264)
        );
    }
}

#[test]
fn msid_simulcast_and_ssrcs_are_read() {
    let mut builder = OfferBuilder::new();
    let text = builder.send_video("cid-1", &["q", "h", "f"]).build();
    let text = text.replace("a=simulcast:send q;h;f", "a=simulcast:send q,x;~h;f recv z");
    let text = format!(
        "{text}a=ssrc-group:FID 10 11\r\na=ssrc:10 cname:x\r\na=ssrc:10 msid:s t\r\na=ssrc:11 cname:x\r\na=ssrc:bad x\r\n"
    );
    let section = &parse(&text).unwrap().sections[0];
    assert_eq!(section.rids, ["q", "h", "f"]);
    assert_eq!(
        (section.ssrcs.as_slice(), section.repaired_by.as_slice()),
        (&[10][..], &[(10, 11)][..])
    );
    for token in ["stream-of-cid-1", "cid-1", "s", "t"] {
        assert!(section.msid.iter().any(|known| known == token));
    }
}

#[test]
fn unusable_offers_say_what_is_wrong() {
    let good = OfferBuilder::first_join().build();
    let reason = |text: &str| match parse(text) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("accepted"),
    };
    assert!(reason("hello").contains("not SDP"));
    assert!(reason("").contains("cannot be used"));
    assert!(reason(&good.replace("sha-256", "sha-1")).contains("fingerprint"));
    assert!(reason(&good.replace("a=ice-pwd:", "a=x:")).contains("ice-pwd"));
    assert!(reason(&good.replace("a=setup:actpass", "a=setup:passive")).contains("DTLS server"));
    assert!(reason(&good.replace("a=mid:1\r\n", "a=mid:0\r\n")).contains("same mid"));
    assert!(reason(&good.replace("a=mid:1\r\n", "")).contains("mid is missing"));
    assert!(reason(&good.replace("a=group:BUNDLE", "a=group:OTHER")).contains("no section"));
}

#[test]
fn limits_hold() {
    let limits = RtcLimits {
        max_sections: 6,
        ..RtcLimits::default()
    };
    let good = OfferBuilder::first_join().build();
    assert_eq!(
        Offer::parse(&good, &limits).unwrap_err(),
        NegotiationError::TooLarge("sections")
    );
    let limits = RtcLimits {
        max_sdp_bytes: good.len() - 1,
        ..RtcLimits::default()
    };
    assert_eq!(
        Offer::parse(&good, &limits).unwrap_err(),
        NegotiationError::TooLarge("bytes")
    );
    let limits = RtcLimits {
        max_codecs_per_section: 1,
        ..RtcLimits::default()
    };
    let offer = Offer::parse(&good, &limits).unwrap();
    assert!(offer.sections.iter().all(|section| section.matched.len() <= 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn mutilated_offers_never_panic(cut in 0_usize..8000, at in 0_usize..8000, junk in ".{0,40}", lines in any::<bool>()) {
        let mut builder = OfferBuilder::first_join();
        let mut text = builder.send_video("cid", &["q", "h"]).build();
        text.truncate(text.len() - cut.min(text.len()));
        let at = at % (text.len() + 1);
        text.insert_str(at, &if lines { format!("\r\n{junk}\r\n") } else { junk });
        if let Ok(offer) = parse(&text) {
            let mids: std::collections::BTreeSet<_> = offer.sections.iter().map(|section| &section.mid).collect();
            assert_eq!(mids.len(), offer.sections.len());
        }
    }
}
