//! One network namespace: made, entered, removed. iproute2's `ip` does what concerns names and addresses, so that
//! people find the regions with `ip netns` and look into them with the tools they know.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};

use super::error::NamespacesError;

/// Where iproute2 keeps the names.
const NAMES: &str = "/run/netns";

/// The TUN device of every region.
pub(super) const DEVICE: &str = "wan0";

/// Packets the kernel holds for the emulator before it drops them: 80 ms of 100,000 packets a second.
const DEVICE_QUEUE_PACKETS: u32 = 8_192;

/// A way into a namespace for threads; stays valid until the namespace is removed.
#[derive(Debug, Clone)]
pub struct Entrance {
    name: Arc<str>,
    file: Arc<File>,
}

impl Entrance {
    /// Moves the calling thread into the namespace for good: sockets it opens, threads and programs it starts
    /// from now on belong there. Sockets it has already stay where they were opened.
    ///
    /// # Errors
    /// [`NamespacesError::Enter`].
    pub fn enter(&self) -> Result<(), NamespacesError> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|error| NamespacesError::Enter {
            name: self.name.to_string(),
            source: error.into(),
        })
    }
}

/// A named network namespace; dropping it removes it.
#[derive(Debug)]
pub(super) struct Netns {
    name: String,
    entrance: Entrance,
}

impl Netns {
    /// Makes `PREFIX-PROCESS-REGION`.
    pub(super) fn create(prefix: &str, region: &str) -> Result<Self, NamespacesError> {
        let name = format!("{prefix}-{}-{region}", std::process::id());
        let path = Path::new(NAMES).join(&name);
        if path.exists() {
            return Err(NamespacesError::Exists(name));
        }
        ip(&["netns", "add", &name], "")?;
        match File::open(&path) {
            Ok(file) => Ok(Self {
                entrance: Entrance {
                    name: name.as_str().into(),
                    file: Arc::new(file),
                },
                name,
            }),
            Err(source) => {
                remove(&name);
                Err(NamespacesError::Enter { name, source })
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    /// Brings loopback and the device up. `address` and its whole /24 are local; everything else in
    /// 198.18.0.0/15 leaves by the device. Without IPv6 addresses the kernel sends nothing by itself.
    pub(super) fn configure(&self, address: Ipv4Addr) -> Result<(), NamespacesError> {
        let [a, b, c, _] = address.octets();
        let network = Ipv4Addr::new(a, b, c, 0);
        let commands = format!(
            "link set lo up\n\
             link set {DEVICE} txqueuelen {DEVICE_QUEUE_PACKETS}\n\
             link set {DEVICE} addrgenmode none\n\
             address add {address}/32 dev {DEVICE}\n\
             link set {DEVICE} up\n\
             route add local {network}/24 dev lo\n\
             route add 198.18.0.0/15 dev {DEVICE} src {address}\n"
        );
        ip(&["-n", &self.name, "-batch", "-"], &commands)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn remove(name: &str) {
    let removed = ip(&["netns", "delete", name], "");
    // Somebody else may have removed it in the same moment.
    if let Err(error) = removed
        && Path::new(NAMES).join(name).exists()
    {
        eprintln!("wan: {error}");
    }
}

/// Removes what earlier processes with this prefix have left behind by ending without notice.
pub(super) fn remove_stale(prefix: &str) {
    // Before the first namespace ever, the folder does not exist.
    let Ok(names) = fs::read_dir(NAMES) else { return };
    for name in names.flatten() {
        let name = name.file_name();
        let Some(name) = name.to_str() else { continue };
        if process_of(name, prefix).is_some_and(|process| !is_alive(process)) {
            remove(name);
        }
    }
}

/// The process in the name of a namespace that [`Netns::create`] made.
fn process_of(name: &str, prefix: &str) -> Option<u32> {
    let rest = name.strip_prefix(prefix)?.strip_prefix('-')?;
    let (process, _region) = rest.split_once('-')?;
    process.parse().ok()
}

fn is_alive(process: u32) -> bool {
    PathBuf::from(format!("/proc/{process}")).exists()
}

/// Whether iproute2 is there.
pub(super) fn has_ip() -> bool {
    ip(&["-V"], "").is_ok()
}

/// Runs `ip` with `input` as its standard input. It gets a process group of its own: Ctrl-C on the terminal is
/// for us, and must not end it halfway through.
fn ip(arguments: &[&str], input: &str) -> Result<(), NamespacesError> {
    let failed = |said: String| NamespacesError::Ip {
        arguments: arguments.join(" "),
        said,
    };
    let run = || -> io::Result<_> {
        let mut child = Command::new("ip")
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without reading; what it says then tells more than a broken pipe.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    };
    let output = run().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_have_a_process() {
        assert_eq!(process_of("cw-12-fra", "cw"), Some(12));
        assert_eq!(process_of("cw-12-us-east", "cw"), Some(12));
        assert_eq!(process_of("a-b-12-fra", "a-b"), Some(12));
        for other in ["cw", "cw-12", "cwx-12-fra", "cw-fra-12", "cw--12-fra", "vpn"] {
            assert_eq!(process_of(other, "cw"), None, "{other}");
        }
        assert!(is_alive(std::process::id()));
    }
}
