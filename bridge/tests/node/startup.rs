//! What an operator sees who starts a node wrongly, or rightly.

use crate::process::{Node, Ports, SECRET, causeway, certificate_in, flags, refused};
use loadtest::signalling::Trust;
use loadtest::signalling::token::ApiKey;
use loadtest::target::Attached;
use std::net::{TcpListener, UdpSocket};

fn start_with(replace: impl FnOnce(&mut Vec<String>)) -> (i32, String) {
    let mut flags = flags("fra", Ports::free(), SECRET, &[]);
    replace(&mut flags);
    let arguments: Vec<&str> = std::iter::once("node")
        .chain(flags.iter().map(String::as_str))
        .collect();
    refused(&arguments)
}

#[test]
fn an_unknown_key_in_the_file_is_refused_with_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "[mesh]\nlisen = \"127.0.0.1:7890\"\n").unwrap();
    let (code, text) = refused(&["node", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(
        text.contains("unknown key mesh.lisen; did you mean mesh.listen?"),
        "{text}"
    );
}

#[test]
fn a_configuration_file_that_is_missing_is_named() {
    let (code, text) = refused(&["check-config", "--config", "/nowhere/node.toml"]);
    assert_ne!(code, 0);
    assert!(text.contains("/nowhere/node.toml"), "{text}");
}

#[test]
fn check_config_prints_what_is_in_force_without_secrets() {
    let flags = flags("fra", Ports::free(), SECRET, &[]);
    let arguments: Vec<&str> = std::iter::once("check-config")
        .chain(flags.iter().map(String::as_str))
        .collect();
    let output = causeway(&arguments)
        .env("CAUSEWAY_NODE_REGION", "Frankfurt")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        text.contains("region = \"Frankfurt\"") && text.contains("secret = \"(secret)\""),
        "{text}"
    );
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, udp_port) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    for (key, address) in [
        ("http.listen", tcp),
        ("media.udp_listen", udp_port),
        ("mesh.listen", udp_port),
    ] {
        let (code, text) = start_with(|flags| flags.push(format!("--{key}={address}")));
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains(key) && text.contains(&address.port().to_string()),
            "{key}: {text}"
        );
        assert!(text.contains("in use"), "{text}");
    }
}

#[test]
fn a_missing_location_database_is_named_with_its_key() {
    let (code, text) = start_with(|flags| flags.push("--geo.databases=/nowhere/city.mmdb".to_owned()));
    assert_eq!(code, 1);
    assert!(
        text.contains("geo.databases") && text.contains("/nowhere/city.mmdb"),
        "{text}"
    );
}

#[test]
fn a_mesh_certificate_that_is_missing_is_named_with_its_key() {
    let (code, text) = start_with(|flags| {
        flags.retain(|flag| !flag.starts_with("--mesh.secret"));
        flags.extend(["cert", "key", "ca"].map(|file| format!("--mesh.tls.{file}=/nowhere/{file}.pem")));
    });
    assert_eq!(code, 1);
    assert!(
        text.contains("mesh.tls.cert") && text.contains("/nowhere/cert.pem"),
        "{text}"
    );
}

#[test]
fn version_states_the_location_data_and_its_licence() {
    let output = causeway(&["--version"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("causeway ") && text.contains("DB-IP") && text.contains("CC BY 4.0"),
        "{text}"
    );
}

#[test]
fn dev_prints_a_meeting_link_that_leads_to_the_web_client() {
    let ports = Ports::free();
    let http = format!("--http.listen=127.0.0.1:{}", ports.http);
    let media = format!("--media.udp_listen=127.0.0.1:{}", ports.media);
    let mut node = Node::run(&["dev", &http, &media, "--media.shards=1"], ports);
    node.wait_until("printing a link", |node| node.out().contains("/m/"));
    let out = node.out();
    let link = out
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let path = link
        .strip_prefix(&format!("http://127.0.0.1:{}", ports.http))
        .unwrap();
    let page = node.get(path).unwrap();
    assert!(
        page.contains(" 200 ") && page.contains("<!doctype html>"),
        "{page}"
    );
    assert!(page.contains("content-security-policy"), "{page}");
    assert!(node.get("/metrics").unwrap().contains("causeway_shard_sessions"));
    assert!(node.get("/nothing/here").unwrap().contains(" 404 "));
}

#[test]
fn a_token_made_here_is_accepted_here_and_by_no_other_key() {
    let key = "--auth.keys=key=a secret of an API key";
    let common = [key, "--media.advertise=192.0.2.1"];
    let arguments = [
        &["token", "create", "--room=standup", "--identity=ada"],
        &common[..],
    ]
    .concat();
    let output = causeway(&arguments).output().unwrap();
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(output.status.success() && !token.is_empty());
    let inspect = |key: &str| {
        let output = causeway(&["token", "inspect", key, "--media.advertise=192.0.2.1", &token])
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        )
    };
    let (accepted, text) = inspect(key);
    assert!(
        accepted && text.contains("standup") && text.contains("accepted"),
        "{text}"
    );
    let (accepted, text) = inspect("--auth.keys=key=another secret of an API key");
    assert!(!accepted, "{text}");
}

fn api() -> ApiKey {
    ApiKey {
        key: "key".to_owned(),
        secret: "a secret of an API key".to_owned(),
    }
}

#[test]
fn with_a_certificate_the_node_speaks_https() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::free();
    let mut flags = flags("fra", ports, SECRET, &[]);
    let (certificate, of_tls) = certificate_in(folder.path());
    flags.extend(of_tls);
    let arguments: Vec<&str> = std::iter::once("node")
        .chain(flags.iter().map(String::as_str))
        .collect();
    let mut node = Node::run_https(&arguments, ports, &certificate);
    let page = crate::process::get_https(ports.http, "/m/standup", &certificate).unwrap();
    assert!(
        page.contains(" 200 ") && page.contains("<!doctype html>"),
        "{page}"
    );
    // It answers a moment before it says so.
    node.wait_for_log(&[&format!("https://127.0.0.1:{}", ports.http)]);
    let url = format!("https://localhost:{}", ports.http);
    let trust = Trust::of([certificate.clone()]).unwrap();
    let attached = Attached::check(&url, api(), Some(&trust)).unwrap();
    let report = crate::load_scenarios::measure_attached(attached);
    assert_eq!(
        report.targets[0].joins.succeeded, 4,
        "{:?}",
        report.targets[0].joins
    );
    let stranger = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap();
    let stranger = Trust::of([stranger.der().clone()]).unwrap();
    let error = Attached::check(&url, api(), Some(&stranger))
        .unwrap_err()
        .to_string();
    assert!(error.contains("certificate"), "{error}");

    let drain: Vec<&str> = std::iter::once("drain")
        .chain(flags.iter().map(String::as_str))
        .collect();
    let output = causeway(&drain).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.contains("fra has ended"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(node.wait().success());
}
