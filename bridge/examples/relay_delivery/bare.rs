//! The floor: plain UDP over the same path, one send and one receive per datagram.

use crate::AnyError;
use crate::load::{Arrivals, Measured, ONE_WAY, Path, offer};
use nix::sys::socket::{setsockopt, sockopt};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

pub(crate) fn measure(path: Path) -> Result<Measured, AnyError> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&receiver, sockopt::RcvBuf, &(4 << 20))?;
    receiver.set_read_timeout(Some(ONE_WAY + Duration::from_millis(500)))?;
    let (_wan, entry) = path.start(receiver.local_addr()?)?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let epoch = Instant::now();
    let arrivals = Arrivals::new(epoch);
    let sent = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2_048];
            while let Ok(bytes) = receiver.recv(&mut buffer) {
                arrivals.note(&buffer[..bytes]);
            }
        });
        offer(path, epoch, |_, datagram| {
            if let Err(error) = sender.send_to(&datagram, entry) {
                println!("bare path: {error}");
            }
        })
    });
    Ok(arrivals.measured(sent))
}
