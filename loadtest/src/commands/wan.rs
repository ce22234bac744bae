//! `loadtest wan`: runs the emulator until SIGINT or SIGTERM.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use loadtest::wan::{CaptureTo, Relay, WanConfig, WanError, WanHandle, WanStats, units};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use super::CommandError;

#[derive(Args)]
pub(crate) struct Arguments {
    /// TOML file with the links.
    #[arg(long)]
    config: PathBuf,
    /// Records every delivered datagram in this pcap file.
    #[arg(long)]
    capture: Option<PathBuf>,
    /// Size at which the capture stops growing.
    #[arg(long, default_value = "256MiB", value_parser = units::parse_size, requires = "capture")]
    capture_limit: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = read_config(&arguments.config)?;
    let capture = arguments.capture.clone();
    let capture = capture.map(|path| CaptureTo {
        path,
        limit_bytes: arguments.capture_limit,
    });
    let signals = block_end_signals().map_err(CommandError::Signals)?;
    let relay = Relay::bind(&config, capture.as_ref())?;
    let handle = relay.handle();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || stop_on_signal(&signals, &handle))
        .map_err(WanError::EventLoop)?;

    let mut stdout = io::stdout();
    write!(stdout, "wan ready: {} links", config.links.len())?;
    match relay.control_addr() {
        Some(address) => writeln!(stdout, ", control {address}")?,
        None => writeln!(stdout)?,
    }
    stdout.flush()?;
    let stats = relay.run()?;
    summarise(&stats, &mut stdout)?;
    Ok(())
}

fn read_config(path: &Path) -> Result<WanConfig, CommandError> {
    let path_buf = || path.to_owned();
    let text = fs::read_to_string(path).map_err(|source| CommandError::File {
        path: path_buf(),
        source,
    })?;
    WanConfig::from_toml(&text).map_err(|source| CommandError::Config {
        path: path_buf(),
        source: Box::new(source),
    })
}

/// Keeps SIGINT and SIGTERM from ending the process, in this thread and those it starts, and reports them
/// instead.
fn block_end_signals() -> nix::Result<SignalFd> {
    let mut ending = SigSet::empty();
    ending.add(Signal::SIGINT);
    ending.add(Signal::SIGTERM);
    ending.thread_block()?;
    SignalFd::new(&ending)
}

fn stop_on_signal(signals: &SignalFd, handle: &WanHandle) {
    // Any other failure also ends the emulator: without signals nobody could.
    while let Err(nix::Error::EINTR) = signals.read_signal() {}
    if let Err(error) = handle.stop() {
        eprintln!("loadtest: {error}");
    }
}

fn summarise(stats: &WanStats, output: &mut impl Write) -> io::Result<()> {
    for link in &stats.links {
        writeln!(
            output,
            "{} > {}: {} offered, {} delivered ({} bytes), {} lost, {} queue full, {} cut off, {} refused, \
             {} unsent",
            link.from,
            link.to,
            link.offered.datagrams,
            link.delivered.datagrams,
            link.delivered.bytes,
            link.lost,
            link.queue_full,
            link.cut_off,
            link.refused,
            link.unsent,
        )?;
    }
    if stats.captured + stats.capture_skipped > 0 {
        writeln!(
            output,
            "captured {}, beyond the limit {}",
            stats.captured, stats.capture_skipped
        )?;
    }
    Ok(())
}
