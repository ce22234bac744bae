//! `loadtest wan`: runs the emulator that the file asks for until SIGINT, SIGTERM or SIGHUP.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use loadtest::wan::namespaces::Priority;
use loadtest::wan::{
    CaptureTo, Namespaces, NamespacesConfig, Relay, WanConfig, WanError, WanFile, WanHandle, units,
};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signalfd::SignalFd;

use super::wan_summary::summarise;
use super::{CommandError, signals};

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
    let file = read_config(&arguments.config)?;
    // Before anything is made: what a signal would leave behind must be removed.
    let signals = signals::block_end_signals().map_err(CommandError::Signals)?;
    match file {
        WanFile::Relay(config) => run_relay(&config, arguments, signals),
        WanFile::Namespaces { config, fallback } => match (Namespaces::possible(), fallback) {
            (Err(why), Some(relay)) => {
                eprintln!(
                    "loadtest: {why}: these links have them, so the relay carries UDP between those addresses"
                );
                run_relay(&relay, arguments, signals)
            }
            (possible, _) => {
                possible?;
                run_namespaces(&config, arguments, &signals)
            }
        },
    }
}

fn run_relay(config: &WanConfig, arguments: &Arguments, signals: SignalFd) -> Result<(), CommandError> {
    let capture = arguments.capture.clone().map(|path| CaptureTo {
        path,
        limit_bytes: arguments.capture_limit,
    });
    let relay = Relay::bind(config, capture.as_ref())?;
    let handle = relay.handle();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || stop_on_signal(&signals, &handle))
        .map_err(WanError::EventLoop)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", ready(config.links.len(), relay.control_addr()))?;
    stdout.flush()?;
    let stats = relay.run()?;
    summarise(&stats, &mut stdout)?;
    Ok(())
}

fn run_namespaces(
    config: &NamespacesConfig,
    arguments: &Arguments,
    signals: &SignalFd,
) -> Result<(), CommandError> {
    if arguments.capture.is_some() {
        let sentence =
            "--capture records the relay; in a region use `ip netns exec NAMESPACE tcpdump -i wan0`";
        return Err(CommandError::Refused(sentence.into()));
    }
    let namespaces = Namespaces::create(config)?;
    if let Priority::Ordinary { reason } = namespaces.priority() {
        eprintln!("loadtest: no real-time priority ({reason}): on a busy machine delays have a longer tail");
    }
    let mut stdout = io::stdout();
    let mut text = ready(config.links.len(), namespaces.control_addr());
    text += &format!(", {}\n", namespaces.priority());
    for region in namespaces.regions() {
        let (name, address) = (namespaces.namespace_of(region)?, namespaces.address_of(region)?);
        text += &format!("region {region}: namespace {name}, address {address}\n");
    }
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    wait_for_signal(&namespaces, signals)?;
    let dropped = namespaces
        .regions()
        .map(|region| namespaces.dropped_before_reading(region))
        .sum::<Result<u64, _>>()?;
    summarise(&namespaces.finish()?, &mut stdout)?;
    if dropped > 0 {
        writeln!(
            stdout,
            "{dropped} packets dropped by the kernel: more than the emulator could read"
        )?;
    }
    Ok(())
}

fn ready(links: usize, control: Option<SocketAddrV4>) -> String {
    let control = control.map(|address| format!(", control {address}"));
    format!("wan ready: {links} links{}", control.unwrap_or_default())
}

fn read_config(path: &Path) -> Result<WanFile, CommandError> {
    let path_buf = || path.to_owned();
    let text = fs::read_to_string(path).map_err(|source| CommandError::File {
        path: path_buf(),
        source,
    })?;
    WanFile::from_toml(&text).map_err(|source| CommandError::Config {
        path: path_buf(),
        source: Box::new(source),
    })
}

fn stop_on_signal(signals: &SignalFd, handle: &WanHandle) {
    // Any other failure also ends the emulator: without signals nobody could.
    while let Err(nix::Error::EINTR) = signals.read_signal() {}
    if let Err(error) = handle.stop() {
        eprintln!("loadtest: {error}");
    }
}

/// Returns at the first signal, and when the emulator has ended by itself.
fn wait_for_signal(namespaces: &Namespaces, signals: &SignalFd) -> Result<(), CommandError> {
    /// How often it looks whether the emulator still runs.
    const LOOK_EVERY_MS: u16 = 500;
    while namespaces.is_running() {
        let mut descriptors = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, LOOK_EVERY_MS) {
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(CommandError::Signals(error.into())),
        }
    }
    Ok(())
}
