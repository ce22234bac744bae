//! quinn as it comes: cubic, its own pacer, a datagram buffer of 1 MiB.

use crate::AnyError;
use crate::load::{Arrivals, Measured, ONE_WAY, Path, offer};
use bridge::link::tls::{Identity, SERVER_NAME};
use quinn::{ClientConfig, Endpoint, ServerConfig};
use relay_proto::id::NodeName;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub(crate) fn measure(path: Path) -> Result<Measured, AnyError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    let identity = Identity::from_secret("the secret of a benchmark", &NodeName::from("stock"))?;
    let credentials = identity.issue(SystemTime::now())?;
    let server = ServerConfig::with_crypto(Arc::new(credentials.server()?));
    let far = Endpoint::server(server, "127.0.0.1:0".parse()?)?;
    let near = Endpoint::client("127.0.0.1:0".parse()?)?;
    let (wan, entry) = path.start(far.local_addr()?)?;
    let epoch = Instant::now();
    let arrivals = Arc::new(Arrivals::new(epoch));
    let accepted = runtime.spawn({
        let arrivals = arrivals.clone();
        async move {
            let connection = far.accept().await.ok_or("closed")?.await?;
            while let Ok(datagram) = connection.read_datagram().await {
                arrivals.note(&datagram);
            }
            Ok::<_, AnyError>(())
        }
    });
    let config = ClientConfig::new(Arc::new(credentials.client()?));
    let connection = runtime.block_on(async {
        near.connect_with(config, entry, SERVER_NAME)?
            .await
            .map_err(AnyError::from)
    })?;
    std::thread::sleep(Duration::from_secs(1));
    let sent = offer(path, epoch, |_, datagram| {
        if let Err(error) = connection.send_datagram(datagram) {
            println!("stock quinn: {error}");
        }
    });
    std::thread::sleep(ONE_WAY + Duration::from_millis(500));
    let measured = arrivals.measured(sent);
    near.close(quinn::VarInt::from_u32(0), b"");
    runtime.block_on(accepted)??;
    wan.finish()?;
    Ok(measured)
}
