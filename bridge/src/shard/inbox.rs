//! How other threads speak to a shard.
//!
//! Overflow policy: **commands** wait for room (their sender is the node's control task, and the shard always takes
//! them); **relayed media** is dropped and counted, newest first, because its repair is cheaper than its delay; packets of
//! **TCP connections** wait, so that their clients do.

use super::connections::TcpInput;
use crate::tcp::lanes;
use bridge_core::shard::io::ShardCommand;
use bytes::{Bytes, BytesMut};
use nix::sys::eventfd::{EfdFlags, EventFd};
use relay_proto::id::NodeId;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Commands that wait for a shard.
const MAX_COMMANDS: usize = 4_096;
/// Datagrams of links that wait for a shard: 0.1 s of 80,000 a second.
const MAX_RELAYED: usize = 8_192;
/// Packets of TCP connections that wait for a shard.
const MAX_TCP: usize = 1_024;

/// The sending ends; cheap to clone.
#[derive(Clone, Debug)]
pub struct ShardInbox {
    commands: mpsc::Sender<ShardCommand>,
    relayed: mpsc::Sender<(NodeId, Bytes)>,
    tcp: mpsc::Sender<TcpInput>,
    bell: Arc<Bell>,
    /// Something waits that the bell has not told.
    fed: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
}

/// The receiving ends; the shard's own.
#[derive(Debug)]
pub struct Receiving {
    pub(super) commands: mpsc::Receiver<ShardCommand>,
    pub(super) relayed: mpsc::Receiver<(NodeId, Bytes)>,
    pub(super) tcp: mpsc::Receiver<TcpInput>,
    pub(super) bell: Arc<Bell>,
}

/// Wakes a shard that sleeps; costs nothing while it is awake.
#[derive(Debug)]
pub(super) struct Bell {
    pub(super) event: EventFd,
    asleep: AtomicBool,
    stopping: AtomicBool,
}

impl Bell {
    /// Announces that the shard is about to sleep. Look at the queues once more afterwards.
    pub(super) fn going_to_sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The shard is awake; an old ring is taken back.
    pub(super) fn awake(&self) {
        if !self.asleep.swap(false, Ordering::SeqCst) {
            // Somebody rang. The event is non-blocking: nothing to take back is no error.
            let _ = self.event.read();
        }
    }

    /// Orders the shard to end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Whether the shard is to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // Writing 1 can only fail where 2^64 - 2 rings wait.
            let _ = self.event.write(1);
        }
    }
}

/// A shard's inbox, both ends.
///
/// # Errors
/// Where the system refuses an event descriptor.
pub fn inbox() -> io::Result<(ShardInbox, Receiving)> {
    let (commands, command_queue) = mpsc::channel(MAX_COMMANDS);
    let (relayed, relayed_queue) = mpsc::channel(MAX_RELAYED);
    let (tcp, tcp_queue) = mpsc::channel(MAX_TCP);
    let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let bell = Arc::new(Bell {
        event,
        asleep: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
    });
    let inbox = ShardInbox {
        commands,
        relayed,
        tcp,
        bell: bell.clone(),
        fed: Arc::default(),
        dropped: Arc::default(),
    };
    Ok((
        inbox,
        Receiving {
            commands: command_queue,
            relayed: relayed_queue,
            tcp: tcp_queue,
            bell,
        },
    ))
}

impl ShardInbox {
    /// Queues a command, waiting for room. False where the shard is gone.
    pub async fn command(&self, command: ShardCommand) -> bool {
        let queued = self.commands.send(command).await.is_ok();
        self.bell.ring();
        queued
    }

    /// Queues a datagram of a link or a sibling, or drops and counts it. [`Self::ring_if_fed`] follows, once for many.
    pub(super) fn feed(&self, from: NodeId, datagram: Bytes) {
        if self.relayed.try_send((from, datagram)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.fed.store(true, Ordering::Release);
    }

    /// Wakes the shard where somebody has fed it since its bell last rang.
    pub(super) fn ring_if_fed(&self) {
        if self.fed.load(Ordering::Relaxed) && self.fed.swap(false, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    /// A client's TCP connection is there, and `lanes` lead to it. False where the shard is gone.
    pub(crate) async fn connected(&self, address: SocketAddr, lanes: lanes::Sender) -> bool {
        self.tell(TcpInput::Connected(address, lanes)).await
    }

    /// A packet of it, waiting for room.
    pub(crate) async fn packet(&self, address: SocketAddr, packet: BytesMut) -> bool {
        self.tell(TcpInput::Packet(address, packet)).await
    }

    /// It is gone.
    pub(crate) async fn disconnected(&self, address: SocketAddr) -> bool {
        self.tell(TcpInput::Disconnected(address)).await
    }

    async fn tell(&self, input: TcpInput) -> bool {
        let queued = self.tcp.send(input).await.is_ok();
        self.bell.ring();
        queued
    }

    /// Datagrams dropped so far because the shard did not keep up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
