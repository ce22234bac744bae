//! Regions as network namespaces, joined through TUN devices in user space.
//!
//! Every region is a namespace with loopback and one device. One thread (`switch`) reads the packets that
//! leave a region and writes them into the region they are for, when the link between the two says so. Programs
//! inside need no changes: they see one network, 198.18.0.0/15. ECN marks cross unchanged, as do TCP and ICMP.
//! Here live what touches the system for that (`netns` and `device`, `priority`) and the configuration
//! ([`config`], pure); what a link does to a packet is decided in [`super::model`], and commands, counters and the
//! packets under way are shared with the relay.
//!
//! It needs root. Whoever makes namespaces holds SIGINT and SIGTERM back and ends in order: a process that is
//! killed leaves the names behind until the next start with the same prefix removes them. Programs running in a
//! region are not ended with it: they keep a namespace without a name and without a device.

pub mod config;
mod device;
mod error;
mod netns;
mod priority;
mod switch;

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};

use tun_rs::SyncDevice;

use super::error::WanError;
use super::handle::WanHandle;
use super::stats::WanStats;
pub use config::{NamespacesConfig, RegionLink};
pub use error::NamespacesError;
pub use netns::Entrance;
use netns::Netns;
pub use priority::Priority;
use switch::Switch;

struct Region {
    name: String,
    address: Ipv4Addr,
    netns: Netns,
}

/// Regions with a running emulator between them; dropping it removes everything. Commands are those of
/// [`WanHandle`].
pub struct Namespaces {
    handle: WanHandle,
    control: Option<SocketAddrV4>,
    priority: Priority,
    thread: Option<JoinHandle<Result<WanStats, WanError>>>,
    /// Removed after the thread has closed its devices.
    regions: Vec<Region>,
}

impl Namespaces {
    /// Whether this process can have namespaces, tried out without leaving anything behind. Some milliseconds.
    ///
    /// # Errors
    /// [`NamespacesError::NotPossible`] says why not and what to do.
    pub fn possible() -> Result<(), NamespacesError> {
        device::try_out()
    }

    /// Removes what a crashed process with this prefix has left behind, makes the regions and starts carrying
    /// packets. Some tens of milliseconds per region.
    ///
    /// # Errors
    /// [`NamespacesError`]; nothing is left behind then.
    pub fn create(config: &NamespacesConfig) -> Result<Self, NamespacesError> {
        config.check()?;
        device::try_out()?;
        netns::remove_stale(&config.prefix);
        let mut regions = Vec::new();
        let mut devices = Vec::new();
        for (index, name) in config.regions.iter().enumerate() {
            let region = Region {
                name: name.clone(),
                address: config::address_of(index),
                netns: Netns::create(&config.prefix, name)?,
            };
            devices.push(region.open_device()?);
            region.netns.configure(region.address)?;
            regions.push(region);
        }
        let switch = Switch::new(config, devices)?;
        let (handle, control) = (switch.desk().handle(), switch.desk().control_addr());
        let (thread, priority) = start(switch)?;
        Ok(Self {
            handle,
            control,
            priority,
            thread: Some(thread),
            regions,
        })
    }

