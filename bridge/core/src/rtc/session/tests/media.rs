use super::peer::Flavour;
use super::*;
use crate::forward::packet::SealRtp as _;
use crate::rtc::io::RtcpIn;
use crate::rtc::testing::{PeerRtcp, PeerSrtp, RtpFields, extension, payload_type, rtp_packet};

fn video(track: &TrackSid) -> Announced<'_> {
    Announced {
        red_disabled: false,
        cid: "camera-cid",
        track,
        kind: MediaKind::Video,
        codec: None,
        stereo: false,
        dtx_disabled: false,
    }
}

fn packet(ssrc: u32, pt: u8, seq: u16, rid: Option<(u8, &[u8])>, payload: &[u8]) -> Vec<u8> {
    let fields = RtpFields {
        payload_type: pt,
        marker: true,
        seq,
        time: u32::from(seq) * 3000,
        ssrc,
    };
    let transport_seq = seq.to_be_bytes();
    let mut extensions: Vec<(u8, &[u8])> = vec![(extension::TRANSPORT_CC, &transport_seq)];
    if let Some((id, rid)) = rid {
        extensions.push((extension::MID, b"7"));
        extensions.push((id, rid));
    }
    rtp_packet(fields, &extensions, payload)
}

/// A connected client that publishes a camera in three layers on mid 7.
fn publishing(seed: u8) -> (World, Vec<Uplink>) {
    let mut world = world(Peer::new(Flavour::Both), 0, seed);
    world.connect();
    world.peer.offer.send_video("camera-cid", &["q", "h", "f"]);
    let track = TrackSid::from("TR_camera");
    let negotiated = world.negotiate(&[video(&track)], &[]);
    (world, negotiated.uplinks)
}

#[test]
fn three_layers_and_their_retransmissions_arrive_as_one_track() {
    let (mut world, uplinks) = publishing(20);
    let expected = Uplink {
        mid: "7".to_owned(),
        track: TrackSid::from("TR_camera"),
        codec: Codec::Vp8,
        repaired: true,
        simulcast: true,
        layers: 3,
    };
    assert_eq!(uplinks, vec![expected]);
    for (ssrc, rid) in [(100, b"q"), (101, b"h"), (102, b"f")] {
        let rid: &[u8] = rid;
        world.peer.send_media(packet(
            ssrc,
            payload_type::VP8,
            10,
            Some((extension::RID, rid)),
            b"first",
        ));
        world
            .peer
            .send_media(packet(ssrc, payload_type::VP8, 12, None, b"third"));
        let repaired = Some((extension::REPAIRED_RID, rid));
        world.peer.send_media(packet(
            ssrc + 100,
            payload_type::VP8_RTX,
            900,
            repaired,
            b"\x00\x0bsecond",
        ));
        world
            .peer
            .send_media(packet(ssrc + 100, payload_type::VP8_RTX, 901, None, b""));
    }
    assert!(world.run(
        Duration::from_secs(1),
        |world| world.peer.received_by_session.len() == 9
    ));
    for (layer, received) in world.peer.received_by_session.chunks(3).enumerate() {
        for (packet, (seq, payload)) in received
            .iter()
            .zip([(10, "first"), (12, "third"), (11, "second")])
        {
            assert_eq!(
                (packet.track, usize::from(packet.layer), packet.seq),
                (0, layer, seq)
            );
            assert_eq!(
                (packet.payload.as_slice(), packet.retransmitted),
                (payload.as_bytes(), seq == 11)
            );
        }
        let layer = Layer(u8::try_from(layer).unwrap());
        assert_eq!(
            world.session.uplink_ssrc(0, layer),
            Some(100 + u32::from(layer.0))
        );
    }
    assert_eq!(world.session.uplink_ssrc(1, Layer(0)), None);
}

#[test]
fn reports_and_transport_feedback_go_back_to_a_publisher() {
    let (mut world, _) = publishing(21);
    for seq in 0..30 {
        let rid = Some((extension::RID, &b"q"[..]));
        world
            .peer
            .send_media(packet(100, payload_type::VP8, seq, rid, b"x"));
        world.run(Duration::from_millis(33), |_| false);
    }
    world.run(Duration::from_millis(300), |_| false);
    // Feedback each 50 ms and one report each second, over one second.
    assert!(
        (15..=30).contains(&world.peer.rtcp_packets),
        "{}",
        world.peer.rtcp_packets
    );
}

