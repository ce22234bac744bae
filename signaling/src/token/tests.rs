use super::*;

const NOW_S: u64 = 1_800_000_000;

fn keys() -> BTreeMap<String, String> {
    BTreeMap::from([(
        "devkey".to_owned(),
        "a secret of at least 32 bytes, for tests".to_owned(),
    )])
}

fn claims() -> Claims {
    Claims {
        sub: "ada".to_owned(),
        exp: NOW_S + 60,
        name: "Ada".to_owned(),
        video: Grants {
            room_join: true,
            room: "standup".to_owned(),
            ..Grants::default()
        },
        ..Claims::default()
    }
}

fn minted(claims: Claims) -> String {
    mint(claims, &keys()).unwrap()
}

#[test]
fn a_minted_token_admits_to_its_room() {
    let token = minted(claims());
    let admitted = admit(&token, &keys(), NOW_S).unwrap();
    assert_eq!(admitted.identity().as_str(), "ada");
    assert_eq!(admitted.room().as_str(), "standup");
    assert_eq!(admitted.iss, "devkey");
    assert!(admit_to(&token, &RoomName::from("standup"), &keys(), NOW_S).is_ok());
}

#[test]
fn every_cause_is_an_error_of_its_own() {
    let good = minted(claims());
    let other_secret = BTreeMap::from([(
        "devkey".to_owned(),
        "another secret of 32 bytes and more".to_owned(),
    )]);
    let other_key = BTreeMap::from([("other".to_owned(), keys()["devkey"].clone())]);
    let admitted = |token: &str| admit(token, &keys(), NOW_S);

    assert_eq!(admitted(""), Err(TokenError::Missing));
    assert_eq!(admitted("nonsense"), Err(TokenError::Malformed));
    assert_eq!(admitted("a.b.c"), Err(TokenError::Malformed));
    assert_eq!(admit(&good, &other_secret, NOW_S), Err(TokenError::Forged));
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    assert_eq!(admitted(&format!("{unsigned}.")), Err(TokenError::Forged));
    assert_eq!(admitted(&format!("{unsigned}.!!!")), Err(TokenError::Forged));
    assert_eq!(admit(&good, &other_key, NOW_S), Err(TokenError::UnknownKey));
    assert_eq!(admit(&good, &keys(), NOW_S + 60), Err(TokenError::Expired));
    assert_eq!(
        admitted(&minted(Claims {
            nbf: NOW_S + 61,
            exp: NOW_S + 90,
            ..claims()
        })),
        Err(TokenError::NotYetValid)
    );
    assert_eq!(
        admitted(&minted(Claims {
            sub: String::new(),
            ..claims()
        })),
        Err(TokenError::Identity)
    );
    let without_join = Grants {
        room_join: false,
        ..claims().video
    };
    assert_eq!(
        admitted(&minted(Claims {
            video: without_join,
            ..claims()
        })),
        Err(TokenError::JoinNotGranted)
    );
    let without_room = Grants {
        room: String::new(),
        ..claims().video
    };
    assert_eq!(
        admitted(&minted(Claims {
            video: without_room,
            ..claims()
        })),
        Err(TokenError::Room)
    );
    assert_eq!(
        admit_to(&good, &RoomName::from("board"), &keys(), NOW_S),
        Err(TokenError::WrongRoom)
    );
}

#[test]
fn a_token_without_end_of_validity_is_expired() {
    assert_eq!(
        admit(&minted(Claims { exp: 0, ..claims() }), &keys(), NOW_S),
        Err(TokenError::Expired)
    );
}

#[test]
fn a_changed_claim_is_forged() {
    let token = minted(claims());
    let other = minted(Claims {
        sub: "mallory".to_owned(),
        ..claims()
    });
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (other_head, _) = other.rsplit_once('.').unwrap();
    assert_ne!(head, other_head);
    assert_eq!(
        admit(&format!("{other_head}.{signature}"), &keys(), NOW_S),
        Err(TokenError::Forged)
    );
}

#[test]
fn the_token_does_not_choose_its_algorithm() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = minted(claims());
    let (_, rest) = token.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
    assert!(matches!(
        admit(&format!("{none}.{payload}."), &keys(), NOW_S),
        Err(TokenError::Malformed | TokenError::Algorithm)
    ));
    let hs512 = jsonwebtoken::encode(
        &Header::new(Algorithm::HS512),
        &Claims {
            iss: "devkey".to_owned(),
            ..claims()
        },
        &EncodingKey::from_secret(keys()["devkey"].as_bytes()),
    )
    .unwrap();
    assert_eq!(admit(&hs512, &keys(), NOW_S), Err(TokenError::Algorithm));
}

#[test]
fn grants_of_other_sdks_are_read() {
    let json = r#"{"iss":"devkey","sub":"ada","exp":1800000060,"nbf":1799999999,"kind":"agent","sha256":"x",
        "attributes":{"a":"b"},"roomConfig":{"name":"x"},
        "video":{"roomJoin":true,"room":"standup","canPublish":false,"canPublishSources":["camera","hologram"],
        "roomAdmin":true,"canUpdateOwnMetadata":true}}"#;
    let read: Claims = serde_json::from_str(json).unwrap();
    let permission = read.permission();
    assert!(!permission.can_publish && !permission.can_publish_data && permission.can_subscribe);
    assert!(permission.can_update_metadata && !permission.hidden);
    assert_eq!(permission.sources, [TrackSource::Camera, TrackSource::Unknown]);
    assert_eq!(read.kind_number(), 4);
}

#[test]
fn absent_permissions_mean_yes_but_not_for_metadata() {
    let permission = claims().permission();
    assert!(permission.can_publish && permission.can_subscribe && permission.can_publish_data);
    assert!(!permission.can_update_metadata && !permission.hidden && permission.sources.is_empty());
}

#[test]
fn whoever_records_is_shown_as_a_recorder_unless_the_token_says_what_it_is() {
    let mut recorder = claims();
    recorder.video.recorder = true;
    assert_eq!(recorder.kind_number(), EGRESS);
    recorder.kind = "agent".to_owned();
    assert_eq!(recorder.kind_number(), 4);
    let read: Claims = serde_json::from_str(r#"{"video":{"recorder":true}}"#).unwrap();
    assert!(read.video.recorder);
}
