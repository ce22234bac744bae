use super::*;

#[test]
fn a_join_request_is_read_with_and_without_compression_and_padding() {
    let request = join_request(Some((1, "v=0 offer")));
    for gzip in [false, true] {
        let parameter = packed(&request, gzip);
        let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(&parameter).unwrap());
        let standard = padded.replace('-', "+").replace('_', "/");
        for parameter in [parameter, padded, standard] {
            let join = decode_join(&parameter, LIMIT).unwrap();
            assert_eq!(
                join.offer,
                Some(Offer {
                    id: 1,
                    sdp: "v=0 offer".to_owned()
                })
            );
            assert!(join.auto_subscribe && !join.reconnect);
            assert_eq!(
                (join.client.client_protocol, join.client.capabilities),
                (2, vec![1, 7])
            );
        }
    }
}

#[test]
fn a_broken_join_request_says_what_is_wrong() {
    let wrapped = |compression: i32, join_request: Vec<u8>| {
        URL_SAFE_NO_PAD.encode(
            proto::WrappedJoinRequest {
                compression,
                join_request,
            }
            .encode_to_vec(),
        )
    };
    assert_eq!(decode_join("§§§", LIMIT), Err(JoinError::Base64));
    assert_eq!(
        decode_join(&URL_SAFE.encode([0xff; 9]), LIMIT),
        Err(JoinError::Protobuf)
    );
    assert_eq!(
        decode_join(&wrapped(0, vec![0xff; 9]), LIMIT),
        Err(JoinError::Protobuf)
    );
    assert_eq!(
        decode_join(&wrapped(9, Vec::new()), LIMIT),
        Err(JoinError::Compression(9))
    );
    assert_eq!(
        decode_join(&wrapped(1, b"no gzip".to_vec()), LIMIT),
        Err(JoinError::Gzip)
    );
    let mut cut = zipped(&join_request(None).encode_to_vec());
    cut.truncate(cut.len() / 2);
    assert_eq!(decode_join(&wrapped(1, cut), LIMIT), Err(JoinError::Gzip));
}

#[test]
fn a_gzip_bomb_is_given_up_at_the_limit() {
    let bomb = zipped(&vec![0; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let wrapped = proto::WrappedJoinRequest {
        compression: 1,
        join_request: bomb,
    };
    let parameter = URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec());
    assert_eq!(
        decode_join(&parameter, LIMIT),
        Err(JoinError::TooLarge { limit: LIMIT })
    );
    assert_eq!(
        decode_join(&"A".repeat(2 * LIMIT), LIMIT),
        Err(JoinError::TooLarge { limit: LIMIT })
    );
}
