//! As much of HTTP/1.1 as it takes to ask a server how it is: one request per connection, with one deadline for all of it
//! and a bound on what is read. A library would bring connection pools and redirects, none of which is needed here.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::signalling::{Endpoint, Secure, Stream};

/// For connecting, asking and the whole answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// Longest answer, head included.
const MOST_BYTES: usize = 8 * 1024 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Asks for `path` (with query) of the server at `address`.
pub(super) fn get(address: SocketAddr, host: &str, path: &str) -> Result<Answer> {
    get_within(DEADLINE, address, host, None, path)
}

/// The same of a server that may speak TLS.
pub(super) fn get_of(endpoint: &Endpoint, path: &str) -> Result<Answer> {
    let Endpoint {
        address,
        host,
        secure,
        ..
    } = endpoint;
    get_within(DEADLINE, *address, host, secure.as_ref(), path)
}

fn get_within(
    deadline: Duration,
    address: SocketAddr,
    host: &str,
    secure: Option<&Secure>,
    path: &str,
) -> Result<Answer> {
    let until = Instant::now() + deadline;
    let socket = TcpStream::connect_timeout(&address, deadline)?;
    socket.set_write_timeout(Some(left(until)?))?;
    let mut stream = Stream::new(socket, secure)?;
    stream.read_until(until);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let (mut bytes, mut part) = (Vec::new(), [0; READ_BYTES]);
    while !is_whole(&bytes) {
        match stream.read(&mut part)? {
            0 => break,
            len => bytes.extend_from_slice(&part[..len]),
        }
        if bytes.len() > MOST_BYTES {
            return Err(Error::other("the answer is longer than 8 MiB"));
        }
    }
    parse(&bytes).ok_or_else(|| Error::other("the answer is no HTTP"))
}

fn left(until: Instant) -> Result<Duration> {
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Error::new(ErrorKind::TimedOut, "no connection in time")),
        left => Ok(left),
    }
}

/// Head and body; `None` while the head is incomplete.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((&bytes[..end], &bytes[end + 4..]))
}

/// The value of a field, in lower case.
fn field(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_ascii_lowercase())
    })
}

fn is_chunked(head: &str) -> bool {
    field(head, "transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"))
}

/// Whether nothing more needs to be waited for: not every server closes the connection when asked to.
fn is_whole(bytes: &[u8]) -> bool {
    let Some((head, body)) = split(bytes) else {
        return false;
    };
    let head = String::from_utf8_lossy(head);
    if is_chunked(&head) {
        return body.ends_with(b"\r\n0\r\n\r\n") || body == b"0\r\n\r\n";
    }
    let length = field(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let (head, body) = split(bytes)?;
    let head = String::from_utf8_lossy(head);
    let mut words = head.lines().next()?.split(' ');
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = words.next()?.parse().ok()?;
    let body = if is_chunked(&head) {
        unchunk(body)
    } else {
        body.to_vec()
    };
    Some(Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// RFC 9112 section 7.1; stops at what does not fit.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let line = String::from_utf8_lossy(&rest[..end]);
        let size = line.split(';').next().unwrap_or_default().trim();
        let behind = &rest[end + 2..];
        let Some(chunk) = usize::from_str_radix(size, 16)
            .ok()
            .filter(|size| *size > 0)
            .and_then(|size| behind.get(..size))
        else {
            break;
        };
        body.extend_from_slice(chunk);
        rest = behind.get(chunk.len() + 2..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests;
