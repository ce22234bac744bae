//! A node's end of a link, without the node.

use crate::AnyError;
use bridge::link::tls::Identity;
use bridge::link::{DatagramSink, LinkEndpoint, LinkEvent, LinkHandle, LinkSettings, RateLimits};
use relay_proto::control::{ControlMessage, Hello};
use relay_proto::id::NodeName;
use relay_proto::version::{Features, OLDEST_SPOKEN_VERSION, PROTOCOL_VERSION};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) type Node = (Arc<LinkEndpoint>, mpsc::Receiver<LinkEvent>);

/// Binds a node of this name, in the runtime that is entered; it accepts links.
pub(crate) fn node(name: &str, rates: RateLimits, sink: Arc<dyn DatagramSink>) -> Result<Node, AnyError> {
    let (sender, events) = mpsc::channel(1_024);
    let settings = LinkSettings {
        listen: "127.0.0.1:0".parse()?,
        rates,
        initial_mtu: 1_200,
    };
    let identity = Identity::from_secret("the secret of a benchmark", &NodeName::from(name))?;
    let endpoint = LinkEndpoint::bind(settings, identity, sender, sink)?;
    tokio::spawn(endpoint.clone().accept_links());
    Ok((endpoint, events))
}

/// Waits for the next link and says hello on it.
pub(crate) async fn say_hello(
    events: &mut mpsc::Receiver<LinkEvent>,
    name: &str,
) -> Result<LinkHandle, AnyError> {
    loop {
        if let LinkEvent::Opened(opened) = events.recv().await.ok_or("the endpoint is gone")? {
            opened.handle.send_control(Box::new(ControlMessage::Hello(Hello {
                newest_version: PROTOCOL_VERSION,
                oldest_version: OLDEST_SPOKEN_VERSION,
                features: Features::OURS,
                name: NodeName::from(name),
                incarnation: 1,
                software: "benchmark".to_owned(),
            })))?;
            return Ok(opened.handle);
        }
    }
}

/// Waits for the peer's hello.
pub(crate) async fn wait_for_hello(events: &mut mpsc::Receiver<LinkEvent>) -> Result<(), AnyError> {
    loop {
        if let LinkEvent::Control { .. } = events.recv().await.ok_or("the endpoint is gone")? {
            return Ok(());
        }
    }
}
