//! Nodes whose room directory is a real etcd: Debian's package `etcd-server`, which `infra/bootstrap.sh etcd` installs.

use crate::light_clients::{Room, seen_by_all};
use crate::process::{Node, Ports, SECRET, flags, get, post};
use loadtest::trace::Codec;
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// `/causeway/` and what follows it directly, in base64: the range of all our keys.
const OUR_KEYS: &str = r#"{"key":"L2NhdXNld2F5Lw==","range_end":"L2NhdXNld2F5MA==","count_only":true}"#;

/// An etcd of its own on loopback; killed when the test is over.
struct Etcd {
    child: Option<Child>,
    folder: tempfile::TempDir,
    clients: u16,
    peers: u16,
    /// Flags for TLS towards clients, if that is wanted.
    tls: Vec<String>,
}

impl Etcd {
    /// Not started yet.
    fn new() -> Self {
        let ports = [0, 0].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [clients, peers] = ports.map(|listener| listener.local_addr().unwrap().port());
        Self {
            child: None,
            folder: tempfile::tempdir().unwrap(),
            clients,
            peers,
            tls: Vec::new(),
        }
    }

    fn started() -> Self {
        let mut etcd = Self::new();
        etcd.start();
        etcd
    }

    fn start(&mut self) {
        let scheme = if self.tls.is_empty() { "http" } else { "https" };
        let clients = format!("{scheme}://127.0.0.1:{}", self.clients);
        let peers = format!("http://127.0.0.1:{}", self.peers);
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new("etcd")
            .args(["--name", "one", "--data-dir"])
            .arg(self.folder.path().join("data"))
            .args([
                "--listen-client-urls",
                &clients,
                "--advertise-client-urls",
                &clients,
            ])
            .args([
                "--listen-peer-urls",
                &peers,
                "--initial-advertise-peer-urls",
                &peers,
            ])
            .args(["--initial-cluster", &format!("one={peers}")])
            .args(&self.tls)
            .env_clear()
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("etcd is needed for this test: infra/bootstrap.sh etcd"));
        if !self.tls.is_empty() {
            // It does not talk to us; nodes try until it serves.
            return;
        }
        let start = Instant::now();
        while !get(self.clients, "/health").is_some_and(|answer| answer.contains("true")) {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(start.elapsed() < PATIENCE, "etcd does not serve:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Kills it with everything it holds.
    fn lose(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("data")).unwrap();
    }

    fn call(&self, what: &str, question: &str) -> Value {
        let answer = post(self.clients, &format!("/v3/{what}"), "", question);
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body.trim()).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    fn keys(&self) -> u64 {
        let count = &self.call("kv/range", OUR_KEYS)["count"];
        count.as_str().map_or(0, |count| count.parse().unwrap())
    }

    fn wait_for_keys(&self, count: u64) {
        let start = Instant::now();
        while self.keys() != count {
            assert!(start.elapsed() < PATIENCE, "{} keys, not {count}", self.keys());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn node(
    name: &str,
    (latitude, longitude): (&str, &str),
    (ports, peer): (Ports, u16),
    etcd: &Etcd,
    config: &Path,
) -> Node {
    let place = |flag: String| match flag.split_once('=') {
        Some(("--node.latitude", _)) => format!("--node.latitude={latitude}"),
        Some(("--node.longitude", _)) => format!("--node.longitude={longitude}"),
        _ => flag,
    };
    let mut all = vec!["node".to_owned(), format!("--config={}", config.display())];
    all.extend(flags(name, ports, SECRET, &[peer]).into_iter().map(place));
    all.push("--directory.kind=etcd".to_owned());
    all.push(format!("--directory.endpoints=http://127.0.0.1:{}", etcd.clients));
    all.push("--directory.lease=5s".to_owned());
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    Node::run(&all, ports)
}

/// Two linked nodes, some 5 ms of round trip apart.
fn pair(etcd: &Etcd) -> (Node, Node) {
    let config = etcd.folder.path().join("node.toml");
    let places =
        "[geo.overrides]\nquery_parameter = \"pretend\"\nnetworks = { \"10.1.0.0/16\" = \"52.2,5.1\" }\n";
    std::fs::write(&config, places).unwrap();
    let (here, there) = (Ports::free(), Ports::free());
    let mut ams = node("ams", ("52.37", "4.90"), (here, there.mesh), etcd, &config);
    let mut fra = node("fra", ("50.11", "8.68"), (there, here.mesh), etcd, &config);
    ams.wait_until("linked", |node| node.peer_state("fra").as_deref() == Some("up"));
    fra.wait_until("linked", |node| node.peer_state("ams").as_deref() == Some("up"));
    (ams, fra)
}

fn reached(node: &Node) -> bool {
    figure(node, "directory_connected") == 1.0
}

fn figure(node: &Node, name: &str) -> f64 {
    let metrics = node.get("/metrics").unwrap_or_default();
    let wanted = |line: &&str| {
        let (named, _) = line.split_once(' ').unwrap_or_default();
        let named = named.trim_start_matches("causeway_").trim_end_matches("_total");
        named == name
    };
    let line = metrics.lines().find(wanted);
    line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// The node that somebody near Amsterdam is sent to.
fn place(node: &Node, room: &str) -> String {
    let body = format!(r#"{{"room":"{room}","name":"Ann"}}"#);
    let answer = post(node.ports.http, "/api/join?pretend=10.1.0.1", "", &body);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let answer: Value = serde_json::from_str(body).unwrap();
    answer["node"].as_str().unwrap().to_owned()
}

#[test]
fn people_on_two_nodes_meet_and_a_join_asks_etcd_who_is_where() {
    let etcd = Etcd::started();
    let (mut ams, mut fra) = pair(&etcd);
    ams.wait_until("in touch with etcd", reached);
    fra.wait_until("in touch with etcd", reached);
    assert_eq!(place(&ams, "load"), "ams", "nobody is in the room yet");
    let alone = Room::open(&[&fra], Codec::Vp8, 2, 0);
    seen_by_all(&alone, 0);
    etcd.wait_for_keys(1);
    ams.wait_until("placing people where the room is", |node| {
        place(node, "load") == "fra"
    });
    assert_eq!(
        ams.mesh()["rooms"],
        Value::Array(Vec::new()),
        "it has nothing to do with that room"
    );
    drop(alone);
    let room = Room::open(&[&ams, &fra], Codec::Vp8, 4, 1);
    seen_by_all(&room, 1);
    etcd.wait_for_keys(2);
    ams.wait_until("aware of everybody", |node| {
        node.mesh()["rooms"][0]["participants"] == 4
    });
}

#[test]
fn what_a_killed_node_has_said_ends_with_its_lease_and_one_that_stops_takes_it_back() {
    let etcd = Etcd::started();
    let (mut ams, mut fra) = pair(&etcd);
    ams.wait_until("in touch with etcd", reached);
    fra.wait_until("in touch with etcd", reached);
    let room = Room::open(&[&ams, &fra], Codec::Vp8, 2, 0);
    seen_by_all(&room, 0);
    etcd.wait_for_keys(2);
    fra.signal(Signal::SIGKILL);
    fra.wait();
    etcd.wait_for_keys(1);
    ams.signal(Signal::SIGTERM);
    assert!(ams.wait().success(), "{}", ams.log());
    assert_eq!(etcd.keys(), 0);
    let late = "the room directory did not end in time";
    assert!(!ams.log().contains(late), "{}", ams.log());
}

#[test]
fn rooms_go_on_without_etcd_and_hosts_find_each_other_once_it_is_back() {
    let mut etcd = Etcd::new();
    let (mut ams, mut fra) = pair(&etcd);
    ams.wait_for_log(&["WARN", "the room directory cannot be used"]);
    assert_eq!(place(&ams, "load"), "ams", "joins are placed all the same");
    let room = Room::open(&[&ams, &fra], Codec::Vp8, 2, 0);
    ams.wait_until("open", |node| node.mesh()["rooms"][0]["participants"] == 1);
    fra.wait_until("open", |node| node.mesh()["rooms"][0]["participants"] == 1);
    etcd.start();
    seen_by_all(&room, 0);
    etcd.wait_for_keys(2);

    let heard = || -> u64 {
        let figures = room.figures();
        let legs = figures.values().flat_map(|figures| figures.legs.values());
        legs.map(|leg| leg.frames).sum()
    };
    etcd.lose();
    fra.wait_until("without etcd", |node| !reached(node));
    let before = heard();
    fra.wait_until("still heard", |_| heard() > before + 200);
    etcd.start();
    ams.wait_until("in touch with etcd", reached);
    etcd.wait_for_keys(2);
    assert_eq!(ams.mesh()["rooms"][0]["participants"], 2);

    // "/causeway/rooms/load/fra" and "/causeway/rooms/load/NOBODY", in base64.
    etcd.call(
        "kv/put",
        r#"{"key":"L2NhdXNld2F5L3Jvb21zL2xvYWQvZnJh","value":"bm9uc2Vuc2U="}"#,
    );
    etcd.call(
        "kv/put",
        r#"{"key":"L2NhdXNld2F5L3Jvb21zL2xvYWQvTk9CT0RZ","value":"bm9uc2Vuc2U="}"#,
    );
    ams.wait_until("ignoring garbage", |node| {
        figure(node, "directory_garbage") >= 2.0
    });
    let before = heard();
    fra.wait_until("still heard", |_| heard() > before + 200);
    let warnings = ams.log().matches("the room directory cannot be used").count();
    assert_eq!(warnings, 2, "once for each time it was lost:\n{}", ams.log());
}

/// A node alone, whose etcd wants to know who asks.
fn alone(etcd: &Etcd, endpoint: &str, further: &[String]) -> Node {
    let ports = Ports::free();
    let mut all = vec!["node".to_owned()];
    all.extend(flags("fra", ports, SECRET, &[]));
    all.push("--directory.kind=etcd".to_owned());
    all.push(format!(
        "--directory.endpoints={endpoint}://127.0.0.1:{}",
        etcd.clients
    ));
    all.extend_from_slice(further);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    Node::run(&all, ports)
}

/// Joins are answered by what etcd says.
fn wait_for_answers(node: &mut Node) {
    node.wait_until("in touch with etcd", reached);
    node.wait_until("answered by etcd", |node| {
        place(node, "load");
        figure(node, "directory_heard") >= 1.0
    });
}

#[test]
fn an_etcd_with_passwords_lets_in_who_has_one() {
    let etcd = Etcd::started();
    for (what, question) in [
        ("auth/user/add", r#"{"name":"root","password":"of etcd"}"#),
        ("auth/role/add", r#"{"name":"root"}"#),
        ("auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("auth/enable", "{}"),
    ] {
        assert!(etcd.call(what, question)["error"].is_null(), "{what}");
    }
    let as_root = |password: &str| {
        let flags = ["username=root".to_owned(), format!("password={password}")];
        flags.map(|flag| format!("--directory.{flag}"))
    };
    wait_for_answers(&mut alone(&etcd, "http", &as_root("of etcd")));
    let mut stranger = alone(&etcd, "http", &as_root("of another"));
    stranger.wait_for_log(&["WARN", "the room directory cannot be used", "etcd refuses"]);
    assert!(!stranger.log().contains("of another"), "{}", stranger.log());
}

#[test]
fn an_etcd_with_certificates_lets_in_who_has_one_and_another_one_is_not_believed() {
    let mut etcd = Etcd::new();
    let path = |name: &str| etcd.folder.path().join(name).display().to_string();
    let authority = |name: &str| {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(path(name), authority.pem()).unwrap();
        authority
    };
    let (ours, _) = (authority("ours"), authority("another"));
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ours).unwrap();
    std::fs::write(path("cert"), leaf.pem()).unwrap();
    std::fs::write(path("key"), key.serialize_pem()).unwrap();
    let (cert, key) = (path("cert"), path("key"));
    let (believed, other) = (path("ours"), path("another"));
    let flags = [
        "--cert-file",
        &cert,
        "--key-file",
        &key,
        "--trusted-ca-file",
        &believed,
    ];
    etcd.tls = flags.map(str::to_owned).to_vec();
    etcd.tls.push("--client-cert-auth".to_owned());
    etcd.start();
    let believing = |authority: &str| {
        let flags = [("ca", authority), ("cert", &cert), ("key", &key)];
        flags.map(|(name, path)| format!("--directory.tls.{name}={path}"))
    };
    wait_for_answers(&mut alone(&etcd, "https", &believing(&believed)));
    let mut stranger = alone(&etcd, "https", &believing(&other));
    stranger.wait_for_log(&["WARN", "the room directory cannot be used", "certificate"]);
    let mut nameless = alone(&etcd, "https", &believing(&believed)[..1]);
    nameless.wait_for_log(&["WARN", "the room directory cannot be used"]);
}
