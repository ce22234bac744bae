//! A client whose way to the node is a TCP connection (RFC 6544).

use super::peer::Flavour;
use super::*;
use crate::rtc::TcpId;

const PATIENCE: Duration = Duration::from_secs(5);

fn by_tcp(world: &mut World, number: u32) -> SocketAddr {
    let address = TcpId::new(number).address("198.51.100.1:5000".parse().unwrap());
    world.peer.addr = address;
    address
}

fn talks(world: &mut World, what: &[u8]) {
    let before = world.peer.messages.len();
    world.peer.send_data(0, what);
    let back = Bytes::copy_from_slice(what);
    world.session.send_data(world.now, true, back).unwrap();
    assert!(world.run(PATIENCE, |world| world.peer.messages.len() > before
        && matches!(world.events.last(), Some(RtcEvent::Data { payload, .. }) if payload == what)));
}

#[test]
fn a_connection_carries_a_session_and_the_next_one_takes_over() {
    let mut world = world(Peer::new(Flavour::Both), 0, 61);
    let first = by_tcp(&mut world, 1);
    world.connect();
    assert_eq!(world.session.remote_addr(), Some(first));
    talks(&mut world, b"by the first");

    // Another one of the same client, nominated: it takes over while the first still stands.
    let second = by_tcp(&mut world, 2);
    assert!(world.run(PATIENCE, |world| world.session.remote_addr() == Some(second)));
    talks(&mut world, b"by the second");

    // It breaks: nothing is sent into the void, and the next check finds the session waiting.
    world.session.forget_addr(second);
    assert_eq!(world.session.remote_addr(), None);
    world.peer.nominates_always = false;
    let third = by_tcp(&mut world, 3);
    let begin = world.now;
    assert!(world.run(PATIENCE, |world| world.session.remote_addr() == Some(third)));
    assert!(
        world.now - begin < Duration::from_secs(1),
        "{:?}",
        world.now - begin
    );
    talks(&mut world, b"by the third");
}

#[test]
fn a_client_whose_only_connection_breaks_is_gone_after_the_consent_timeout() {
    let mut world = world(Peer::new(Flavour::Both), 0, 62);
    let only = by_tcp(&mut world, 1);
    world.connect();
    world.session.forget_addr(only);
    world.peer.checks = false;
    let limit = config().limits.consent_timeout + Duration::from_secs(1);
    assert!(world.run(limit, |world| world.events.last()
        == Some(&RtcEvent::Ended(EndCause::ConsentExpired))));
}
