//! A program under test in a process of its own, with its log; it never outlives us.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::TargetError;

/// Time to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of a log that an error repeats.
const LAST_LINES: usize = 12;
/// Of so many bytes at its end.
const LAST_BYTES: u64 = 64 * 1024;
/// Between two looks at a process that should end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    /// When it was first asked to end.
    asked: Option<Instant>,
    /// It has ended and been waited for.
    gone: bool,
    /// How it ended, where that is known.
    status: Option<ExitStatus>,
}

impl Program {
    /// Starts `program`, in a network namespace if one is named; both outputs go to `log`. Where util-linux's `setpriv`
    /// is there, the system ends the program when this process dies in whatever way, and also when the calling thread
    /// ends: call it from one that stays (PR_SET_PDEATHSIG in prctl(2)). Where it is not, a program outlives us if we are killed.
    pub(super) fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        log: &Path,
        namespace: Option<&str>,
    ) -> Result<Self, TargetError> {
        let file = |source| TargetError::File {
            path: log.to_owned(),
            source,
        };
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        // Also said here because `setpriv` would only say it in the log.
        fs::metadata(program).map_err(|source| not_started(program, source))?;
        // Each of these becomes the next one: the process stays the same.
        let mut chain: Vec<&OsStr> = Vec::new();
        let setpriv = setpriv();
        if let Some(setpriv) = &setpriv {
            chain.extend([setpriv.as_os_str(), "--pdeathsig".as_ref(), "KILL".as_ref()]);
        }
        if let Some(namespace) = namespace {
            chain.extend(["ip", "netns", "exec", namespace].map(OsStr::new));
        }
        chain.push(program.as_os_str());
        let mut command = Command::new(chain[0]);
        command.args(&chain[1..]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CAUSEWAY_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = spawn_unblocked(&mut command).map_err(|source| not_started(program, source))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            asked: None,
            gone: false,
            status: None,
        })
    }

    /// Its process; `None` once it is known to be gone, when the number may be somebody else's.
    pub(super) fn pid(&self) -> Option<u32> {
        (!self.gone).then(|| self.child.id())
    }

    /// Fails with the end of the log if the program has ended.
    pub(super) fn must_run(&mut self) -> Result<(), TargetError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status.to_string())),
            Err(error) => Err(self.ended(error.to_string())),
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => (self.gone, self.status) = (true, Some(status)),
            Err(_) => self.gone = true,
        }
        self.gone
    }

    /// Whether it has ended by itself with code 0.
    pub(super) fn has_ended_in_order(&mut self) -> bool {
        self.has_ended() && self.status.is_some_and(|status| status.success())
    }

    fn ended(&mut self, status: String) -> TargetError {
        self.gone = true;
        TargetError::Ended {
            node: self.name.clone(),
            status,
            log: self.last_lines(),
        }
    }

    /// The end of its log.
    pub(super) fn last_lines(&self) -> String {
        let text = self.end_of_log().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn end_of_log(&self) -> std::io::Result<Vec<u8>> {
        let mut log = File::open(&self.log)?;
        let len = log.metadata()?.len();
        log.seek(SeekFrom::Start(len.saturating_sub(LAST_BYTES)))?;
        let mut end = Vec::new();
        log.take(LAST_BYTES).read_to_end(&mut end)?;
        Ok(end)
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), TargetError> {
        let refuse = |reason: String| TargetError::Signal {
            node: self.name.clone(),
            reason,
        };
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| refuse("it has ended".to_owned()))?;
        kill(Pid::from_raw(pid), signal).map_err(|error| refuse(error.to_string()))
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        // It may have ended already; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.gone = true;
    }

    /// Waits for its end, for at most `patience`.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                (self.gone, self.status) = (true, Some(status));
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Asks it to end.
    pub(super) fn ask_to_end(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
        let _ = self.signal(Signal::SIGCONT);
        let _ = self.signal(Signal::SIGTERM);
    }
}

/// Starts a program that can be asked to end, although this one holds such signals back: a child inherits that.
fn spawn_unblocked(command: &mut Command) -> std::io::Result<Child> {
    let held_back = SigSet::thread_get_mask()?;
    SigSet::empty().thread_set_mask()?;
    let child = command.spawn();
    held_back.thread_set_mask()?;
    child
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.ask_to_end();
            // Counted from the first time it was asked, so that many programs asked at once end in one grace.
            let spent = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
            if self.wait(GRACE.saturating_sub(spent)).is_none() {
                self.kill();
            }
        }
    }
}

fn not_started(program: &Path, source: std::io::Error) -> TargetError {
    TargetError::Program {
        path: program.to_owned(),
        source,
    }
}

fn setpriv() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("setpriv"))
        .find(|candidate| candidate.is_file())
}
