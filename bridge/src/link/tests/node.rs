//! One end of a link under test, and a log that can be read back.

use crate::link::handle::lock;
use crate::link::tls::Identity;
use crate::link::*;
use bytes::Bytes;
use relay_proto::control::{ControlMessage, Hello};
use relay_proto::datagram::Header;
use relay_proto::id::{NodeId, NodeName};
use relay_proto::version::{Features, OLDEST_SPOKEN_VERSION, PROTOCOL_VERSION};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

pub(super) const SECRET: &str = "a secret of sufficient length";

/// Keeps what it is given.
#[derive(Default)]
pub(super) struct Kept(pub(super) Mutex<Vec<(NodeId, Bytes)>>);

impl DatagramSink for Kept {
    fn deliver(&self, from: NodeId, batch: &mut Vec<(Header, Bytes)>) {
        let datagrams = batch.drain(..).map(|(_, datagram)| (from, datagram));
        self.0.lock().unwrap().extend(datagrams);
    }

    fn flush(&self) {}
}

pub(super) struct Node {
    pub(super) endpoint: Arc<LinkEndpoint>,
    pub(super) events: mpsc::Receiver<LinkEvent>,
    pub(super) media: Arc<Kept>,
    pub(super) linked: watch::Sender<LinkedPeers>,
}

impl Node {
    pub(super) fn start(identity: Identity) -> Self {
        let (sender, events) = mpsc::channel(256);
        let media = Arc::new(Kept::default());
        let settings = LinkSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            rates: RateLimits::default(),
            initial_mtu: 1_200,
        };
        let endpoint = LinkEndpoint::bind(settings, identity, sender, media.clone()).unwrap();
        tokio::spawn(endpoint.clone().accept_links());
        Self {
            endpoint,
            events,
            media,
            linked: watch::channel(LinkedPeers::new()).0,
        }
    }

    pub(super) fn named(name: &str) -> Self {
        Self::start(Identity::from_secret(SECRET, &NodeName::from(name)).unwrap())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    pub(super) fn dial(&self, address: &str) -> watch::Receiver<DialState> {
        let (dialer, state) = Dialer::new(self.endpoint.clone(), address.to_owned(), self.linked.subscribe());
        tokio::spawn(dialer.run());
        state
    }

    /// The next event that is no change of the datagram limit.
    pub(super) async fn event(&mut self) -> LinkEvent {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
            match event.expect("no event for 20 s").expect("the endpoint is gone") {
                LinkEvent::DatagramLimitChanged { .. } => {}
                event => return event,
            }
        }
    }

    pub(super) async fn opened(&mut self) -> LinkHandle {
        match self.event().await {
            LinkEvent::Opened(opened) => opened.handle,
            other => panic!("expected a link, got {other:?}"),
        }
    }

    pub(super) async fn control(&mut self) -> ControlMessage {
        match self.event().await {
            LinkEvent::Control { message, .. } => *message,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    pub(super) async fn closed(&mut self) -> CloseReason {
        loop {
            if let LinkEvent::Closed { reason, .. } = self.event().await {
                return reason;
            }
        }
    }
}

/// Links `a` (which dials) and `b`, hellos exchanged.
pub(super) async fn linked(a: &mut Node, b: &mut Node) -> (LinkHandle, LinkHandle) {
    a.dial(&b.address().to_string());
    let from_a = a.opened().await;
    let from_b = b.opened().await;
    from_a.send_control(hello("a")).unwrap();
    from_b.send_control(hello("b")).unwrap();
    assert!(matches!(a.control().await, ControlMessage::Hello(hello) if hello.name.as_str() == "b"));
    assert!(matches!(b.control().await, ControlMessage::Hello(hello) if hello.name.as_str() == "a"));
    (from_a, from_b)
}

pub(super) fn hello(name: &str) -> Box<ControlMessage> {
    Box::new(ControlMessage::Hello(Hello {
        newest_version: PROTOCOL_VERSION,
        oldest_version: OLDEST_SPOKEN_VERSION,
        features: Features::OURS,
        name: NodeName::from(name),
        incarnation: 1,
        software: "test".to_owned(),
    }))
}

/// What was logged by this thread while the guard lives.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// Waits until a line holds all `parts`, and returns the log.
    pub(super) async fn wait_for(&self, parts: &[&str]) -> String {
        for _ in 0..2_000 {
            let text = self.text();
            if text
                .lines()
                .any(|line| parts.iter().all(|part| line.contains(part)))
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no line with {parts:?} in:\n{}", self.text());
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
