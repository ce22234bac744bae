//! A real node in a process of its own.

use rustls::pki_types::CertificateDer;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SECRET: &str = "a secret of sufficient length";

/// `causeway` with `arguments` and no configuration from the environment.
pub(crate) fn causeway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAUSEWAY_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command that is to fail at once; returns its standard error.
pub(crate) fn refused(arguments: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = causeway(arguments).output().unwrap();
    (
        status.code().expect("ended by a signal"),
        String::from_utf8(stderr).unwrap(),
    )
}

/// Free ports on loopback for one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) media: u16,
    pub(crate) mesh: u16,
}

impl Ports {
    pub(crate) fn free() -> Self {
        loop {
            let udp = || UdpSocket::bind("127.0.0.1:0").unwrap();
            let (media, mesh) = (udp(), udp());
            let http = TcpListener::bind("127.0.0.1:0").unwrap();
            // The same number is taken for media by TCP.
            if TcpListener::bind(media.local_addr().unwrap()).is_ok() {
                return Self {
                    http: http.local_addr().unwrap().port(),
                    media: media.local_addr().unwrap().port(),
                    mesh: mesh.local_addr().unwrap().port(),
                };
            }
        }
    }
}

impl Ports {
    /// As [`Self::free`], for a node with two media threads: the port after `media` is free too.
    pub(crate) fn free_pair() -> Self {
        loop {
            let ports = Self::free();
            let next = ports.media.checked_add(1);
            if next.is_some_and(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
                return ports;
            }
        }
    }
}

/// Flags of a node called `name` in the test mesh.
pub(crate) fn flags(name: &str, ports: Ports, secret: &str, peers: &[u16]) -> Vec<String> {
    let peers: Vec<String> = peers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    [
        ("node.name", name.to_owned()),
        ("node.latitude", "50.1".to_owned()),
        ("node.longitude", "8.7".to_owned()),
        ("http.listen", format!("127.0.0.1:{}", ports.http)),
        ("media.udp_listen", format!("127.0.0.1:{}", ports.media)),
        ("media.shards", "1".to_owned()),
        ("mesh.listen", format!("127.0.0.1:{}", ports.mesh)),
        ("mesh.secret", secret.to_owned()),
        ("mesh.peers", peers.join(",")),
        ("auth.keys", "key=a secret of an API key".to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| format!("--{key}={value}"))
    .collect()
}

/// A certificate for `localhost` in files in `folder`, and the flags of a node that shows it.
pub(crate) fn certificate_in(folder: &Path) -> (CertificateDer<'static>, [String; 2]) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let (cert, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let flags = [
        format!("--http.tls.cert={}", cert.display()),
        format!("--http.tls.key={}", key_file.display()),
    ];
    (certificate.der().clone(), flags)
}

/// A running node; killed when the test is over.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
    pub(crate) ports: Ports,
}

impl Node {
    pub(crate) fn start(name: &str, ports: Ports, secret: &str, peers: &[u16]) -> Self {
        let flags = flags(name, ports, secret, peers);
        let arguments: Vec<&str> = std::iter::once("node")
            .chain(flags.iter().map(String::as_str))
            .collect();
        Self::run(&arguments, ports)
    }

    pub(crate) fn run(arguments: &[&str], ports: Ports) -> Self {
        let mut node = Self::spawn(arguments, ports);
        node.wait_until("ready", |node| {
            node.get("/readyz").is_some_and(|answer| answer.contains(" 200 "))
        });
        node
    }

    /// A node whose HTTP listener shows `certificate`.
    pub(crate) fn run_https(arguments: &[&str], ports: Ports, certificate: &CertificateDer<'static>) -> Self {
        let mut node = Self::spawn(arguments, ports);
        let ready = |node: &Self| get_https(node.ports.http, "/readyz", certificate);
        node.wait_until("ready", |node| {
            ready(node).is_some_and(|answer| answer.contains(" 200 "))
        });
        node
    }

    fn spawn(arguments: &[&str], ports: Ports) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let out = std::fs::File::create(folder.path().join("out")).unwrap();
        let child = causeway(arguments).stderr(file).stdout(out).spawn().unwrap();
        Self {
            child,
            log,
            _folder: folder,
            ports,
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(self.log.with_file_name("out")).unwrap()
    }

    /// Waits until `condition` holds; a node that ends meanwhile fails the test with its log.
    pub(crate) fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the node ended ({status}) before it was {what}:\n{}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "not {what} in time:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn wait_for_log(&mut self, parts: &[&str]) {
        let has = |node: &Self| {
            node.log()
                .lines()
                .any(|line| parts.iter().all(|part| line.contains(part)))
        };
        self.wait_until(&format!("logging {parts:?}"), has);
    }

    /// The whole answer to a GET, head included; none where nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        get(self.ports.http, path)
    }

    pub(crate) fn mesh(&self) -> serde_json::Value {
        let answer = self.get("/api/mesh").unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("null", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }

    /// State of the link to `peer`, as this node tells it.
    pub(crate) fn peer_state(&self, peer: &str) -> Option<String> {
        let mesh = self.mesh();
        let found = mesh["peers"]
            .as_array()?
            .iter()
            .find(|status| status["node"] == peer)?
            .clone();
        found["state"].as_str().map(str::to_owned)
    }

    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the node does not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already, or not: either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    ask(stream, path)
}

/// The whole answer to a POST of JSON with these further header lines, head included.
pub(crate) fn post(port: u16, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// As [`get`], over TLS, believing only `certificate`.
pub(crate) fn get_https(port: u16, path: &str, certificate: &CertificateDer<'static>) -> Option<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    ask(rustls::StreamOwned::new(client, stream), path)
}

fn ask(mut stream: impl Read + Write, path: &str) -> Option<String> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    // A server may close without TLS's goodbye; what came before counts.
    let _ = stream.read_to_end(&mut answer);
    Some(String::from_utf8_lossy(&answer).into_owned())
}
