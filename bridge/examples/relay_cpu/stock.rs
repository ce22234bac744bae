//! A middle of quinn as it comes: cubic, its own pacer, its own acknowledgements.

use crate::AnyError;
use crate::load::{Middle, PAYLOAD_BYTES, runtime};
use bridge::link::tls::{Identity, SERVER_NAME};
use bytes::Bytes;
use quinn::{ClientConfig, Endpoint, ServerConfig};
use relay_proto::id::NodeName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Name of the threads whose time counts: another one than ours has, so that a profile tells them apart.
const STOCK: &str = "stock";

pub(crate) fn start() -> Result<Middle, AnyError> {
    let (middle, ends) = (runtime(STOCK)?, runtime("ends")?);
    let identity = Identity::from_secret("the secret of a benchmark", &NodeName::from("stock"))?;
    let credentials = identity.issue(SystemTime::now())?;
    let arrived = Arc::<AtomicU64>::default();
    let server = || -> Result<Endpoint, AnyError> {
        let config = ServerConfig::with_crypto(Arc::new(credentials.server()?));
        Ok(Endpoint::server(config, "127.0.0.1:0".parse()?)?)
    };
    let client = ClientConfig::new(Arc::new(credentials.client()?));
    let (far, near) = {
        let _entered = ends.enter();
        (server()?, Endpoint::client("127.0.0.1:0".parse()?)?)
    };
    let between = {
        let _entered = middle.enter();
        server()?
    };
    let (to_middle, to_far) = (between.local_addr()?, far.local_addr()?);
    ends.spawn(count(far.clone(), arrived.clone()));
    middle.spawn(pass_on(between.clone(), client.clone(), to_far));
    let connection = ends.block_on(async {
        near.connect_with(client, to_middle, SERVER_NAME)?
            .await
            .map_err(AnyError::from)
    })?;
    let packet = Bytes::from(vec![7; PAYLOAD_BYTES]);
    let kept = (near, far, between, middle);
    Ok(Middle::new(
        &ends.handle().clone(),
        arrived,
        STOCK,
        (kept, ends),
        move |_| {
            if let Err(error) = connection.send_datagram(packet.clone()) {
                println!("stock quinn: {error}");
            }
        },
    ))
}

async fn pass_on(between: Endpoint, client: ClientConfig, to_far: SocketAddr) -> Result<(), AnyError> {
    let onward = between.connect_with(client, to_far, SERVER_NAME)?.await?;
    let from = between.accept().await.ok_or("closed")?.await?;
    while let Ok(datagram) = from.read_datagram().await {
        onward.send_datagram(datagram)?;
    }
    Ok(())
}

async fn count(far: Endpoint, arrived: Arc<AtomicU64>) -> Result<(), AnyError> {
    let connection = far.accept().await.ok_or("closed")?.await?;
    while connection.read_datagram().await.is_ok() {
        arrived.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
