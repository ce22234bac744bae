use super::data::stamped;
use super::*;

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode_request(&bytes);
        let _ = decode_join(&URL_SAFE_NO_PAD.encode(&bytes), LIMIT);
        let _ = stamped(&bytes, true);
        for compression in 0..2 {
            let wrapped = proto::WrappedJoinRequest { compression, join_request: bytes.clone() };
            let _ = decode_join(&URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec()), LIMIT);
        }
    }

    #[test]
    fn random_text_never_panics(text in ".{0,200}") {
        let _ = decode_join(&text, LIMIT);
    }

    #[test]
    fn damaged_requests_never_panic(at in 0_usize..200, value in any::<u8>()) {
        let mut bytes = frame(Asked::Offer(proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp: "v=0".repeat(50),
            id: 3,
            ..proto::SessionDescription::default()
        }));
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = decode_request(&bytes);
        let _ = stamped(&bytes, false);
    }

    #[test]
    fn whatever_passes_is_a_message_of_its_true_sender(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(incoming) = stamped(&bytes, true)
            && let Ok(out) = proto::DataPacket::decode(incoming.stamped.as_slice())
        {
            prop_assert_eq!(out.participant_identity, "ada");
            prop_assert_eq!(out.participant_sid, "PA_1");
        }
    }
}
