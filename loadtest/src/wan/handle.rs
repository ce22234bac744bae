//! How other threads speak to a running emulator.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use nix::sys::eventfd::EventFd;

use super::change::PropertyChange;
use super::command::{Between, Command};
use super::error::WanError;
use super::stats::WanStats;

/// What a command answers.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    Stats(WanStats),
}

/// A command that waits for the emulator's thread.
pub(super) enum Request {
    Do(Box<Command>, SyncSender<Result<Answer, WanError>>),
    Stop,
}

/// Commands a running emulator from any thread. Each call returns once the emulator has obeyed, so what is
/// sent after `cut` returns does not arrive.
#[derive(Clone)]
pub struct WanHandle {
    sender: SyncSender<Request>,
    wake: Arc<EventFd>,
}

impl WanHandle {
    pub(super) fn new(sender: SyncSender<Request>, wake: Arc<EventFd>) -> Self {
        Self { sender, wake }
    }

    /// Loses everything on these links, also what is under way.
    ///
    /// # Errors
    /// [`WanError::UnknownLink`], [`WanError::Stopped`]; the same for the calls below.
    pub fn cut(&self, between: &Between) -> Result<(), WanError> {
        self.obey(Command::Cut(between.clone())).map(drop)
    }

    /// Lets these links carry again.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub fn heal(&self, between: &Between) -> Result<(), WanError> {
        self.obey(Command::Heal(between.clone())).map(drop)
    }

    /// Changes properties of these links.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub fn set(&self, between: &Between, change: PropertyChange) -> Result<(), WanError> {
        self.obey(Command::Set(between.clone(), change)).map(drop)
    }

    /// The counters now.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub fn stats(&self) -> Result<WanStats, WanError> {
        match self.obey(Command::Stats)? {
            Answer::Stats(stats) => Ok(stats),
            Answer::Done => unreachable!("invariant: statistics are the answer to Stats"),
        }
    }

    /// Asks the emulator to end; datagrams under way are lost.
    ///
    /// # Errors
    /// [`WanError::Stopped`] if it has ended already.
    pub fn stop(&self) -> Result<(), WanError> {
        self.submit(Request::Stop)
    }

    fn obey(&self, command: Command) -> Result<Answer, WanError> {
        let (reply, answer) = sync_channel(1);
        self.submit(Request::Do(Box::new(command), reply))?;
        answer.recv().map_err(|_| WanError::Stopped)?
    }

    fn submit(&self, request: Request) -> Result<(), WanError> {
        self.sender.send(request).map_err(|_| WanError::Stopped)?;
        self.wake.write(1)?;
        Ok(())
    }
}
