use super::*;
use crate::rtc::testing::{RtpFields, extension, rtp_packet};

fn simulcast(mid: &str, track: &str) -> UplinkSection {
    let rids = ["q", "h", "f"]
        .into_iter()
        .zip(0..)
        .map(|(rid, layer)| (rid.to_owned(), Layer(layer)))
        .collect();
    UplinkSection {
        rids,
        ..plain(mid, track, 96, Some(97))
    }
}

fn plain(mid: &str, track: &str, pt: u8, rtx_pt: Option<u8>) -> UplinkSection {
    UplinkSection {
        mid: mid.to_owned(),
        track: track.into(),
        codec: Codec::Vp8,
        pt,
        rtx_pt,
        red_pt: None,
        repaired: true,
        rids: Vec::new(),
        declared: Vec::new(),
        repaired_by: Vec::new(),
    }
}

fn demux(sections: Vec<UplinkSection>) -> Demux {
    let mut demux = Demux::new(16);
    demux.set_sections(sections);
    demux
}

const IDS: ExtensionIds = ExtensionIds {
    mid: Some(extension::MID),
    rid: Some(extension::RID),
    repaired_rid: Some(extension::REPAIRED_RID),
    audio_level: Some(extension::AUDIO_LEVEL),
    transport_cc: Some(extension::TRANSPORT_CC),
    abs_send_time: None,
    dependency: None,
};

fn route(
    demux: &mut Demux,
    ssrc: u32,
    payload_type: u8,
    extensions: &[(u8, &[u8])],
) -> Option<(usize, u8, bool)> {
    let fields = RtpFields {
        payload_type,
        marker: false,
        seq: 1,
        time: 1,
        ssrc,
    };
    let packet = rtp_packet(fields, extensions, b"x");
    let header = RtpHeader::parse(&packet)?;
    let tags = Tags::read(header.extensions(&packet), &IDS);
    demux
        .route(&header, &tags)
        .map(|route| (route.section, route.layer.0, route.rtx))
}

const MID: u8 = extension::MID;
const RID: u8 = extension::RID;
const REPAIRED: u8 = extension::REPAIRED_RID;

#[test]
fn mid_with_rid_or_repaired_rid_binds_an_ssrc_for_good() {
    let mut demux = demux(vec![simulcast("7", "TR_a"), simulcast("8", "TR_b")]);
    assert_eq!(
        route(&mut demux, 1, 96, &[(MID, b"8"), (RID, b"h")]),
        Some((1, 1, false))
    );
    assert_eq!(route(&mut demux, 1, 96, &[]), Some((1, 1, false)));
    assert_eq!(
        route(&mut demux, 2, 97, &[(MID, b"8"), (REPAIRED, b"h")]),
        Some((1, 1, true))
    );
    assert_eq!(route(&mut demux, 2, 97, &[]), Some((1, 1, true)));
    assert_eq!(demux.media_ssrc(1, Layer(1)), Some(1));
    assert_eq!(demux.media_ssrc(1, Layer(0)), None);
}

#[test]
fn a_rid_alone_is_enough_only_where_it_is_unique() {
    let mut one = demux(vec![simulcast("7", "TR_a"), plain("8", "TR_b", 96, Some(97))]);
    assert_eq!(route(&mut one, 1, 96, &[(RID, b"f")]), Some((0, 2, false)));
    let mut two = demux(vec![simulcast("7", "TR_a"), simulcast("8", "TR_b")]);
    assert_eq!(route(&mut two, 1, 96, &[(RID, b"f")]), None);
    assert_eq!(route(&mut one, 9, 96, &[(MID, b"7")]), None);
}

#[test]
fn mid_alone_declared_ssrcs_and_unique_payload_types_find_plain_sections() {
    let mut section = plain("9", "TR_c", 96, Some(97));
    section.declared = vec![50];
    section.repaired_by = vec![(50, 51)];
    let mut demux = demux(vec![
        section,
        plain("10", "TR_d", 96, Some(97)),
        plain("11", "TR_e", 108, None),
    ]);
    assert_eq!(route(&mut demux, 1, 97, &[(MID, b"10")]), Some((1, 0, true)));
    assert_eq!(route(&mut demux, 50, 96, &[]), Some((0, 0, false)));
    assert_eq!(route(&mut demux, 51, 97, &[]), Some((0, 0, true)));
    assert_eq!(route(&mut demux, 60, 108, &[]), Some((2, 0, false)));
    assert_eq!(route(&mut demux, 61, 96, &[]), None);
    assert_eq!(route(&mut demux, 62, 96, &[(MID, b"99")]), None);
}

#[test]
fn payload_types_nobody_negotiated_lead_nowhere() {
    let mut demux = demux(vec![plain("9", "TR_c", 96, Some(97))]);
    assert_eq!(route(&mut demux, 1, 116, &[(MID, b"9")]), None);
    assert_eq!(route(&mut demux, 1, 96, &[(MID, b"9")]), Some((0, 0, false)));
    assert_eq!(route(&mut demux, 1, 116, &[]), None);
}

#[test]
fn a_packet_that_names_another_section_moves_its_ssrc() {
    let mut demux = demux(vec![plain("7", "TR_a", 96, None), plain("8", "TR_b", 96, None)]);
    assert_eq!(route(&mut demux, 1, 96, &[(MID, b"7")]), Some((0, 0, false)));
    assert_eq!(route(&mut demux, 1, 96, &[(MID, b"8")]), Some((1, 0, false)));
    assert_eq!(route(&mut demux, 1, 96, &[]), Some((1, 0, false)));
}

#[test]
fn ssrcs_follow_their_section_and_are_forgotten_with_its_track() {
    let mut demux = demux(vec![plain("7", "TR_a", 96, None), plain("8", "TR_b", 96, None)]);
    route(&mut demux, 1, 96, &[(MID, b"7")]);
    route(&mut demux, 2, 96, &[(MID, b"8")]);
    demux.set_sections(vec![plain("8", "TR_b", 96, None), plain("9", "TR_c", 96, None)]);
    assert_eq!(route(&mut demux, 2, 96, &[]), Some((0, 0, false)));
    assert_eq!(demux.known(1), None);
    demux.set_sections(vec![plain("8", "TR_other", 96, None)]);
    assert_eq!(demux.known(2), None);
}

#[test]
fn routes_are_bounded() {
    let mut demux = demux(vec![plain("7", "TR_a", 96, None)]);
    for ssrc in 0..1000 {
        assert!(route(&mut demux, ssrc, 96, &[(MID, b"7")]).is_some());
    }
    assert_eq!(demux.routes.len(), 16);
}
