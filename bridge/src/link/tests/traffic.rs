//! What established links carry.

use super::node::{Node, hello, linked};
use crate::link::lanes::Lane;
use crate::link::{CloseReason, LinkEvent, LinkHandle, StreamKey};
use bytes::Bytes;
use relay_proto::control::{ControlMessage, GoodbyeCause};
use relay_proto::datagram::{Header, Kind, encode_probe};
use relay_proto::id::{Layer, NodeId, TrackAlias};
use relay_proto::unit::{MediaSeq, RtpTime};
use std::time::{Duration, Instant};

fn media(seq: u32, layer: u8, bytes: usize) -> Bytes {
    let mut header = Header::media(
        NodeId::of("a"),
        TrackAlias(7),
        Layer(layer),
        MediaSeq(seq),
        RtpTime(seq),
    );
    header.audio = bytes < 300;
    let mut datagram = header.encode().to_vec();
    datagram.resize(bytes, 0x5a);
    Bytes::from(datagram)
}

async fn received(node: &Node, count: usize) -> Vec<(NodeId, Bytes)> {
    for _ in 0..1_000 {
        if node.media.0.lock().unwrap().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    node.media.0.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_arrives_with_its_sender_and_is_counted_per_stream() {
    let (mut a, mut b) = (Node::named("a"), Node::named("b"));
    let (from_a, from_b) = linked(&mut a, &mut b).await;
    for seq in 0..100 {
        from_a.send_datagram(Instant::now(), Lane::Video, media(seq, 2, 1_000));
        from_a.send_datagram(Instant::now(), Lane::Audio, media(seq, 0, 150));
    }
    let arrived = received(&b, 200).await;
    assert_eq!(arrived.len(), 200);
    assert!(arrived.iter().all(|(from, _)| *from == NodeId::of("a")));
    let key = |layer| StreamKey {
        origin: NodeId::of("a"),
        track: TrackAlias(7),
        layer: Layer(layer),
    };
    let sent = from_a.stats().sent;
    assert_eq!(
        (
            sent.datagrams,
            sent.streams[&key(2)].media.datagrams,
            sent.streams[&key(0)].media.datagrams,
            sent.media.repeated
        ),
        (200, 100, 100, 0)
    );
    let counted = from_b.stats().received;
    assert_eq!((counted.datagrams, counted.bytes), (200, 100 * 1_150));
}

#[tokio::test]
async fn control_messages_arrive_in_order_and_before_the_close() {
    let (mut a, mut b) = (Node::named("a"), Node::named("b"));
    let (from_a, _) = linked(&mut a, &mut b).await;
    for _ in 0..500 {
        from_a
            .send_control(Box::new(ControlMessage::RowDigest(Vec::new())))
            .unwrap();
    }
    from_a
        .send_control(Box::new(ControlMessage::Goodbye(GoodbyeCause::Stopping)))
        .unwrap();
    from_a.close(GoodbyeCause::Stopping);
    for _ in 0..500 {
        assert_eq!(b.control().await, ControlMessage::RowDigest(Vec::new()));
    }
    assert_eq!(b.control().await, ControlMessage::Goodbye(GoodbyeCause::Stopping));
    assert_eq!(b.closed().await, CloseReason::Peers(GoodbyeCause::Stopping));
    assert_eq!(a.closed().await, CloseReason::Ours(GoodbyeCause::Stopping));
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_control_stream_loses_the_link() {
    let (mut a, mut b) = (Node::named("a"), Node::named("b"));
    let (from_a, _) = linked(&mut a, &mut b).await;
    // Nobody takes b's events from here on: its event queue, the stream and a's queue fill up in turn.
    let overflowed = flood(&from_a).await;
    assert!(overflowed);
    assert_eq!(a.closed().await, CloseReason::ControlOverflow);
}

async fn flood(link: &LinkHandle) -> bool {
    let big = ControlMessage::Command {
        entry: NodeId(1),
        command: Box::new(relay_proto::session::SessionCommand::ApplyOffer {
            session: relay_proto::id::SessionId {
                entry: NodeId(1),
                serial: 1,
            },
            offer_id: 1,
            sdp: "x".repeat(100_000),
        }),
    };
    for _ in 0..10_000 {
        if link.send_control(Box::new(big.clone())).is_err() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn probes_become_events_and_media_before_the_hello_is_refused() {
    let (mut a, mut b) = (Node::named("a"), Node::named("b"));
    a.dial(&b.address().to_string());
    let from_a = a.opened().await;
    let from_b = b.opened().await;
    from_a.send_datagram(Instant::now(), Lane::Video, media(1, 0, 500));
    for _ in 0..500 {
        if from_b.stats().refused == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(from_b.stats().refused, 1);
    from_a.send_control(hello("a")).unwrap();
    b.control().await;
    let ping = encode_probe(Kind::Ping, NodeId::of("a"), 3, [1; 8]);
    from_a.send_datagram(Instant::now(), Lane::Probe, Bytes::from(ping.clone()));
    assert!(matches!(b.event().await, LinkEvent::Probe { bytes, .. } if bytes == ping));
    assert!(b.media.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_path_limit_grows_by_itself_and_is_reported() {
    let (mut a, mut b) = (Node::named("a"), Node::named("b"));
    let (from_a, _) = linked(&mut a, &mut b).await;
    let mut largest = 0;
    while largest < 1_400 {
        let event = tokio::time::timeout(Duration::from_secs(10), a.events.recv())
            .await
            .unwrap();
        if let Some(LinkEvent::DatagramLimitChanged { bytes, .. }) = event {
            largest = bytes;
        }
    }
    assert_eq!(from_a.max_datagram_bytes(), largest);
}

#[tokio::test]
async fn a_dialler_rests_while_its_peer_is_linked_and_calls_again_afterwards() {
    let (mut a, mut b) = (Node::named("a"), Node::named("b"));
    let (from_a, _) = linked(&mut a, &mut b).await;
    a.linked.send_modify(|linked| {
        linked.insert(NodeId::of("b"));
    });
    from_a.close(GoodbyeCause::DuplicateLink);
    assert_eq!(b.closed().await, CloseReason::Peers(GoodbyeCause::DuplicateLink));
    assert_eq!(a.closed().await, CloseReason::Ours(GoodbyeCause::DuplicateLink));
    let quiet = tokio::time::timeout(Duration::from_millis(800), b.events.recv()).await;
    assert!(quiet.is_err(), "called although linked: {quiet:?}");
    a.linked.send_modify(|linked| {
        linked.remove(&NodeId::of("b"));
    });
    a.opened().await;
    b.opened().await;
}
