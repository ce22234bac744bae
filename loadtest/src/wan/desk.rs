//! Where commands arrive at a running emulator: from other threads through its handle, and from other programs
//! through the control socket.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::command::Command;
use super::control::ControlServer;
use super::error::WanError;
use super::handle::{Answer, Request, WanHandle};
use super::poller::{Poller, Token};

/// Commands that may wait for the thread before their callers wait.
const WAITING_REQUESTS: usize = 64;

/// The emulator's end of its handle and its control socket.
pub(super) struct Desk {
    control: Option<ControlServer>,
    requests: Receiver<Request>,
    wake: Arc<EventFd>,
    handle: WanHandle,
}

impl Desk {
    /// Opens the control socket, if an address is given, and has everything watched.
    pub(super) fn open(control: Option<SocketAddrV4>, poller: &Poller) -> Result<Self, WanError> {
        let control = control.map(ControlServer::bind).transpose()?;
        if let Some(control) = &control {
            poller.watch(control.listener(), Token::ControlListener)?;
        }
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_flags(flags)?);
        poller.watch(&wake, Token::Wake)?;
        let (sender, requests) = sync_channel(WAITING_REQUESTS);
        Ok(Self {
            control,
            requests,
            handle: WanHandle::new(sender, Arc::clone(&wake)),
            wake,
        })
    }

    pub(super) fn handle(&self) -> WanHandle {
        self.handle.clone()
    }

    /// The address of the control socket, with the port really taken.
    pub(super) fn control_addr(&self) -> Option<SocketAddrV4> {
        self.control.as_ref().map(ControlServer::address)
    }

    /// Has waiting commands obeyed; `true` if one of them asked to end.
    pub(super) fn answer_requests(
        &mut self,
        mut obey: impl FnMut(&Command) -> Result<Answer, WanError>,
    ) -> Result<bool, WanError> {
        match self.wake.read() {
            Ok(_) | Err(nix::Error::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Do(command, reply) => {
                    // A caller that no longer waits needs no answer.
                    let _ = reply.try_send(obey(&command));
                }
                Request::Stop => return Ok(true),
            }
        }
        Ok(false)
    }

    pub(super) fn accept_control(&mut self, poller: &Poller) {
        if let Some(control) = &mut self.control {
            control.accept(|client, index| poller.watch(client, Token::ControlClient(index)));
        }
    }

    /// Has the lines of one connection obeyed and answers them.
    pub(super) fn read_control(
        &mut self,
        index: usize,
        mut obey: impl FnMut(&Command) -> Result<Answer, WanError>,
    ) {
        let Some(control) = &mut self.control else { return };
        for line in control.read_lines(index) {
            let answer = match Command::parse(&line) {
                Ok(command) => match obey(&command) {
                    Ok(Answer::Done) => "ok".to_owned(),
                    Ok(Answer::Stats(stats)) => stats.to_json(),
                    Err(error) => format!("error: {error}"),
                },
                Err(error) => format!("error: {error}"),
            };
            control.answer(index, &answer);
        }
    }
}
