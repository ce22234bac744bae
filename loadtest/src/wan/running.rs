//! An emulator on a thread of its own, for tests and programs that do something else meanwhile.

use std::net::SocketAddrV4;
use std::ops::Deref;
use std::thread::JoinHandle;

use super::config::WanConfig;
use super::error::WanError;
use super::handle::WanHandle;
use super::relay::{CaptureTo, Relay};
use super::stats::WanStats;

/// A running emulator; dropping it ends it. Commands are those of [`WanHandle`].
pub struct Wan {
    handle: WanHandle,
    listens: Vec<(String, String, SocketAddrV4)>,
    control: Option<SocketAddrV4>,
    thread: Option<JoinHandle<Result<WanStats, WanError>>>,
}

impl Wan {
    /// Starts an emulator; its sockets are open when this returns.
    ///
    /// # Errors
    /// As [`Relay::bind`].
    pub fn start(config: &WanConfig, capture: Option<&CaptureTo>) -> Result<Self, WanError> {
        let relay = Relay::bind(config, capture)?;
        let (handle, listens, control) = (relay.handle(), relay.listens(), relay.control_addr());
        let thread = std::thread::Builder::new()
            .name("wan".to_owned())
            .spawn(move || relay.run())?;
        Ok(Self {
            handle,
            listens,
            control,
            thread: Some(thread),
        })
    }

    /// Where node `from` must send so that node `to` receives it.
    pub fn listen_addr(&self, from: &str, to: &str) -> Option<SocketAddrV4> {
        self.listens
            .iter()
            .find(|(f, t, _)| f == from && t == to)
            .map(|(_, _, listen)| *listen)
    }

    /// The address of the control socket, if the configuration asked for one.
    pub fn control_addr(&self) -> Option<SocketAddrV4> {
        self.control
    }

    /// Ends the emulator and returns its final counters. Datagrams under way are lost; the capture is
    /// complete.
    ///
    /// # Errors
    /// What made the thread end earlier, if it did.
    pub fn finish(mut self) -> Result<WanStats, WanError> {
        self.end().unwrap_or(Err(WanError::Stopped))
    }

    fn end(&mut self) -> Option<Result<WanStats, WanError>> {
        let thread = self.thread.take()?;
        // A thread that has ended by itself cannot be asked to; what it returned tells why.
        let _ = self.handle.stop();
        Some(thread.join().unwrap_or(Err(WanError::Stopped)))
    }
}

impl Deref for Wan {
    type Target = WanHandle;

    fn deref(&self) -> &WanHandle {
        &self.handle
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.end() {
            eprintln!("wan: {error}");
        }
    }
}
