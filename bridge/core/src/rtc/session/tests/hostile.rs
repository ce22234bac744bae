use super::peer::Flavour;
use super::*;
use crate::rtc::testing::{RtpFields, rtp_packet};

const PACKETS: u64 = 100_000;

#[test]
fn a_hundred_thousand_forged_packets_leave_no_state() {
    let mut world = world(Peer::new(Flavour::Both), 0, 30);
    world.connect();
    world.run(Duration::from_secs(1), |_| false);
    let (now, from) = (world.now, world.peer.addr);
    let before = *world.session.counters();
    for ssrc in 0..PACKETS as u32 {
        let fields = RtpFields {
            payload_type: 96,
            marker: false,
            seq: ssrc as u16,
            time: 0,
            ssrc,
        };
        let mut forged = rtp_packet(fields, &[(4, b"7")], &[1; 60]);
        assert!(matches!(
            world.session.handle_datagram(now, from, &mut forged),
            Received::Nothing
        ));
        forged[1] = 200;
        assert!(matches!(
            world.session.handle_datagram(now, from, &mut forged),
            Received::Nothing
        ));
    }
    let session = &world.session;
    assert_eq!(session.counters().forged - before.forged, 2 * PACKETS);
    assert_eq!(session.keys.as_ref().unwrap().opener.remembered(), 0);
    assert!(session.transmits.is_empty() && session.events.is_empty());
    assert!(world.session.is_connected());
}

#[test]
fn random_bytes_of_every_kind_change_nothing_and_the_client_still_connects() {
    let mut world = world(Peer::new(Flavour::Both), 0, 31);
    let mut dice = SeededRandom::new(&[77; 32]);
    let strangers: [SocketAddr; 2] = ["203.0.113.9:9".parse().unwrap(), world.peer.addr];
    let mut shoot = |world: &mut World, rounds: u32| {
        for round in 0..rounds {
            let first = [0, 22, 25, 60, 63, 128, 144, 159, 191, 255][round as usize % 10];
            let len = dice.number() % 120;
            let mut datagram: Vec<u8> = (0..=len / 4).flat_map(|_| dice.number().to_be_bytes()).collect();
            datagram[0] = first;
            let from = strangers[round as usize % 2];
            assert!(matches!(
                world.session.handle_datagram(world.now, from, &mut datagram),
                Received::Nothing
            ));
        }
    };
    shoot(&mut world, 5_000);
    assert_eq!(world.session.poll_new_addr(), None);
    assert_eq!(world.session.remote_addr(), None);
    assert!(world.session.poll_transmit().is_none());
    world.connect();
    shoot(&mut world, 20_000);
    assert!(world.session.is_connected());
    assert!(world.session.counters().forged > 0);
}

#[test]
fn truncated_and_repeated_handshake_datagrams_do_not_stop_a_client() {
    let mut world = world(Peer::new(Flavour::Both), 0, 32);
    let mut cut_before = BTreeSet::new();
    let end = world.now + Duration::from_secs(5);
    while world.now < end && !world.both_connected() {
        // Everything the client sends also arrives cut short at several places, before the original.
        let copies = world
            .flying
            .iter()
            .filter(|(_, from, _)| from.is_some())
            .map(|(.., datagram)| datagram.clone());
        let fresh: Vec<Vec<u8>> = copies
            .filter(|datagram| matches!(datagram[0], 20..=63) && cut_before.insert(datagram.clone()))
            .collect();
        let from = world.peer.addr;
        for datagram in fresh {
            for len in [
                1,
                12,
                13,
                25,
                datagram.len() / 2,
                datagram.len() - 1,
                datagram.len(),
            ] {
                let mut cut = datagram[..len.min(datagram.len())].to_vec();
                world.session.handle_datagram(world.now, from, &mut cut);
            }
        }
        world.step();
    }
    assert!(
        world.both_connected(),
        "{:?} {:?}",
        world.events,
        world.session.counters()
    );
}

#[test]
fn dtls_from_an_address_without_a_check_is_not_even_read() {
    let mut world = world(Peer::new(Flavour::Both), 0, 33);
    let mut hello = vec![22; 100];
    let from = "203.0.113.9:9".parse().unwrap();
    world.session.handle_datagram(world.now, from, &mut hello);
    assert_eq!(world.session.counters().dtls_unvalidated, 1);
}

#[test]
fn an_ended_session_does_nothing() {
    let mut world = world(Peer::new(Flavour::Both), 0, 34);
    world.session.handle_timeout(world.now + Duration::from_secs(11));
    assert_eq!(
        world.session.poll_event(),
        Some(RtcEvent::Ended(EndCause::HandshakeTimedOut))
    );
    let offer = world.peer.offer.build();
    assert_eq!(
        world.session.negotiate(world.now, &offer, &[], &[]),
        Err(NegotiationError::Ended)
    );
    assert_eq!(
        world.session.send_data(world.now, true, Bytes::new()),
        Err(DataError::Ended)
    );
    let from = world.peer.addr;
    assert!(matches!(
        world.session.handle_datagram(world.now, from, &mut [0; 20]),
        Received::Nothing
    ));
    assert!(world.session.poll_transmit().is_none());
}
