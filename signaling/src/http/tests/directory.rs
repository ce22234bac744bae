//! Joins where a directory outside of the mesh says who hosts what.

use super::*;
use crate::directory::Asking;
use crate::mesh_view::RoomHost;
use relay_proto::id::RoomName;
use std::sync::atomic::AtomicBool;
use tower::ServiceExt as _;

/// Knows of a room only once it has been asked for it.
#[derive(Default)]
struct OnlyWhenAsked(AtomicBool);

impl RoomDirectory for OnlyWhenAsked {
    fn ask<'a>(&'a self, _room: &'a RoomName) -> Asking<'a> {
        Box::pin(async { self.0.store(true, Ordering::Relaxed) })
    }

    fn hosts(&self, _room: &RoomName) -> Vec<RoomHost> {
        let host = |node: &str, participants| RoomHost {
            node: NodeId::of(node),
            participants,
        };
        if self.0.load(Ordering::Relaxed) {
            vec![host("sin", 3)]
        } else {
            Vec::new()
        }
    }
}

#[tokio::test]
async fn a_join_asks_the_directory_first_and_hears_of_hosts_the_mesh_tells_of_as_well() {
    let directory: Arc<dyn RoomDirectory> = Arc::new(OnlyWhenAsked::default());
    let (signaling, _task, _orders, view) = parts_with(config(), Some(directory));
    let host = |node: &str, participants| RoomHost {
        node: NodeId::of(node),
        participants,
    };
    view.send_modify(|view| {
        // What the directory says of a node counts.
        let hosts = vec![host("sin", 50), host("syd", 4)];
        Arc::make_mut(view).rooms.insert("standup".to_owned(), hosts);
    });
    let body = r#"{"room":"standup","name":"Ann"}"#;
    let response = signaling
        .router()
        .oneshot(request("POST", "/api/join", body))
        .await;
    let answer = body_of(response.unwrap()).await;
    for here in [
        "3 participants of the room are here",
        "4 participants of the room are here",
    ] {
        assert!(answer.contains(here), "{answer}");
    }
    assert!(!answer.contains("50 participants"), "{answer}");
}
