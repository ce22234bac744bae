use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use proptest::prelude::*;

use super::*;
use crate::signalling::Trust;

/// A server that sends `answer` to the first who asks and then keeps the connection open until told.
fn server(answer: &'static [u8]) -> (SocketAddr, Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (close, closed) = channel();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1_024]).unwrap();
        stream.write_all(answer).unwrap();
        let _ = closed.recv();
    });
    (address, close, thread)
}

#[test]
fn plain_and_chunked_answers_are_read() {
    let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    assert_eq!((plain.status, plain.body.as_str()), (200, "ok"));
    let chunked =
        b"HTTP/1.1 503 No\r\ntransfer-encoding:  Chunked\r\n\r\n3\r\nab\xc3\r\n2;x=y\r\n\xa4e\r\n0\r\n\r\n";
    let answer = parse(chunked).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, "ab\u{e4}e"));
    assert_eq!(parse(b"SSH-2.0-x\r\n\r\n"), None);
    assert_eq!(parse(b""), None);
}

#[test]
fn a_server_that_does_not_close_is_not_waited_for() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let (address, close, thread) = server(answer);
        assert_eq!(get(address, "x", "/").unwrap().body, "ok");
        drop(close);
        thread.join().unwrap();
    }
}

#[test]
fn a_server_that_says_half_or_nonsense_is_an_error() {
    let deadline = Duration::from_millis(50);
    let (address, close, thread) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok");
    let error = get_within(deadline, address, "x", None, "/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(close);
    thread.join().unwrap();

    let (address, close, thread) = server(b"220 mail\r\n\r\n");
    drop(close);
    assert!(
        get(address, "x", "/")
            .unwrap_err()
            .to_string()
            .contains("no HTTP")
    );
    thread.join().unwrap();
}

/// The first bytes of a handshake record that never becomes whole; one more byte every few milliseconds, for as long as
/// somebody listens.
#[test]
fn a_server_whose_handshake_drips_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[22, 3, 3, 0x3f, 0xff]).unwrap();
        while stream.write_all(&[2]).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let trust = Trust::of([certificate.der().clone()]).unwrap();
    let endpoint = Endpoint::resolve(&url, Some(&trust)).unwrap();
    let (address, secure) = (endpoint.address, endpoint.secure.as_ref());
    let error = get_within(Duration::from_millis(200), address, "localhost", secure, "/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    thread.join().unwrap();
}

proptest! {
    #[test]
    fn garbage_is_never_a_panic(
        head in prop::sample::select(vec!["", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"]),
        rest in "[0-9a-f;x\r\n]{0,60}",
    ) {
        let bytes = [head.as_bytes(), rest.as_bytes()].concat();
        let _ = (is_whole(&bytes), parse(&bytes));
    }
}
