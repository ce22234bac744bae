//! Media before everything else on the machine: a packet that waits for a processor is late for all its viewers.
//!
//! Measured with 310 people on two cores that had their load generator and more to do: media threads waited for a processor
//! longer than they ran (1.6 of 8 s against 1.3).

use rustix::io::Errno;
use rustix::process::setpriority_process;

/// How much more the scheduler favours a media thread than others (0 for those, -20 the most): about nine times the weight.
const NICE: i32 = -10;

/// Puts the calling thread before ordinary ones.
///
/// # Errors
/// Where the system does not allow it: it needs `CAP_SYS_NICE` or a limit (`LimitNICE=` of systemd, `nice` of ulimit) of
/// -10 or below.
pub(super) fn raise() -> Result<(), Errno> {
    // No process named: on Linux that is the calling thread alone.
    setpriority_process(None, NICE)
}
