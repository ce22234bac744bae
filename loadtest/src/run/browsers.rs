//! Real Chromium in the same rooms, through `loadtest/browser/control.mjs`: orders and facts as lines of JSON.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use crate::full::ControlFigures;

/// A browser has to be there this soon.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Its results have to come this soon.
const RESULTS_WITHIN: Duration = Duration::from_secs(30);
/// Time to close by itself when its input ends.
const GRACE: Duration = Duration::from_secs(5);
/// Longest line it may write: the delays of a long run.
const MOST_LINE_BYTES: u64 = 256 * 1024 * 1024;

/// Why there are no browsers.
#[derive(Debug, Error)]
pub enum BrowserError {
    /// It could not be started.
    #[error("cannot start browsers by `node {}`: {source}", script.display())]
    Start {
        /// The script.
        script: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It ended, or said nothing.
    #[error("browsers {0}; is Chromium installed, and have `npm ci` and `make dev` been run?")]
    Silent(&'static str),
    /// One of them could not join.
    #[error("a browser could not join: {0}")]
    Join(String),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
enum Said {
    Ready,
    Connected { id: u32, after_ms: f64 },
    Failed { id: Option<u32>, reason: String },
    Results { clients: Vec<ControlFigures> },
}

/// All browsers of a run. Dropping it ends them.
pub(super) struct Browsers {
    child: Child,
    orders: Option<ChildStdin>,
    facts: Receiver<Said>,
    connected: usize,
    asked: usize,
}

impl Browsers {
    /// Starts Chromium; nobody joins yet.
    pub(super) fn start(script: &Path) -> Result<Self, BrowserError> {
        let failed = |source| BrowserError::Start {
            script: script.to_owned(),
            source,
        };
        let mut child = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(failed)?;
        let orders = child.stdin.take();
        let output = child
            .stdout
            .take()
            .ok_or(BrowserError::Silent("have no output"))?;
        let (sender, facts) = channel();
        let read = move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            while output
                .by_ref()
                .take(MOST_LINE_BYTES)
                .read_line(&mut line)
                .is_ok_and(|read| read > 0)
            {
                // What is no fact is a complaint of some library.
                let fact = serde_json::from_str(&line);
                line.clear();
                if fact.is_ok_and(|fact| sender.send(fact).is_err()) {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("browsers".to_owned())
            .spawn(read)
            .map_err(failed)?;
        let browsers = Self {
            child,
            orders,
            facts,
            connected: 0,
            asked: 0,
        };
        browsers.wait(READY_WITHIN, |said| matches!(said, Said::Ready).then_some(()))?;
        Ok(browsers)
    }

    /// Lets one in; it looks at every camera in this size.
    pub(super) fn join(
        &mut self,
        id: u32,
        url: &str,
        token: &str,
        (width, height): (u32, u32),
    ) -> Result<(), BrowserError> {
        self.asked += 1;
        self.order(&json!({ "order": "join", "id": id, "url": url, "token": token, "width": width, "height": height }))
    }

    /// Waits until all that were asked to are in.
    pub(super) fn await_joined(&mut self) -> Result<Vec<(u32, f64)>, BrowserError> {
        let mut joined = Vec::new();
        while self.connected < self.asked {
            joined.push(self.wait(READY_WITHIN, |said| match said {
                Said::Connected { id, after_ms } => Some((id, after_ms)),
                _ => None,
            })?);
            self.connected += 1;
        }
        Ok(joined)
    }

    /// The warm-up is over.
    pub(super) fn restart(&mut self) -> Result<(), BrowserError> {
        self.order(&json!({ "order": "restart" }))
    }

    /// What they got.
    pub(super) fn finish(&mut self) -> Result<Vec<ControlFigures>, BrowserError> {
        self.order(&json!({ "order": "finish" }))?;
        self.wait(RESULTS_WITHIN, |said| match said {
            Said::Results { clients } => Some(clients),
            _ => None,
        })
    }

    fn order(&mut self, order: &serde_json::Value) -> Result<(), BrowserError> {
        let orders = self.orders.as_mut().ok_or(BrowserError::Silent("have ended"))?;
        writeln!(orders, "{order}").map_err(|_| BrowserError::Silent("have ended"))
    }

    fn wait<T>(&self, patience: Duration, pick: impl Fn(Said) -> Option<T>) -> Result<T, BrowserError> {
        let until = Instant::now() + patience;
        loop {
            match self
                .facts
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(Said::Failed { id, reason }) => {
                    let who = id.map_or_else(String::new, |id| format!("number {id}: "));
                    return Err(BrowserError::Join(format!("{who}{reason}")));
                }
                Ok(said) => {
                    if let Some(found) = pick(said) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(BrowserError::Silent("do not answer")),
                Err(RecvTimeoutError::Disconnected) => return Err(BrowserError::Silent("have ended")),
            }
        }
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        // Its input ends, and with it the script and its Chromium.
        self.orders = None;
        let until = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