    /// The names of the regions, in the order of the configuration.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.regions.iter().map(|region| region.name.as_str())
    }

    /// The address of a region; all others of its /24 are local to it as well, for programs that need more.
    ///
    /// # Errors
    /// [`NamespacesError::UnknownRegion`].
    pub fn address_of(&self, region: &str) -> Result<Ipv4Addr, NamespacesError> {
        self.region(region).map(|region| region.address)
    }

    /// The name of a region's namespace, as `ip netns` shows it.
    ///
    /// # Errors
    /// [`NamespacesError::UnknownRegion`].
    pub fn namespace_of(&self, region: &str) -> Result<&str, NamespacesError> {
        self.region(region).map(|region| region.netns.name())
    }

    /// A program that will run in a region. The child's process id is that of the program.
    ///
    /// # Errors
    /// [`NamespacesError::UnknownRegion`].
    pub fn command(&self, region: &str, program: impl AsRef<OsStr>) -> Result<Command, NamespacesError> {
        let region = self.region(region)?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", region.netns.name()]).arg(program);
        Ok(command)
    }

    /// Does `work` on a thread that is in the region, and waits for it. Sockets opened there belong to the region
    /// and may be used anywhere afterwards. A panic of `work` goes on in the caller.
    ///
    /// # Errors
    /// [`NamespacesError::UnknownRegion`], [`NamespacesError::Enter`], [`NamespacesError::Thread`].
    pub fn inside<T: Send>(
        &self,
        region: &str,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, NamespacesError> {
        self.region(region)?.inside(work)
    }

    /// A way into a region for threads that stay there.
    ///
    /// # Errors
    /// [`NamespacesError::UnknownRegion`].
    pub fn entrance(&self, region: &str) -> Result<Entrance, NamespacesError> {
        self.region(region).map(|region| region.netns.entrance().clone())
    }

    /// The address of the control socket, if the configuration asked for one.
    pub fn control_addr(&self) -> Option<SocketAddrV4> {
        self.control
    }

    /// Whether the emulator's thread goes before all others.
    pub fn priority(&self) -> &Priority {
        &self.priority
    }

    /// Packets of a region that the kernel dropped because the emulator did not read them in time: must be 0 in
    /// a valid run.
    ///
    /// # Errors
    /// As [`Self::inside`].
    pub fn dropped_before_reading(&self, region: &str) -> Result<u64, NamespacesError> {
        self.inside(region, device::drops_before_reading)
    }

    /// Ends the emulator, removes the regions and returns the final counters.
    ///
    /// # Errors
    /// What made the emulator end earlier, if it did.
    pub fn finish(mut self) -> Result<WanStats, NamespacesError> {
        self.end()
            .unwrap_or(Err(WanError::Stopped))
            .map_err(NamespacesError::from)
    }

    /// Whether the emulator still carries packets; [`Self::finish`] tells why if not.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn region(&self, name: &str) -> Result<&Region, NamespacesError> {
        let found = self.regions.iter().find(|region| region.name == name);
        found.ok_or_else(|| NamespacesError::UnknownRegion(name.to_owned()))
    }

    fn end(&mut self) -> Option<Result<WanStats, WanError>> {
        let thread = self.thread.take()?;
        // A thread that has ended by itself cannot be asked to; what it returned tells why.
        let _ = self.handle.stop();
        Some(thread.join().unwrap_or(Err(WanError::Stopped)))
    }
}

impl Deref for Namespaces {
    type Target = WanHandle;

    fn deref(&self) -> &WanHandle {
        &self.handle
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.end() {
            eprintln!("wan: {error}");
        }
    }
}

impl Region {
    fn open_device(&self) -> Result<SyncDevice, NamespacesError> {
        self.inside(device::open)?
            .map_err(|source| NamespacesError::Device {
                region: self.name.clone(),
                source,
            })
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespacesError> {
        let entrance = self.netns.entrance();
        thread::scope(|scope| {
            let thread = thread::Builder::new().name(format!("in-{}", self.name));
            let entered = thread
                .spawn_scoped(scope, || entrance.enter().map(|()| work()))
                .map_err(NamespacesError::Thread)?;
            entered.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

type Running = JoinHandle<Result<WanStats, WanError>>;

/// Starts the emulator's thread and waits until it knows its priority.
fn start(switch: Switch) -> Result<(Running, Priority), NamespacesError> {
    let (tell, told) = sync_channel(1);
    let thread = thread::Builder::new()
        .name("wan".to_owned())
        .spawn(move || {
            // Nobody waits for it only when starting has failed otherwise.
            let _ = tell.send(priority::raise());
            switch.run()
        })
        .map_err(NamespacesError::Thread)?;
    let priority = told.recv().map_err(|_| WanError::Stopped)?;
    Ok((thread, priority))
}
