use super::*;
use crate::placement::tests::config;
use crate::session::tests::Seeded;
use crate::token::{admit, inspect};

const NOW_S: u64 = 1_800_000_000;

fn call(room: &str, name: &str) -> JoinCall {
    JoinCall {
        room: room.to_owned(),
        name: name.to_owned(),
        exclude: Vec::new(),
        previous_token: None,
    }
}

fn token(call: JoinCall, config: &SignalingConfig) -> Result<String, JoinRefusal> {
    token_for(&validated(call)?, config, &mut Seeded(7), NOW_S)
}

#[test]
fn names_are_cleaned_and_bounded() {
    let name = |text: &str| validated(call("standup", text)).map(|call| call.name);
    assert_eq!(name("  Ada \t\n Lovelace\u{7} ").unwrap(), "Ada Lovelace");
    assert_eq!(name("a\u{202e}b\u{200b}c").unwrap(), "abc");
    assert_eq!(name("\u{1b}[31m").unwrap(), "[31m");
    assert_eq!(name(&"ä".repeat(64)).unwrap().chars().count(), 64);
    assert_eq!(name(&"ä".repeat(65)), Err(JoinRefusal::Name));
    assert_eq!(name(" \u{0} "), Err(JoinRefusal::Name));
}

#[test]
fn rooms_without_a_usable_name_are_refused() {
    for room in ["", "  ", "a\nb", &"x".repeat(257)] {
        assert_eq!(validated(call(room, "Ada")), Err(JoinRefusal::Room));
    }
    assert_eq!(
        validated(call(" Ünïcode room ", "Ada")).unwrap().room.as_str(),
        "Ünïcode room"
    );
}

#[test]
fn an_anonymous_person_gets_a_token_for_this_room_only() {
    let token = token(call("standup", "Ada"), &config()).unwrap();
    let claims = admit(&token, &config().keys, NOW_S).unwrap();
    assert_eq!(
        (claims.name.as_str(), claims.video.room.as_str()),
        ("Ada", "standup")
    );
    assert!(claims.identity().as_str().starts_with("guest-"));
    assert_eq!(claims.exp, NOW_S + 6 * 3600);
    let permission = claims.permission();
    assert!(permission.can_publish && permission.can_update_metadata && !permission.hidden);
}

#[test]
fn a_previous_token_keeps_identity_rights_and_end() {
    let first = token(call("standup", "Ada"), &config()).unwrap();
    let before = inspect(&first, &config().keys, NOW_S).unwrap();
    let again = JoinCall {
        previous_token: Some(first),
        ..call("standup", "Ada L.")
    };
    let second = token_for(&validated(again).unwrap(), &config(), &mut Seeded(99), NOW_S + 60).unwrap();
    let after = inspect(&second, &config().keys, NOW_S).unwrap();
    assert_eq!(
        (after.identity(), after.exp, after.name.as_str()),
        (before.identity(), before.exp, "Ada L.")
    );
    assert_eq!(after.video, before.video);
}

#[test]
fn an_unusable_previous_token_makes_a_new_person() {
    let first = token(call("standup", "Ada"), &config()).unwrap();
    let before = inspect(&first, &config().keys, NOW_S).unwrap();
    for (previous, room) in [(first.as_str(), "board"), ("forged", "standup")] {
        let call = JoinCall {
            previous_token: Some(previous.to_owned()),
            ..call(room, "Ada")
        };
        let token = token_for(&validated(call).unwrap(), &config(), &mut Seeded(99), NOW_S).unwrap();
        let claims = inspect(&token, &config().keys, NOW_S).unwrap();
        assert_ne!(claims.identity(), before.identity());
        assert_eq!(claims.video.room, room);
    }
}

#[test]
fn without_anonymous_joining_only_a_valid_token_helps() {
    let open = token(call("standup", "Ada"), &config()).unwrap();
    let closed = SignalingConfig {
        anonymous_join: false,
        ..config()
    };
    let refusal = token(call("standup", "Ada"), &closed).unwrap_err();
    assert_eq!(
        (refusal.status(), refusal.code()),
        (403, "anonymous_join_disabled")
    );
    let with = |previous: &str, room: &str| {
        token(
            JoinCall {
                previous_token: Some(previous.to_owned()),
                ..call(room, "Ada")
            },
            &closed,
        )
    };
    assert!(with(&open, "standup").is_ok());
    let refusal = with(&open, "board").unwrap_err();
    assert_eq!(
        (refusal.status(), refusal.code()),
        (403, "token_for_another_room")
    );
    let refusal = with("a.b.c", "standup").unwrap_err();
    assert_eq!((refusal.status(), refusal.code()), (401, "token_malformed"));
}
