//! One request to a running node, over plain HTTP as nodes speak it on loopback.

use super::AnyError;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
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
}

/// A GET.
pub(super) fn fetch(base: &str, path: &str) -> Result<String, AnyError> {
    let request = Request {
        method: "GET",
        path,
        token: None,
        body: "",
    };
    ask(base, &request)
}

/// The body of the answer of the node at `base`.
pub(super) fn ask(base: &str, request: &Request<'_>) -> Result<String, AnyError> {
    let path = request.path;
    let authority = base
        .strip_prefix("http://")
        .ok_or_else(|| format!("{base}: only http:// can be asked here; for TLS use curl {base}{path}"))?
        .trim_end_matches('/');
    let unreachable = |error: std::io::Error| format!("no answer from {base}: {error}");
    let address = authority
        .to_socket_addrs()
        .map_err(unreachable)?
        .next()
        .ok_or("the name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(head(authority, request).as_bytes())?;
    stream.write_all(request.body.as_bytes())?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_string(&mut answer)
        .map_err(unreachable)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("{base} does not speak HTTP"))?;
    let status = head.lines().next().unwrap_or_default();
    if !status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        return Err(format!("{base}{path} answers: {status}\n{body}").into());
    }
    Ok(body.to_owned())
}

fn head(authority: &str, request: &Request<'_>) -> String {
    let Request {
        method,
        path,
        token,
        body,
    } = request;
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\n{}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        bearer.unwrap_or_default()
    )
}
