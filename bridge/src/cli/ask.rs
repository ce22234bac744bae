//! One request to a running node.

use super::AnyError;
use super::own_certificate::client_config;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a node that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// What is asked.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Token of the bearer.
    pub(super) token: Option<&'a str>,
    /// JSON.
    pub(super) body: &'a str,
    /// The certificate the node must show where its URL begins with `https://`.
    pub(super) certificate: Option<&'a Path>,
}

impl<'a> Request<'a> {
    /// A GET.
    pub(super) const fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            token: None,
            body: "",
            certificate: None,
        }
    }
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// The body of the answer of the node at `base`.
pub(super) fn ask(base: &str, request: &Request<'_>) -> Result<String, AnyError> {
    let unreachable = |error: std::io::Error| format!("no answer from {base}: {error}");
    let (authority, mut stream) = connect(base, request)?;
    let message = head(&authority, request) + request.body;
    stream.write_all(message.as_bytes()).map_err(unreachable)?;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer);
    // Over TLS a server may close without a goodbye; what came before counts.
    if answer.is_empty() {
        read.map_err(unreachable)?;
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("{base} does not speak HTTP"))?;
    let status = head.lines().next().unwrap_or_default();
    if !status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        return Err(format!("{base}{} answers: {status}\n{body}", request.path).into());
    }
    Ok(body.to_owned())
}

/// Host and port, and the connection.
fn connect(base: &str, request: &Request<'_>) -> Result<(String, Box<dyn Stream>), AnyError> {
    let (authority, certificate) = match (base.split_once("://"), request.certificate) {
        (Some(("http", rest)), _) => (rest, None),
        (Some(("https", rest)), Some(certificate)) => (rest, Some(certificate)),
        _ => {
            let path = request.path;
            return Err(
                format!("{base}: only http:// can be asked here; for TLS use curl {base}{path}").into(),
            );
        }
    };
    let authority = authority.trim_end_matches('/');
    let unreachable = |error: std::io::Error| format!("no answer from {base}: {error}");
    let address = authority
        .to_socket_addrs()
        .map_err(unreachable)?
        .next()
        .ok_or("the name has no address")?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let Some(certificate) = certificate else {
        return Ok((authority.to_owned(), Box::new(stream)));
    };
    let client = ClientConnection::new(Arc::new(client_config(certificate)?), "localhost".try_into()?)?;
    Ok((authority.to_owned(), Box::new(StreamOwned::new(client, stream))))
}

fn head(authority: &str, request: &Request<'_>) -> String {
    let Request { method, path, .. } = request;
    let bearer = request
        .token
        .map(|token| format!("Authorization: Bearer {token}\r\n"));
    let length = request.body.len();
    format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\n{}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        bearer.unwrap_or_default()
    )
}
