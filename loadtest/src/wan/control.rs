//! The control socket: lines of text over TCP, served by the emulator's own thread without ever blocking it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};

use super::command::LONGEST_LINE_BYTES;
use super::error::WanError;

/// Connections at once; more are closed at once.
const MOST_CLIENTS: usize = 16;

/// Room for answers a client has not read yet; a client that lets it fill is dropped. Fits the statistics of
/// the largest emulator.
const ANSWER_BUFFER_BYTES: usize = 1 << 20;

struct Client {
    stream: TcpStream,
    unfinished_line: Vec<u8>,
}

/// The listening socket and its connections.
pub(super) struct ControlServer {
    listener: TcpListener,
    address: SocketAddrV4,
    clients: [Option<Client>; MOST_CLIENTS],
}

impl ControlServer {
    pub(super) fn bind(address: SocketAddrV4) -> Result<Self, WanError> {
        let bind_error = |source| WanError::Bind {
            purpose: "control".to_owned(),
            address,
            source,
        };
        let listener = TcpListener::bind(address).map_err(bind_error)?;
        listener.set_nonblocking(true).map_err(bind_error)?;
        let address = match listener.local_addr().map_err(bind_error)? {
            SocketAddr::V4(taken) => taken,
            SocketAddr::V6(_) => address,
        };
        Ok(Self {
            listener,
            address,
            clients: Default::default(),
        })
    }

    pub(super) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Takes waiting connections; `watch` subscribes to each. One that cannot be set up or watched is closed.
    pub(super) fn accept(&mut self, watch: impl Fn(&TcpStream, usize) -> std::io::Result<()>) {
        while let Ok((stream, _)) = self.listener.accept() {
            let Some(index) = self.clients.iter().position(Option::is_none) else {
                continue;
            };
            let prepared = stream.set_nonblocking(true).is_ok()
                && setsockopt(&stream, sockopt::SndBuf, &ANSWER_BUFFER_BYTES).is_ok()
                && watch(&stream, index).is_ok();
            if prepared {
                self.clients[index] = Some(Client {
                    stream,
                    unfinished_line: Vec::new(),
                });
            }
        }
    }

    /// The complete lines a connection has sent since. Closes it at its end, and when a line is too long.
    pub(super) fn read_lines(&mut self, index: usize) -> Vec<String> {
        let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else {
            return Vec::new();
        };
        let mut chunk = [0; LONGEST_LINE_BYTES];
        match client.stream.read(&mut chunk) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Vec::new()
            }
            Ok(0) | Err(_) => {
                self.clients[index] = None;
                Vec::new()
            }
            Ok(count) => {
                client.unfinished_line.extend_from_slice(&chunk[..count]);
                let lines = take_lines(&mut client.unfinished_line);
                if client.unfinished_line.len() > LONGEST_LINE_BYTES {
                    self.answer(index, "error: the line is too long");
                    self.clients[index] = None;
                }
                lines
            }
        }
    }

    /// Writes one line; a connection that does not take it is closed.
    pub(super) fn answer(&mut self, index: usize, line: &str) {
        let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        if client.stream.write_all(format!("{line}\n").as_bytes()).is_err() {
            self.clients[index] = None;
        }
    }
}

/// Removes the complete lines from the start of `buffer`. Bytes that are not UTF-8 become the replacement
/// character, which no command contains.
fn take_lines(buffer: &mut Vec<u8>) -> Vec<String> {
    let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let complete: Vec<u8> = buffer.drain(..=end).collect();
    String::from_utf8_lossy(&complete)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::take_lines;

    #[test]
    fn only_complete_lines_are_taken() {
        let mut buffer = b"stats\r\ncut a b\nhea".to_vec();
        assert_eq!(take_lines(&mut buffer), ["stats", "cut a b"]);
        assert_eq!(buffer, b"hea");
        assert!(take_lines(&mut buffer).is_empty());
    }
}
