//! SIGINT, SIGTERM and SIGHUP as something a command waits for, so that what it has made is removed.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use super::CommandError;

/// Keeps SIGINT, SIGTERM and SIGHUP (a terminal that closes) from ending the process, in this thread and those it starts, and reports them
/// instead.
pub(super) fn block_end_signals() -> io::Result<SignalFd> {
    let mut ending = SigSet::empty();
    ending.add(Signal::SIGHUP);
    ending.add(Signal::SIGINT);
    ending.add(Signal::SIGTERM);
    ending.thread_block()?;
    Ok(SignalFd::new(&ending)?)
}

/// Calls `action` once, when the process is told to end; a second signal ends it at once.
pub(super) fn on_end(action: impl FnOnce() + Send + 'static) -> Result<(), CommandError> {
    let signals = block_end_signals().map_err(CommandError::Signals)?;
    let wait = move || {
        while let Err(nix::Error::EINTR) = signals.read_signal() {}
        action();
        while let Err(nix::Error::EINTR) = signals.read_signal() {}
        std::process::exit(130);
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map_err(CommandError::Signals)?;
    Ok(())
}
