use super::peer::Flavour;
use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_client_connects_and_talks_over_both_data_channels() {
    let mut world = world(Peer::new(Flavour::Both), 0, 1);
    world
        .session
        .send_data(world.now, true, Bytes::from_static(b"early"))
        .unwrap();
    let begin = world.now;
    world.connect();
    // One round trip for the check, two for DTLS 1.3 without a cookie, and timer granularity.
    assert!(world.now - begin <= 7 * DELAY, "{:?}", world.now - begin);
    assert_eq!(world.session.remote_addr(), Some(world.peer.addr));
    assert_eq!(world.session.poll_new_addr(), Some(world.peer.addr));
    world.peer.send_data(0, b"reliable from client");
    world.peer.send_data(2, b"lossy from client");
    world
        .session
        .send_data(world.now, false, Bytes::from_static(b"lossy from node"))
        .unwrap();
    world
        .session
        .send_data(world.now, true, Bytes::from(vec![7; 60_000]))
        .unwrap();
    assert!(world.run(PATIENCE, |world| world.peer.messages.len() == 3
        && world.events.len() == 3));
    assert_eq!(world.events[0], RtcEvent::Connected);
    let data = |reliable, payload: &[u8]| RtcEvent::Data {
        reliable,
        payload: payload.to_vec(),
    };
    assert!(world.events.contains(&data(true, b"reliable from client")));
    assert!(world.events.contains(&data(false, b"lossy from client")));
    assert!(world.peer.messages.contains(&b"early".to_vec()));
    assert!(world.peer.messages.contains(&b"lossy from node".to_vec()));
    assert!(world.peer.messages.contains(&vec![7; 60_000]));
}

#[test]
fn a_dtls_1_2_client_and_one_with_a_fragmented_hello_connect() {
    for flavour in [Flavour::Only12, Flavour::Fragmented] {
        let mut world = world(Peer::new(flavour), 0, 2);
        world.connect();
    }
}

#[test]
fn at_twenty_percent_loss_every_client_connects_and_its_messages_arrive_in_order() {
    for seed in 0..12 {
        let flavour = [Flavour::Both, Flavour::Only12, Flavour::Fragmented][usize::from(seed) % 3];
        let mut world = world(Peer::new(flavour), 20, seed + 10);
        world.connect();
        for number in 0..5 {
            world.peer.send_data(0, &[number]);
        }
        let received = |world: &World| -> Vec<u8> {
            let data = world.events.iter().filter_map(|event| match event {
                RtcEvent::Data { payload, .. } => Some(payload[0]),
                _ => None,
            });
            data.collect()
        };
        let all = world.run(Duration::from_secs(60), |world| received(world).len() == 5);
        assert!(
            all,
            "seed {seed}: {:?} {:?}",
            received(&world),
            world.session.counters()
        );
        assert_eq!(received(&world), vec![0, 1, 2, 3, 4]);
    }
}

#[test]
fn another_certificate_than_announced_ends_the_session_before_keys() {
    let mut peer = Peer::new(Flavour::Both);
    peer.offer.fingerprint(&["00"; 32].join(":"));
    let mut world = world(peer, 0, 3);
    assert!(world.run(PATIENCE, |world| !world.events.is_empty()));
    assert_eq!(world.events, vec![RtcEvent::Ended(EndCause::FingerprintMismatch)]);
    assert!(!world.session.is_connected() && world.session.outgoing(world.now).is_none());
    assert_eq!(world.session.poll_timeout(), None);
}

#[test]
fn no_keys_in_time_ends_the_session() {
    let mut peer = Peer::new(Flavour::Both);
    peer.checks = false;
    let mut world = world(peer, 0, 4);
    assert!(!world.run(Duration::from_millis(9_990), |world| !world.events.is_empty()));
    assert!(world.run(Duration::from_millis(20), |world| !world.events.is_empty()));
    assert_eq!(world.events, vec![RtcEvent::Ended(EndCause::HandshakeTimedOut)]);
}

#[test]
fn a_silent_client_is_gone_after_the_consent_timeout() {
    let mut world = world(Peer::new(Flavour::Both), 0, 5);
    world.connect();
    world.peer.checks = false;
    assert!(!world.run(Duration::from_secs(19), |world| world.events.len() > 1));
    assert!(world.run(Duration::from_secs(3), |world| world.events.len() > 1));
    assert_eq!(world.events[1], RtcEvent::Ended(EndCause::ConsentExpired));
}

#[test]
fn a_rebound_client_is_followed_whether_or_not_it_nominates_again() {
    for nominates_always in [true, false] {
        let mut peer = Peer::new(Flavour::Both);
        peer.nominates_always = nominates_always;
        let mut world = world(peer, 0, 6);
        world.connect();
        world.run(Duration::from_secs(3), |_| false);
        world.peer.rebind("198.51.100.1:6000");
        let rebound = world.peer.addr;
        let begin = world.now;
        assert!(world.run(PATIENCE, |world| world.session.remote_addr() == Some(rebound)));
        assert!(world.now - begin < Duration::from_secs(2));
        assert_eq!(
            world
                .events
                .iter()
                .filter(|event| **event == RtcEvent::RemoteMoved)
                .count(),
            1
        );
        world.peer.send_data(0, b"still here");
        assert!(world.run(PATIENCE, |world| matches!(
            world.events.last(),
            Some(RtcEvent::Data { .. })
        )));
    }
}

#[test]
fn an_ice_restart_changes_credentials_and_leaves_dtls_alone() {
    let mut world = world(Peer::new(Flavour::Both), 0, 7);
    world.connect();
    let before = world.session.ufrag().to_owned();
    world.peer.offer.credentials("peer2", "anotherpasswordforthepeer");
    world.negotiate(&[], &[]);
    assert_ne!(world.session.ufrag(), before);
    world.negotiate(&[], &[]);
    world.peer.rebind("203.0.113.5:7000");
    let moved = world.peer.addr;
    assert!(world.run(PATIENCE, |world| world.session.remote_addr() == Some(moved)));
    world
        .session
        .send_data(world.now, true, Bytes::from_static(b"after"))
        .unwrap();
    assert!(world.run(PATIENCE, |world| world.peer.messages == [b"after"]));
    assert_eq!(
        world
            .events
            .iter()
            .filter(|event| matches!(event, RtcEvent::Connected))
            .count(),
        1
    );
    world.peer.offer.fingerprint(&["00"; 32].join(":"));
    let offer = world.peer.offer.build();
    assert!(matches!(
        world.session.negotiate(world.now, &offer, &[], &[]),
        Err(NegotiationError::Unusable(_))
    ));
}

#[test]
fn data_beyond_the_limits_is_refused() {
    let mut world = world(Peer::new(Flavour::Both), 0, 8);
    let max = RtcLimits::default().max_data_message_bytes;
    let large = Bytes::from(vec![0; max + 1]);
    let refused = world.session.send_data(world.now, true, large);
    assert_eq!(refused, Err(DataError::TooLarge { bytes: max + 1, max }));
    let message = Bytes::from(vec![0; max]);
    let mut taken = 0;
    let refusal = loop {
        match world.session.send_data(world.now, true, message.clone()) {
            Ok(()) => taken += max,
            Err(error) => break error,
        }
    };
    let bound = RtcLimits::default().max_queued_data_bytes;
    assert_eq!(refusal, DataError::QueueFull { max: bound });
    assert!(taken <= bound && taken + max > bound);
}
