//! The signalling socket against a scripted server.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use loadtest::signalling::{Connection, Endpoint, Event, Join, Request, SignallingError, Trust};
use nix::poll::{PollFd, PollFlags, poll};
use prost::Message as _;
use proto::signal_response::Message as ToClient;
use rustls::pki_types::CertificateDer;
use tungstenite::Message;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

fn listen() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, Endpoint::resolve(&url, None).unwrap())
}

/// A server that does this with its only client.
fn server(script: impl FnOnce(TcpStream) + Send + 'static) -> Endpoint {
    let (listener, endpoint) = listen();
    thread::spawn(move || script(listener.accept().unwrap().0));
    endpoint
}

/// A server that upgrades and then says this.
fn speaking(messages: Vec<Message>) -> Endpoint {
    server(move |stream| {
        let mut websocket = tungstenite::accept(stream).unwrap();
        for message in messages {
            // The client may have gone because of the one before.
            if websocket.send(message).is_err() {
                return;
            }
        }
        while websocket.read().is_ok() {}
    })
}

fn said(message: ToClient) -> Message {
    let response = proto::SignalResponse {
        message: Some(message),
    };
    Message::Binary(response.encode_to_vec().into())
}

fn joined() -> Message {
    said(ToClient::Join(proto::JoinResponse {
        ping_interval: 5,
        ping_timeout: 15,
        ..Default::default()
    }))
}

fn dial(endpoint: &Endpoint) -> Connection {
    let join = Join {
        offer_id: 1,
        sdp: "v=0".to_owned(),
        tracks: Vec::new(),
        follows: false,
    };
    Connection::dial(endpoint, "token", join, Instant::now()).unwrap()
}

/// The next event, with the socket served meanwhile.
fn next(connection: &mut Connection) -> Event {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(event) = connection.poll_event() {
            return event;
        }
        assert!(Instant::now() < until, "nothing happens");
        let interest = connection.interest();
        if connection.poll_timeout().is_some_and(|due| due <= Instant::now()) {
            connection.handle_timeout(Instant::now());
            continue;
        }
        if let Some(socket) = connection.socket() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, interest.read);
            flags.set(PollFlags::POLLOUT, interest.write);
            let mut ready = [PollFd::new(socket.as_fd(), flags)];
            if poll(&mut ready, 1_000_u16).unwrap() == 0 {
                // As the event loop does: what no socket tells is not looked for.
                continue;
            }
        }
        connection.handle_ready(Instant::now());
    }
}

fn closed(endpoint: &Endpoint) -> SignallingError {
    let mut connection = dial(endpoint);
    loop {
        if let Event::Closed(error) = next(&mut connection) {
            assert!(connection.socket().is_none() && connection.poll_timeout().is_none());
            return error;
        }
    }
}

#[test]
fn a_client_joins_is_answered_and_heard() {
    let (told, hears) = std::sync::mpsc::channel();
    let endpoint = server(move |stream| {
        let mut websocket = tungstenite::accept(stream).unwrap();
        websocket.send(joined()).unwrap();
        let answer = proto::SessionDescription {
            id: 1,
            sdp: "an answer".to_owned(),
            ..Default::default()
        };
        websocket.send(said(ToClient::Answer(answer))).unwrap();
        let Message::Binary(bytes) = websocket.read().unwrap() else {
            panic!("binary");
        };
        told.send(proto::SignalRequest::decode(bytes).unwrap()).unwrap();
    });
    let mut connection = dial(&endpoint);
    assert!(matches!(next(&mut connection), Event::Joined { .. }));
    let Event::Answer { id, sdp, .. } = next(&mut connection) else {
        panic!("an answer");
    };
    assert_eq!((id, sdp.as_str()), (1, "an answer"));
    connection.send(Request::Leave);
    let heard = hears.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(
        heard.message,
        Some(proto::signal_request::Message::Leave(_))
    ));
}

#[test]
fn nobody_there_and_refusals_are_told_apart() {
    let (listener, endpoint) = listen();
    drop(listener);
    assert!(matches!(closed(&endpoint), SignallingError::Unreachable { .. }));
    let long = "no ".repeat(1_000);
    let refusing = server(move |mut stream| {
        let mut request = [0; 8_192];
        let _ = stream.read(&mut request);
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{long}",
            long.len()
        );
        let _ = stream.write_all(head.as_bytes());
    });
    let SignallingError::Refused { status, text } = closed(&refusing) else {
        panic!("refused");
    };
    assert_eq!(status, 403);
    assert!(text.len() <= 200, "{}", text.len());
}

#[test]
fn garbage_text_and_huge_messages_end_the_session_with_a_reason() {
    for message in [
        Message::Binary(vec![0xff; 100].into()),
        Message::Text("hello".into()),
        Message::Binary(vec![0; 3 * 1024 * 1024].into()),
    ] {
        let error = closed(&speaking(vec![joined(), message]));
        assert!(matches!(error, SignallingError::Protocol(_)), "{error}");
    }
    let no_http = server(|mut stream| {
        let _ = stream.write_all(b"\x00\x01\x02 nonsense\r\n\r\n");
    });
    assert!(matches!(closed(&no_http), SignallingError::Protocol(_)));
}

#[test]
fn a_server_that_goes_is_noticed() {
    let going = server(|stream| {
        let mut websocket = tungstenite::accept(stream).unwrap();
        websocket.send(joined()).unwrap();
    });
    assert_eq!(closed(&going), SignallingError::Closed);
}

#[test]
fn messages_that_come_all_at_once_are_all_read() {
    let update = || said(ToClient::Update(proto::ParticipantUpdate::default()));
    let mut messages = vec![joined()];
    messages.extend(std::iter::repeat_with(update).take(200));
    let mut connection = dial(&speaking(messages));
    assert!(matches!(next(&mut connection), Event::Joined { .. }));
    for _ in 0..200 {
        assert!(matches!(next(&mut connection), Event::Participants(_)));
    }
}

/// A server with a certificate for localhost that joins whoever comes; its certificate.
fn over_tls() -> (String, CertificateDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let chain = vec![certificate.der().clone()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.serialize_der().try_into().unwrap())
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    thread::spawn(move || {
        for socket in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = rustls::StreamOwned::new(session, socket.unwrap());
            // A client that does not believe us goes away.
            if let Ok(mut websocket) = tungstenite::accept(stream) {
                websocket.send(joined()).unwrap();
                while websocket.read().is_ok() {}
            }
        }
    });
    (format!("wss://localhost:{port}"), certificate.der().clone())
}

#[test]
fn over_tls_a_server_is_believed_that_its_authority_vouches_for() {
    let (url, certificate) = over_tls();
    let trust = Trust::of([certificate]).unwrap();
    let endpoint = Endpoint::resolve(&url, Some(&trust)).unwrap();
    assert!(matches!(next(&mut dial(&endpoint)), Event::Joined { .. }));
    let (_, another) = over_tls();
    let trust = Trust::of([another]).unwrap();
    let endpoint = Endpoint::resolve(&url, Some(&trust)).unwrap();
    let error = closed(&endpoint);
    assert!(matches!(error, SignallingError::Tls(_)), "{error}");
    assert!(Trust::of([]).is_err(), "nobody to believe");
}
