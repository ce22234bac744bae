//! The routes with real sockets, against a bridge that answers as the real one does.

mod api;
mod connection;
mod directory;
mod fake_bridge;

use super::*;
use crate::limits::Limits;
use crate::placement::tests::{config, mesh};
use crate::session::tests::newcomer;
use crate::token::{Claims, mint};
use axum::body::Body;
use fake_bridge::FakeBridge;
use geo::locate::{Anchor, Locator, LocatorSettings, Override};
use geo::point::GeoPoint;
use relay_proto::session::SessionFact;

/// A node without media on a port of its own.
struct Node {
    signaling: Signaling,
    address: SocketAddr,
    facts: mpsc::Sender<SessionFact>,
    _mesh: watch::Sender<Arc<MeshView>>,
}

fn locator() -> Arc<LocatorSlot> {
    let place = |net: &str, latitude, longitude| Override {
        net: net.parse().unwrap(),
        anchor: Anchor::Point(GeoPoint::new(latitude, longitude).unwrap()),
    };
    let overrides = vec![place("1.1.1.0/24", -37.8, 144.9), place("8.8.8.0/24", 1.3, 103.0)];
    Arc::new(LocatorSlot::new(Locator::new(LocatorSettings {
        overrides,
        ..LocatorSettings::default()
    })))
}

fn parts(
    config: SignalingConfig,
) -> (
    Signaling,
    FactsTask,
    mpsc::Receiver<SessionCommand>,
    watch::Sender<Arc<MeshView>>,
) {
    parts_with(config, None)
}

fn parts_with(
    config: SignalingConfig,
    directory: Option<Arc<dyn RoomDirectory>>,
) -> (
    Signaling,
    FactsTask,
    mpsc::Receiver<SessionCommand>,
    watch::Sender<Arc<MeshView>>,
) {
    let (commands, orders) = mpsc::channel(64);
    let (mesh_sender, mesh_receiver) = watch::channel(Arc::new(mesh()));
    let (signaling, task) = Signaling::new(config, locator(), commands, mesh_receiver, directory);
    (signaling, task, orders, mesh_sender)
}

async fn node_with(limits: Limits) -> Node {
    let (signaling, task, orders, mesh) = parts(SignalingConfig { limits, ..config() });
    let (facts, happened) = mpsc::channel(64);
    tokio::spawn(task.run_facts(happened));
    tokio::spawn(FakeBridge::default().run(orders, facts.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = signaling
        .router()
        .into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Node {
        signaling,
        address,
        facts,
        _mesh: mesh,
    }
}

/// A token that is valid now.
fn token_of(identity: &str) -> String {
    let exp = crate::task::clock().wall.0 / 1_000 + 600;
    mint(
        Claims {
            exp,
            ..newcomer(identity).claims
        },
        &config().keys,
    )
    .unwrap()
}

async fn body_of(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn request(method: &str, uri: &str, body: &str) -> axum::http::Request<Body> {
    axum::http::Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", "application/json")
        .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 5000))))
        .body(Body::from(body.to_owned()))
        .unwrap()
}
