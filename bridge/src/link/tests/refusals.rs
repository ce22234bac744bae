//! Who is not let in, and what the operator reads about it.

use super::node::{Log, Node, SECRET, hello, linked};
use crate::link::tls::{CertificateFiles, Identity};
use crate::link::{CloseReason, DialState};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use relay_proto::control::GoodbyeCause;
use relay_proto::id::NodeName;
use std::path::Path;
use std::time::Duration;

#[tokio::test]
async fn a_wrong_secret_is_refused_and_both_sides_say_so() {
    let (log, _guard) = Log::capture();
    let mut accepting = Node::named("b");
    let stranger = Identity::from_secret("another secret, also long", &NodeName::from("a")).unwrap();
    let mut dialling = Node::start(stranger);
    let state = dialling.dial(&accepting.address().to_string());
    log.wait_for(&[
        "WARN",
        "peer not linked",
        "certificate is not of this mesh",
        "mesh.secret",
    ])
    .await;
    log.wait_for(&[
        "WARN",
        "not admitted to the mesh",
        "refused our certificate",
        "mesh.secret",
    ])
    .await;
    assert!(matches!(&*state.borrow(), DialState::Failing(_)));
    assert!(dialling.events.try_recv().is_err() && accepting.events.try_recv().is_err());
}

#[tokio::test]
async fn repeated_refusals_are_logged_once() {
    let (log, _guard) = Log::capture();
    let accepting = Node::named("b");
    let dialling =
        Node::start(Identity::from_secret("another secret, also long", &NodeName::from("a")).unwrap());
    let address = accepting.address();
    for _ in 0..5 {
        dialling.endpoint.dial(address, 1_200).await.unwrap_err();
    }
    log.wait_for(&["not admitted"]).await;
    assert_eq!(log.text().matches("not admitted").count(), 1, "{}", log.text());
}

#[tokio::test]
async fn an_unreachable_peer_is_retried_quietly_until_it_is_there() {
    let (log, _guard) = Log::capture();
    let reserved = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap();
    let mut dialling = Node::named("a");
    let mut state = dialling.dial(&address.to_string());
    state
        .wait_for(|state| matches!(state, DialState::Failing(_)))
        .await
        .unwrap();
    log.wait_for(&["WARN", "peer not linked; will keep trying"]).await;
    drop(reserved);
    let mut late = Node::named("b");
    let relay = forward(address, late.address());
    dialling.opened().await.send_control(hello("a")).unwrap();
    late.opened().await;
    assert_eq!(log.text().matches("peer not linked").count(), 1, "{}", log.text());
    relay.abort();
}

/// Carries datagrams between whoever calls `listen` and `target`.
fn forward(listen: std::net::SocketAddr, target: std::net::SocketAddr) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let socket = tokio::net::UdpSocket::bind(listen).await.unwrap();
        let mut caller = None;
        let mut buffer = [0; 2_048];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            let to = if from == target {
                caller
            } else {
                caller.replace(from).map_or(Some(target), |_| Some(target))
            };
            if let Some(to) = to {
                socket.send_to(&buffer[..len], to).await.unwrap();
            }
        }
    })
}

#[tokio::test]
async fn a_name_the_certificate_does_not_prove_closes_the_link() {
    let mut a = Node::named("a");
    let mut b = Node::named("b");
    a.dial(&b.address().to_string());
    a.opened().await.send_control(hello("fra")).unwrap();
    b.opened().await;
    match b.closed().await {
        CloseReason::Protocol(text) => {
            assert!(text.contains("fra") && text.contains("a.mesh.causeway"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        a.closed().await,
        CloseReason::Peers(GoodbyeCause::ProtocolViolation)
    );
}

#[tokio::test]
async fn a_control_stream_of_a_future_codec_closes_the_link_as_a_version_mismatch() {
    let mut a = Node::named("a");
    let mut b = Node::named("b");
    let (connection, _) = a.endpoint.dial(b.address(), 1_200).await.unwrap();
    b.opened().await;
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[0, 0, 0, 2, 99, 0]).await.unwrap();
    assert_eq!(b.closed().await, CloseReason::Ours(GoodbyeCause::VersionMismatch));
    let quinn::ConnectionError::ApplicationClosed(close) = connection.closed().await else {
        panic!("not closed by the application");
    };
    assert_eq!(close.error_code.into_inner(), 1);
    assert!(a.events.try_recv().is_err());
}

#[tokio::test]
async fn noise_on_the_control_stream_closes_the_link_as_a_violation() {
    let a = Node::named("a");
    let mut b = Node::named("b");
    let (connection, _) = a.endpoint.dial(b.address(), 1_200).await.unwrap();
    b.opened().await;
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[0xff; 64]).await.unwrap();
    assert!(matches!(b.closed().await, CloseReason::Protocol(_)));
}

#[tokio::test]
async fn certificates_from_files_link_two_nodes_and_keep_a_third_authority_out() {
    let (log, _guard) = Log::capture();
    let folder = tempfile::tempdir().unwrap();
    let ours = authority();
    let theirs = authority();
    let mut a = Node::start(Identity::Files(write_files(folder.path(), "a", &ours)));
    let mut b = Node::start(Identity::Files(write_files(folder.path(), "b", &ours)));
    linked(&mut a, &mut b).await;
    let stranger = Node::start(Identity::Files(write_files(folder.path(), "c", &theirs)));
    stranger.dial(&b.address().to_string());
    log.wait_for(&["peer not linked", "not of this mesh"]).await;
}

#[tokio::test]
async fn the_derived_authority_does_not_admit_one_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let b = Node::named("b");
    let stranger = Node::start(Identity::Files(write_files(folder.path(), "a", &authority())));
    let refused = stranger.endpoint.dial(b.address(), 1_200).await.unwrap_err();
    assert!(refused.contains("not of this mesh"), "{refused}");
    assert!(!refused.contains(SECRET));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let a = Node::named("a");
    let (events, _kept) = tokio::sync::mpsc::channel(1);
    let settings = crate::link::LinkSettings {
        listen: a.address(),
        rates: crate::link::RateLimits::default(),
        initial_mtu: 1_200,
    };
    let identity = Identity::from_secret(SECRET, &NodeName::from("b")).unwrap();
    let Err(error) = crate::link::LinkEndpoint::bind(settings, identity, events, a.media.clone()) else {
        panic!("two sockets on one port");
    };
    let text = error.to_string();
    assert!(
        text.contains("mesh.listen") && text.contains(&a.address().to_string()),
        "{text}"
    );
    tokio::time::timeout(Duration::from_secs(5), a.endpoint.close())
        .await
        .unwrap();
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(vec![]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn write_files(folder: &Path, name: &str, authority: &CertifiedIssuer<'_, KeyPair>) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    let files = CertificateFiles {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
        authority: folder.join(format!("{name}-ca.pem")),
    };
    std::fs::write(&files.certificate, leaf.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    std::fs::write(&files.authority, authority.pem()).unwrap();
    files
}
