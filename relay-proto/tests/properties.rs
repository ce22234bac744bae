//! Properties of the codec over generated messages and over damaged ones.

#[allow(dead_code, reason = "only the golden test uses all of it")]
mod samples;

use proptest::prelude::*;
use relay_proto::codec::{FrameReader, MAX_FRAME_BYTES, decode, encode};
use relay_proto::control::{ControlMessage, TrackDemand};
use relay_proto::id::{Epoch, Identity, LayerSet, NodeId, RoomName, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{DataMessage, RoomEvent, RoomMessage};
use relay_proto::row::{DigestEntry, HostFacts, LinkFacts, Row, RowKey, RowValue, RowVersion};
use relay_proto::session::{SessionCommand, SessionFact};
use relay_proto::unit::{Micros, PartsPerMillion};

fn rooms() -> impl Strategy<Value = RoomName> {
    "[a-zé☕ ]{1,40}".prop_map(RoomName)
}

fn versions() -> impl Strategy<Value = RowVersion> {
    any::<(u64, u64)>().prop_map(|(incarnation, counter)| RowVersion { incarnation, counter })
}

fn rows() -> impl Strategy<Value = Row> {
    let host = (rooms(), any::<(u32, u32)>()).prop_map(|(room, (epoch, participants))| {
        let facts = HostFacts {
            room: room.clone(),
            epoch: Epoch(epoch),
            participants,
        };
        (RowKey::Host(room), RowValue::Host(facts))
    });
    let link = any::<(u32, bool, u32, u32)>().prop_map(|(peer, up, rtt, loss)| {
        let (peer, rtt, loss) = (NodeId(peer), Micros(rtt), PartsPerMillion(loss));
        (
            RowKey::Link(peer),
            RowValue::Link(LinkFacts { peer, up, rtt, loss }),
        )
    });
    let gone = rooms().prop_map(|room| (RowKey::Host(room), RowValue::Gone));
    (any::<u32>(), versions(), prop_oneof![host, link, gone]).prop_map(|(owner, version, (key, value))| Row {
        owner: NodeId(owner),
        key,
        version,
        value,
    })
}

fn demands() -> impl Strategy<Value = ControlMessage> {
    let demand = (any::<u32>(), 0_u8..8).prop_map(|(track, layers)| TrackDemand {
        track: TrackAlias(track),
        layers: LayerSet(layers),
    });
    (rooms(), any::<u32>(), prop::collection::vec(demand, 0..50)).prop_map(|(room, epoch, tracks)| {
        ControlMessage::Demand {
            room,
            epoch: Epoch(epoch),
            tracks,
        }
    })
}

fn data() -> impl Strategy<Value = ControlMessage> {
    let to = prop::collection::vec("[a-z]{1,9}".prop_map(Identity), 0..4);
    (
        rooms(),
        to,
        any::<bool>(),
        prop::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(room, to, reliable, payload)| {
            let event = RoomEvent::DataSent(DataMessage {
                from: "PA_a".into(),
                to,
                reliable,
                payload,
            });
            ControlMessage::Room(RoomMessage {
                room,
                epoch: Epoch(1),
                event,
            })
        })
}

fn sessions() -> impl Strategy<Value = ControlMessage> {
    let session = any::<(u32, u32)>().prop_map(|(entry, serial)| SessionId {
        entry: NodeId(entry),
        serial,
    });
    (
        session,
        any::<u32>(),
        "\\PC{0,200}",
        prop::collection::vec(("[0-9]{1,3}", "TR_[a-z]{12}"), 0..9),
    )
        .prop_map(|(session, offer_id, sdp, sections)| {
            let sections: Vec<_> = sections
                .into_iter()
                .map(|(mid, sid)| (mid, TrackSid(sid)))
                .collect();
            if sections.is_empty() {
                let command = Box::new(SessionCommand::ApplyOffer {
                    session,
                    offer_id,
                    sdp,
                });
                return ControlMessage::Command {
                    entry: session.entry,
                    command,
                };
            }
            ControlMessage::Fact(Box::new(SessionFact::OfferAnswered {
                session,
                offer_id,
                sdp,
                sections,
            }))
        })
}

fn messages() -> impl Strategy<Value = ControlMessage> {
    let digest = (any::<u32>(), versions()).prop_map(|(owner, newest)| DigestEntry {
        owner: NodeId(owner),
        newest,
    });
    prop_oneof![
        prop::collection::vec(digest, 0..50).prop_map(ControlMessage::RowDigest),
        prop::collection::vec(rows(), 0..20).prop_map(ControlMessage::Rows),
        demands(),
        data(),
        sessions(),
        prop::sample::select(samples::messages()),
    ]
}

proptest! {
    #[test]
    fn every_message_comes_back(message in messages()) {
        let frame = encode(&message).unwrap();
        prop_assert_eq!(decode(&frame[4..]).unwrap(), message);
    }

    #[test]
    fn a_stream_yields_the_same_messages_in_any_cut(
        messages in prop::collection::vec(messages(), 1..8),
        cuts in prop::collection::vec(1_usize..400, 1..64),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| encode(message).unwrap()).collect();
        let (mut reader, mut read, mut rest) = (FrameReader::default(), Vec::new(), stream.as_slice());
        let mut sizes = cuts.iter().cycle();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            reader.push(chunk);
            rest = after;
            while let Some(message) = reader.next_message().unwrap() {
                read.push(message);
            }
        }
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn a_damaged_message_is_refused_or_is_another_valid_one(
        message in messages(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = encode(&message).unwrap().split_off(4);
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(decoded) = decode(&frame) {
            let again = encode(&decoded).unwrap();
            prop_assert!(again.len() <= MAX_FRAME_BYTES + 4);
            prop_assert_eq!(decode(&again[4..]).unwrap(), decoded);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let mut reader = FrameReader::default();
        reader.push(&bytes);
        while let Ok(Some(_)) = reader.next_message() {}
    }
}
