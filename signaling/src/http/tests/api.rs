use super::*;
use crate::protocol::tests::{join_request, packed};
use crate::token::Grants;
use serde_json::{Value, json};
use tower::ServiceExt as _;

async fn answered(signaling: &Signaling, request: axum::http::Request<Body>) -> (StatusCode, String) {
    let response = signaling.router().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    (response.status(), body_of(response).await)
}

async fn validated(token: &str, join_request: &str) -> (u16, String) {
    let (signaling, _task, _orders, _mesh) = parts(config());
    let uri = format!("/rtc/v1/validate?access_token={token}&join_request={join_request}");
    let (status, body) = answered(&signaling, request("GET", &uri, "")).await;
    (status.as_u16(), body)
}

fn join_parameter() -> String {
    packed(&join_request(None), true)
}

#[tokio::test]
async fn validate_says_success_or_why_not_and_always_to_every_origin() {
    assert_eq!(
        validated(&token_of("ada"), &join_parameter()).await,
        (200, "success".to_owned())
    );
    assert_eq!(validated("", &join_parameter()).await.0, 401);
    assert_eq!(validated("forged", &join_parameter()).await.0, 401);
    assert_eq!(validated(&token_of("ada"), "!!!").await.0, 400);
    let (signaling, _task, _orders, _mesh) = parts(config());
    let uri = format!("/rtc/v1/validate?access_token={}", token_of("ada"));
    assert_eq!(
        answered(&signaling, request("GET", &uri, "")).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(signaling.counters().refused_join_request.value(), 1);
}

#[tokio::test]
async fn expired_forged_and_roomless_tokens_are_told_apart() {
    let expired = mint(
        Claims {
            exp: 1_000,
            ..newcomer("ada").claims
        },
        &config().keys,
    )
    .unwrap();
    let other_keys = BTreeMap::from([(
        "devkey".to_owned(),
        "some other secret of 32 bytes or more".to_owned(),
    )]);
    let exp = u64::MAX / 2;
    let forged = mint(
        Claims {
            exp,
            ..newcomer("ada").claims
        },
        &other_keys,
    )
    .unwrap();
    let roomless = Claims {
        exp,
        video: Grants {
            room_join: true,
            ..Grants::default()
        },
        ..newcomer("ada").claims
    };
    let roomless = mint(roomless, &config().keys).unwrap();
    let mut without_join = Claims {
        exp,
        ..newcomer("ada").claims
    };
    without_join.video.room_join = false;
    let without_join = mint(without_join, &config().keys).unwrap();
    for (token, status, word) in [
        (expired, 401, "expired"),
        (forged, 401, "forged"),
        (roomless, 403, "no room"),
        (without_join, 403, "does not allow joining"),
    ] {
        let (actual, body) = validated(&token, &join_parameter()).await;
        assert_eq!(actual, status, "{body}");
        assert!(body.contains(word), "{body}");
    }
}

#[tokio::test]
async fn version_0_needs_no_join_request() {
    let (signaling, _task, _orders, _mesh) = parts(config());
    for (token, status) in [(token_of("ada"), 200), ("forged".to_owned(), 401)] {
        let uri = format!("/rtc/validate?access_token={token}&auto_subscribe=1&sdk=go&protocol=16");
        assert_eq!(
            answered(&signaling, request("GET", &uri, "")).await.0.as_u16(),
            status
        );
    }
}

#[tokio::test]
async fn other_versions_of_the_protocol_are_a_readable_404() {
    let (signaling, _task, _orders, _mesh) = parts(config());
    for path in ["/rtc/v2", "/rtc/v2/validate", "/rtc/v1/other"] {
        let (status, body) = answered(&signaling, request("GET", path, "")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(!body.contains("requested room does not exist"));
    }
}

#[tokio::test]
async fn an_upgrade_without_websocket_is_refused_readably() {
    let (signaling, _task, _orders, _mesh) = parts(config());
    let uri = format!(
        "/rtc/v1?access_token={}&join_request={}",
        token_of("ada"),
        join_parameter()
    );
    let (status, _) = answered(&signaling, request("GET", &uri, "")).await;
    assert!(status.is_client_error());
}

async fn joined(config: SignalingConfig, uri: &str, forwarded: Option<&str>, body: Value) -> (u16, Value) {
    let (signaling, _task, _orders, _mesh) = parts(config);
    let mut request = request("POST", uri, &body.to_string());
    if let Some(forwarded) = forwarded {
        request
            .headers_mut()
            .insert("x-forwarded-for", forwarded.parse().unwrap());
    }
    let (status, body) = answered(&signaling, request).await;
    (status.as_u16(), serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn join_sends_everybody_to_their_nearest_node_with_reasons() {
    let body = json!({"room": "standup", "name": "Ada"});
    let (status, answer) = joined(config(), "/api/join", Some("9.9.9.9, 1.1.1.1"), body.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&answer["node"], &answer["region"]),
        (&json!("syd"), &json!("Sydney"))
    );
    assert_eq!(answer["url"], "ws://127.0.0.1:8080");
    let alternatives = answer["alternatives"].as_array().unwrap();
    assert_eq!(alternatives.len(), 3);
    assert_eq!(alternatives[0]["node"], "syd");
    assert!(
        alternatives
            .iter()
            .all(|node| !node["reasons"].as_array().unwrap().is_empty())
    );
    let now_s = crate::task::clock().wall.0 / 1_000;
    let token = answer["token"].as_str().unwrap();
    assert_eq!(
        crate::token::admit(token, &config().keys, now_s)
            .unwrap()
            .video
            .room,
        "standup"
    );

    let (_, answer) = joined(
        config(),
        "/api/join?x=1&pretend=8.8.8.8",
        Some("1.1.1.1"),
        body.clone(),
    )
    .await;
    assert_eq!(answer["node"], "sin");
    let excluding = json!({"room": "standup", "name": "Ada", "exclude": ["syd", "sin"]});
    let (_, answer) = joined(config(), "/api/join?pretend=1.1.1.1", None, excluding).await;
    assert_eq!(answer["node"], "fra");

    let untrusting = SignalingConfig {
        trusted_proxies: Vec::new(),
        overrides: Default::default(),
        ..config()
    };
    let (_, answer) = joined(untrusting, "/api/join?pretend=8.8.8.8", Some("1.1.1.1"), body).await;
    assert_eq!(answer["node"], "fra");
}

#[tokio::test]
async fn join_refuses_with_a_code_and_a_sentence() {
    let good = || json!({"room": "standup", "name": "Ada"});
    let all = json!({"room": "standup", "name": "Ada", "exclude": ["fra", "sin", "syd"]});
    let closed = SignalingConfig {
        anonymous_join: false,
        ..config()
    };
    for (config, uri, body, status, code) in [
        (
            config(),
            "/api/join",
            json!({"room": "standup"}),
            400,
            "invalid_request",
        ),
        (
            config(),
            "/api/join",
            json!({"room": "", "name": "Ada"}),
            400,
            "invalid_room",
        ),
        (
            config(),
            "/api/join",
            json!({"room": "standup", "name": "\u{1}"}),
            400,
            "invalid_name",
        ),
        (
            config(),
            "/api/join?pretend=nowhere",
            good(),
            400,
            "invalid_address",
        ),
        (
            config(),
            "/api/join",
            json!({"room": "standup", "name": "x".repeat(40_000)}),
            400,
            "invalid_request",
        ),
        (config(), "/api/join", all, 503, "no_node"),
        (closed, "/api/join", good(), 403, "anonymous_join_disabled"),
    ] {
        let (actual, answer) = joined(config, uri, None, body).await;
        assert_eq!((actual, answer["error"].as_str().unwrap()), (status, code));
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn join_answers_the_preflight_of_browsers() {
    let (signaling, _task, _orders, _mesh) = parts(config());
    let response = signaling
        .router()
        .oneshot(request("OPTIONS", "/api/join", ""))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert!(
        response.headers()[ACCESS_CONTROL_ALLOW_METHODS]
            .to_str()
            .unwrap()
            .contains("POST")
    );
    assert!(
        response.headers()[ACCESS_CONTROL_ALLOW_HEADERS]
            .to_str()
            .unwrap()
            .contains("content-type")
    );
}
