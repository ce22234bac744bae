use super::*;

pub(super) fn stamped(payload: &[u8], reliable: bool) -> Result<Incoming, DataError> {
    let (identity, sid) = (Identity::from("ada"), ParticipantSid::from("PA_1"));
    inspect_data(
        payload,
        Stamp {
            identity: &identity,
            sid: &sid,
            reliable,
        },
        10,
    )
}

#[test]
#[expect(deprecated, reason = "older clients read and write these fields")]
fn a_data_message_carries_its_true_sender_and_nothing_else_changes() {
    let user = proto::UserPacket {
        payload: b"hello".to_vec(),
        participant_identity: "mallory".to_owned(),
        participant_sid: "PA_evil".to_owned(),
        destination_identities: vec!["carl".to_owned()],
        destination_sids: vec!["PA_9".to_owned()],
        topic: Some("chat".to_owned()),
        ..proto::UserPacket::default()
    };
    let packet = proto::DataPacket {
        participant_identity: "mallory".to_owned(),
        participant_sid: "PA_evil".to_owned(),
        destination_identities: vec!["bob".to_owned()],
        sequence: 77,
        value: Some(proto::data_packet::Value::User(user)),
        ..proto::DataPacket::default()
    };
    let incoming = stamped(&packet.encode_to_vec(), false).unwrap();
    assert_eq!(incoming.to, [Identity::from("bob"), Identity::from("carl")]);
    assert_eq!(incoming.to_sids, [ParticipantSid::from("PA_9")]);
    let out = proto::DataPacket::decode(incoming.stamped.as_slice()).unwrap();
    assert_eq!(
        (out.participant_identity.as_str(), out.participant_sid.as_str()),
        ("ada", "PA_1")
    );
    assert_eq!((out.sequence, out.kind()), (77, proto::data_packet::Kind::Lossy));
    let Some(proto::data_packet::Value::User(user)) = out.value else {
        panic!()
    };
    assert_eq!(
        (user.payload.as_slice(), user.topic.as_deref()),
        (b"hello".as_slice(), Some("chat"))
    );
    assert_eq!(
        (user.participant_identity.as_str(), user.participant_sid.as_str()),
        ("ada", "PA_1")
    );
}

#[test]
fn data_of_unknown_kind_passes_untouched() {
    // Field 99, length-delimited, three bytes.
    let unknown = [0x9a, 0x06, 0x03, 1, 2, 3];
    let incoming = stamped(&unknown, true).unwrap();
    assert!(incoming.to.is_empty() && incoming.stamped.starts_with(&unknown));
    let out = proto::DataPacket::decode(incoming.stamped.as_slice()).unwrap();
    assert_eq!(out.participant_identity, "ada");
}

#[test]
#[expect(deprecated, reason = "the variant is what must be refused")]
fn forged_speaker_updates_and_crowds_of_recipients_are_refused() {
    let speaker = proto::DataPacket {
        value: Some(proto::data_packet::Value::Speaker(
            proto::ActiveSpeakerUpdate::default(),
        )),
        ..proto::DataPacket::default()
    };
    assert_eq!(stamped(&speaker.encode_to_vec(), true), Err(DataError::Forbidden));
    let crowd = proto::DataPacket {
        destination_identities: (0..11).map(|n| n.to_string()).collect(),
        ..proto::DataPacket::default()
    };
    assert_eq!(
        stamped(&crowd.encode_to_vec(), true),
        Err(DataError::TooManyRecipients)
    );
    assert_eq!(stamped(&[0x2a, 0x7f], true), Err(DataError::Malformed));
    assert_eq!(stamped(&[0x28, 0x01], true), Err(DataError::Malformed));
}
