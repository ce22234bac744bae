//! A way that only TCP goes: what clients send to a UDP address goes on by TCP connections, framed by RFC 4571.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a waiting thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Carries until it is dropped.
pub(crate) struct Detour {
    stop: Arc<AtomicBool>,
    connections: Arc<Connections>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Connections {
    opened: AtomicUsize,
    /// By the client's address.
    open: Mutex<BTreeMap<SocketAddr, TcpStream>>,
}

impl Detour {
    /// From a UDP address, each client by a connection of its own, to a TCP address.
    pub(crate) fn start(from: SocketAddr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(LOOK)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::<Connections>::default();
        let (told, kept) = (stop.clone(), connections.clone());
        let thread = thread::spawn(move || carry(&Arc::new(socket), to, &told, &kept));
        Self {
            stop,
            connections,
            thread: Some(thread),
        }
    }

    /// Connections so far.
    pub(crate) fn opened(&self) -> usize {
        self.connections.opened.load(Ordering::Relaxed)
    }

    /// Breaks every connection; what is sent next opens another one.
    pub(crate) fn cut(&self) {
        for stream in std::mem::take(&mut *self.connections.open.lock().unwrap()).values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.cut();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the detour failed");
        }
    }
}

fn carry(socket: &Arc<UdpSocket>, to: SocketAddr, stop: &AtomicBool, connections: &Connections) {
    let mut datagram = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut datagram) else {
            continue;
        };
        let mut open = connections.open.lock().unwrap();
        // As clients do it: nothing but checks until one has been answered (RFC 6544 section 7).
        let is_check = datagram[0] < 4;
        if !is_check && !open.contains_key(&client) {
            continue;
        }
        let stream = open.entry(client).or_insert_with(|| {
            connections.opened.fetch_add(1, Ordering::Relaxed);
            let stream = TcpStream::connect(to).unwrap();
            stream.set_nodelay(true).unwrap();
            let (back, reading) = (socket.clone(), stream.try_clone().unwrap());
            thread::spawn(move || carry_back(&back, client, reading));
            stream
        });
        let framed = [
            &u16::try_from(length).unwrap().to_be_bytes()[..],
            &datagram[..length],
        ]
        .concat();
        // A connection the node has closed is as good as a datagram lost.
        let _ = stream.write_all(&framed);
    }
}

/// Ends with the connection.
fn carry_back(socket: &UdpSocket, client: SocketAddr, mut stream: TcpStream) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut packet).is_err() {
            return;
        }
        let _ = socket.send_to(&packet, client);
    }
}
