//! The TUN device of a region, and what the kernel says about it.

use std::fs;
use std::io;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::error::NamespacesError;
use super::netns::{DEVICE, has_ip};

/// Opens the device in the namespace the calling thread is in; it stays there, whoever reads it. It vanishes
/// when it is closed.
///
/// Offloads stay off: with them the kernel hands over many datagrams as one, and loss and delay would act on the
/// whole of them.
pub(super) fn open() -> io::Result<SyncDevice> {
    let device = DeviceBuilder::new().name(DEVICE).enable(false).build_sync()?;
    device.set_nonblocking(true)?;
    Ok(device)
}

/// Whether this process can have namespaces and devices, tried out in a namespace without a name that vanishes
/// with the thread that tries.
///
/// # Errors
/// [`NamespacesError::NotPossible`] with the reason.
pub(super) fn try_out() -> Result<(), NamespacesError> {
    let not_possible = |why: String| Err(NamespacesError::NotPossible(why));
    if !has_ip() {
        return not_possible("the program `ip` (Debian package iproute2) does not run".to_owned());
    }
    let attempt = || match unshare(CloneFlags::CLONE_NEWNET) {
        Err(error) => Err(format!(
            "the system refuses a network namespace ({})",
            error.desc()
        )),
        Ok(()) => open()
            .map(drop)
            .map_err(|error| format!("the system refuses a TUN device ({error})")),
    };
    let tried = thread::scope(|scope| {
        let thread = thread::Builder::new().name("wan-try".to_owned());
        let trial = thread
            .spawn_scoped(scope, attempt)
            .map_err(NamespacesError::Thread)?;
        let failed = |_| Err("trying it out failed".to_owned());
        Ok::<_, NamespacesError>(trial.join().unwrap_or_else(failed))
    });
    tried?.or_else(not_possible)
}

/// Packets the kernel dropped before the emulator could read them, of the namespace the calling thread is in.
pub(super) fn drops_before_reading() -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/dev");
    table.ok().and_then(|table| transmit_drops(&table)).unwrap_or(0)
}

/// The column "transmit, drop" of `/proc/net/dev` (Linux, `net/core/net-procfs.c`) for our device.
fn transmit_drops(table: &str) -> Option<u64> {
    /// Eight columns about receiving come first; this one is the fourth about sending.
    const COLUMN: usize = 8 + 3;
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(DEVICE)?.strip_prefix(':'));
    line?.split_ascii_whitespace().nth(COLUMN)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::transmit_drops;

    #[test]
    fn the_drops_of_our_device_are_read() {
        let table = "Inter-|   Receive                            |  Transmit\n \
            face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n    \
            lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  \
            wan0:  21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36\n";
        assert_eq!(transmit_drops(table), Some(32));
        assert_eq!(transmit_drops("lo: 1 2"), None);
        assert_eq!(transmit_drops(""), None);
    }
}
