//! How other threads reach a shard: two bounded queues and a bell.

use bridge_core::shard::io::ShardCommand;
use bytes::Bytes;
use nix::sys::eventfd::{EfdFlags, EventFd};
use relay_proto::id::NodeId;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Commands that wait for a shard; a sender of one more waits too (a shard never waits for anybody).
const MAX_QUEUED_COMMANDS: usize = 8_192;
/// Datagrams of links that wait for a shard (about 100 ms at 80,000 a second); one more is dropped and counted.
const MAX_QUEUED_DATAGRAMS: usize = 8_192;

/// The shard's thread is gone: the node is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shard has stopped")]
pub struct InboxClosed;

/// The sending side: cheap to clone, works from any thread.
#[derive(Clone, Debug)]
pub struct Inbox {
    commands: SyncSender<ShardCommand>,
    datagrams: SyncSender<(NodeId, Bytes)>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bell: EventFd,
    /// Set while the bell is rung and not yet heard, so that a burst rings it once.
    rung: AtomicBool,
    stop: AtomicBool,
    dropped: AtomicU64,
}

/// The shard's side.
#[derive(Debug)]
pub(super) struct Delivery {
    commands: Receiver<ShardCommand>,
    datagrams: Receiver<(NodeId, Bytes)>,
    shared: Arc<Shared>,
}

/// Both sides of a new inbox.
///
/// # Errors
/// What the system says where it has no event descriptor left.
pub(super) fn inbox() -> std::io::Result<(Inbox, Delivery)> {
    let (command_sender, commands) = sync_channel(MAX_QUEUED_COMMANDS);
    let (datagram_sender, datagrams) = sync_channel(MAX_QUEUED_DATAGRAMS);
    let shared = Arc::new(Shared {
        bell: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
        rung: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        dropped: AtomicU64::new(0),
    });
    let inbox = Inbox {
        commands: command_sender,
        datagrams: datagram_sender,
        shared: shared.clone(),
    };
    Ok((
        inbox,
        Delivery {
            commands,
            datagrams,
            shared,
        },
    ))
}

impl Inbox {
    /// Sends a command; waits while the queue is full.
    ///
    /// # Errors
    /// [`InboxClosed`].
    pub fn command(&self, command: ShardCommand) -> Result<(), InboxClosed> {
        self.commands.send(command).map_err(|_| InboxClosed)?;
        self.shared.ring();
        Ok(())
    }

    /// Hands over a datagram of a link; drops it where too many wait. Hot path.
    pub fn datagram(&self, from: NodeId, datagram: Bytes) {
        match self.datagrams.try_send((from, datagram)) {
            Ok(()) => self.shared.ring(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Datagrams dropped because the shard was behind.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Tells the shard to end once it has carried out what waits.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.ring();
    }
}

impl Shared {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Err(errno) = self.bell.write(1)
        {
            tracing::error!(%errno, "a shard cannot be woken");
        }
    }
}

impl Delivery {
    /// What to wait on besides the socket.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    /// Hears the bell after it has woken the thread, before it looks into the queues.
    ///
    /// The order matters: silenced first, marked unrung second. A sender in between finds it rung and stays silent,
    /// and what it sent is found in the queues.
    pub(super) fn hear(&self) {
        if let Err(errno) = self.shared.bell.read() {
            tracing::error!(%errno, "a shard's bell cannot be silenced");
        }
        self.shared.rung.store(false, Ordering::Release);
    }

    pub(super) fn next_command(&self) -> Option<ShardCommand> {
        self.commands.try_recv().ok()
    }

    pub(super) fn next_datagram(&self) -> Option<(NodeId, Bytes)> {
        self.datagrams.try_recv().ok()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }
}