#[test]
fn feedback_crosses_in_both_directions() {
    let mut world = world(Peer::new(Flavour::Both), 0, 22);
    world.connect();
    let (track, published) = (TrackSid::from("TR_theirs"), TrackSid::from("TR_camera"));
    world.peer.offer.send_video("camera-cid", &[]);
    let wanted = [Wanted {
        track: &track,
        codec: Codec::Vp8,
        stream_id: "PA_x|camera",
    }];
    let negotiated = world.negotiate(&[video(&published)], &wanted);
    let ssrc = negotiated.downlinks[0].ssrc;
    world.session.send_rtcp(RtcpOut::Pli { ssrc: 5 });
    world.session.send_rtcp(RtcpOut::Nack {
        ssrc: 5,
        seqs: vec![1, 2, 40],
    });
    world.session.send_rtcp(RtcpOut::SenderReport {
        ssrc,
        ntp: 9,
        rtp_time: 8,
        packets: 7,
        bytes: 6,
    });
    assert!(world.run(Duration::from_secs(1), |world| world.peer.rtcp.len() == 3));
    assert_eq!(world.peer.rtcp_packets, 1);
    assert_eq!(
        world.peer.rtcp,
        vec![
            PeerRtcp::Pli { ssrc: 5 },
            PeerRtcp::Nack {
                ssrc: 5,
                seqs: vec![1, 2, 40]
            },
            PeerRtcp::SenderReport {
                ssrc,
                ntp: 9,
                rtp_time: 8
            },
        ]
    );
    let srtp = world.peer.srtp.as_mut().unwrap();
    let mut media = srtp.seal_rtp(packet(700, payload_type::VP8, 1, None, b"x"), 0);
    let compound = [
        PeerSrtp::sender_report(700, 1 << 40, 77),
        PeerSrtp::pli(ssrc),
        PeerSrtp::pli(ssrc + 1),
        PeerSrtp::nack(ssrc, &[3]),
    ];
    let mut rtcp = srtp.seal_rtcp(compound.concat());
    let (now, from) = (world.now, world.peer.addr);
    assert!(matches!(
        world.session.handle_datagram(now, from, &mut media),
        Received::Rtp(_)
    ));
    let Received::Rtcp(items) = world.session.handle_datagram(now, from, &mut rtcp) else {
        panic!()
    };
    let clock = RtcpIn::SenderReport {
        track: 0,
        layer: Layer(0),
        ntp: 1 << 40,
        rtp_time: 77,
    };
    assert_eq!(
        items,
        vec![clock, RtcpIn::Pli { ssrc }, RtcpIn::Nack { ssrc, seqs: vec![3] }]
    );
}

#[test]
fn a_large_nack_is_split_into_datagrams_that_fit() {
    let (mut world, _) = publishing(24);
    let seqs: Vec<u16> = (0..1000).map(|number| number * 20).collect();
    world.session.send_rtcp(RtcpOut::Nack { ssrc: 100, seqs });
    let mut sizes = Vec::new();
    while let Some((_, datagram)) = world.session.poll_transmit() {
        sizes.push(datagram.len());
    }
    assert_eq!(sizes.len(), 4);
    assert!(sizes.iter().all(|size| *size < 1200));
}

#[test]
fn what_the_forwarder_seals_opens_at_the_client() {
    let mut world = world(Peer::new(Flavour::Both), 0, 23);
    world.connect();
    let now = world.now;
    let plain = packet(9, payload_type::VP8, 65_535, None, b"payload");
    let header_len = plain.len() - 7;
    let mut sealed = plain.clone();
    let mut sealer = world.session.outgoing(now).unwrap();
    sealed.resize(plain.len() + sealer.tag_bytes(), 0);
    let len = sealer.seal_rtp(&mut sealed, header_len, plain.len(), 9, 65_535);
    assert_eq!(len, sealed.len());
    let opened = world
        .peer
        .srtp
        .as_mut()
        .unwrap()
        .open_rtp(now, &mut sealed)
        .unwrap();
    assert_eq!((opened.seq, opened.payload), (65_535, &b"payload"[..]));
}

#[test]
fn installed_keys_stand_in_for_the_handshake_and_need_no_consent() {
    let now = testing::instant();
    for profile in [
        SrtpProfile::Aes128Gcm,
        SrtpProfile::Aes256Gcm,
        SrtpProfile::Aes128CmSha1_80,
    ] {
        let material = vec![9; profile.keying_material_bytes()];
        let mut session = Session::new(config(), [1; 32], now);
        let mut offer = testing::OfferBuilder::first_join();
        offer.send_audio("mic");
        let track = TrackSid::from("TR_mic");
        let announced = [Announced {
            red_disabled: false,
            cid: "mic",
            track: &track,
            kind: MediaKind::Audio,
            codec: None,
            stereo: false,
            dtx_disabled: false,
        }];
        session.negotiate(now, &offer.build(), &announced, &[]).unwrap();
        let remote: SocketAddr = "10.0.0.1:1".parse().unwrap();
        session.install_keys(now, remote, profile, &material);
        assert_eq!(session.poll_event(), Some(RtcEvent::Connected));
        assert_eq!(
            (session.remote_addr(), session.poll_new_addr()),
            (Some(remote), Some(remote))
        );
        let fields = RtpFields {
            payload_type: payload_type::OPUS,
            marker: false,
            seq: 1,
            time: 960,
            ssrc: 4,
        };
        let extensions: [(u8, &[u8]); 2] = [(extension::MID, b"7"), (extension::AUDIO_LEVEL, &[0x80 | 30])];
        let mut sealed =
            PeerSrtp::new(profile, &material).seal_rtp(rtp_packet(fields, &extensions, b"opus"), 0);
        let Received::Rtp(packet) = session.handle_datagram(now, remote, &mut sealed) else {
            panic!()
        };
        assert_eq!(packet.level, Some((relay_proto::unit::AudioLevel(30), true)));
        assert_eq!(packet.payload, b"opus");
        session.handle_timeout(now + Duration::from_secs(600));
        assert_eq!(session.poll_event(), None);
    }
}
