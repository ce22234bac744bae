use super::*;
use std::path::Path;

const GOOD: &str = r#"
[node]
name = "fra"
region = "Frankfurt"
latitude = 50.11
longitude = 8.68
[http]
listen = "127.0.0.1:7880"
[media]
udp_listen = "127.0.0.1:7882"
shards = 2
[mesh]
listen = "127.0.0.1:7890"
secret = "a secret of sufficient length"
peers = ["127.0.0.1:17001"]
[geo.overrides]
query_parameter = "pretend"
networks = { "10.1.0.0/16" = "region:Frankfurt", "10.2.0.0/16" = "1.3,103.8" }
[auth.keys]
demo = "a secret of an API key"
[limits]
frame_bytes = "1MiB"
sessions = 77
"#;

fn read(text: &str) -> Result<(Config, String), ConfigErrors> {
    let mut layers = Layers::default();
    layers.add_file(Path::new("node.toml"), text);
    parse(layers, 2).map(|(config, effective)| (config, show(&effective)))
}

fn errors(text: &str) -> String {
    read(text).map(|_| ()).unwrap_err().to_string()
}

/// `GOOD` with one line put in place of another.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replace(old, new)
}

#[test]
fn a_good_file_is_read_whole() {
    let (config, _) = read(GOOD).unwrap();
    assert_eq!(config.node.name.as_str(), "fra");
    assert_eq!(config.http.public_url, "http://127.0.0.1:7880");
    assert_eq!(config.media.advertise, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(config.mesh.unwrap().peers, ["127.0.0.1:17001"]);
    assert_eq!(config.geo.networks.len(), 2);
    assert_eq!(config.limits.signaling.frame_bytes, 1 << 20);
    assert_eq!(
        (config.limits.signaling.sessions, config.limits.mesh.max_sessions),
        (77, 77)
    );
}

/// `GOOD` with another `[media]`.
fn media(lines: &str) -> String {
    with("udp_listen = \"127.0.0.1:7882\"", lines)
}

#[test]
fn several_addresses_are_advertised_in_the_order_stated() {
    let both = "udp_listen = \"0.0.0.0:7882\"\nadvertise = [\"203.0.113.10\", \"10.0.0.10\"]";
    let (config, _) = read(&media(both)).unwrap();
    let shown: Vec<String> = config.media.advertise.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["203.0.113.10", "10.0.0.10"]);
}

#[test]
fn whoever_advertises_an_ipv6_address_listens_on_both_families() {
    let (config, shown) = read(&media("advertise = [\"203.0.113.10\", \"2001:db8::10\"]")).unwrap();
    assert_eq!(config.media.udp_listen, "[::]:7882".parse().unwrap());
    assert!(shown.contains("udp_listen = \"[::]:7882\""), "{shown}");
    let (config, _) = read(&media("advertise = [\"203.0.113.10\"]")).unwrap();
    assert_eq!(config.media.udp_listen, "0.0.0.0:7882".parse().unwrap());
}

/// What a node on HTTPS with these lines in `[media]` listens with by TCP, and whether beside HTTPS.
fn tcp_of(https: &str, lines: &str) -> (Option<String>, bool) {
    let tls = format!("listen = \"{https}\"\npublic_url = \"https://x\"\ntls.cert = \"c\"\ntls.key = \"k\"");
    let text = media(lines).replace("listen = \"127.0.0.1:7880\"", &tls);
    let (config, _) = read(&text).unwrap();
    let listen = config.media.tcp_listen.map(|address| address.to_string());
    (listen, config.media.tcp_beside_https)
}

#[test]
fn clients_without_udp_come_in_where_media_does_and_beside_https() {
    let (config, _) = read(GOOD).unwrap();
    assert_eq!(config.media.tcp_listen, "127.0.0.1:7882".parse().ok());
    assert!(!config.media.tcp_beside_https, "a proxy has that port");
    let udp = "udp_listen = \"0.0.0.0:7882\"\nadvertise = [\"203.0.113.10\"]";
    let stated = |line: &str| format!("{udp}\n{line}");
    let own = Some("0.0.0.0:7882".to_owned());
    for (lines, expected) in [
        (udp.to_owned(), (own.clone(), true)),
        (stated("tcp_beside_https = false"), (own, false)),
        (stated("tcp = false"), (None, false)),
        (stated("tcp_listen = \"0.0.0.0:443\""), (None, true)),
        // UDP 443 is HTTP/3's, and lets media through many firewalls: its TCP port is taken.
        (udp.replace("7882", "443"), (None, true)),
    ] {
        assert_eq!(tcp_of("0.0.0.0:443", &lines), expected, "{lines}");
    }
}

#[test]
fn the_port_of_plain_http_is_not_shared() {
    for (line, part) in [
        ("tcp_beside_https = true", "needs http.tls.cert"),
        (
            "tcp_listen = \"127.0.0.1:7880\"",
            "media.tcp_listen: the port of http.listen",
        ),
    ] {
        let text = errors(&with("shards = 2", line));
        assert!(text.contains(part), "{line}: {text}");
    }
}

#[test]
fn clients_are_told_of_a_tcp_listener_what_may_reach_it() {
    let advertise: Vec<IpAddr> = ["203.0.113.10", "2001:db8::10", "10.0.0.10", "127.0.0.1"]
        .map(|ip| ip.parse().unwrap())
        .to_vec();
    for (listener, reached) in [
        (
            "[::]:7882",
            &[
                "203.0.113.10:7882",
                "[2001:db8::10]:7882",
                "10.0.0.10:7882",
                "127.0.0.1:7882",
            ][..],
        ),
        // Browsers refuse this port of private addresses, and most others below 1024 of all.
        ("[::]:443", &["203.0.113.10:443", "[2001:db8::10]:443"]),
        ("[::]:444", &[]),
        ("0.0.0.0:443", &["203.0.113.10:443"]),
        (
            "10.0.0.10:7882",
            &["203.0.113.10:7882", "10.0.0.10:7882", "127.0.0.1:7882"],
        ),
        ("[2001:db8::10]:443", &["[2001:db8::10]:443"]),
        ("127.0.0.1:7882", &["127.0.0.1:7882"]),
    ] {
        let told: Vec<String> = reached_by_tcp(&advertise, listener.parse().unwrap())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, reached, "{listener}");
    }
}

#[test]
fn an_address_that_would_lead_nowhere_is_not_advertised() {
    let many: Vec<String> = (1..=9).map(|n| format!("\"192.0.2.{n}\"")).collect();
    let many = many.join(", ");
    let table = [
        (
            "0.0.0.0:7882",
            "\"203.0.113.10\", \"203.0.113.10\"",
            "203.0.113.10 stands there twice",
        ),
        (
            "0.0.0.0:7882",
            "\"203.0.113.10:7882\"",
            "media.advertise: \"203.0.113.10:7882\"",
        ),
        ("0.0.0.0:7882", "\"0.0.0.0\"", "0.0.0.0 is no address of a node"),
        ("0.0.0.0:7882", "\"255.255.255.255\"", "is no address of a node"),
        ("[::]:7882", "\"ff02::1\"", "ff02::1 is no address of a node"),
        ("[::]:7882", "\"fe80::1\"", "another node on every link"),
        ("[::]:7882", "\"::ffff:203.0.113.10\"", "state \"203.0.113.10\""),
        (
            "0.0.0.0:7882",
            "\"2001:db8::10\"",
            "\"[::]:7882\" takes IPv6 and IPv4",
        ),
        (
            "[2001:db8::10]:7882",
            "\"203.0.113.10\"",
            "does not reach media.udp_listen",
        ),
        (
            "0.0.0.0:7882",
            many.as_str(),
            "9 addresses; clients are told at most 8",
        ),
    ];
    for (listen, advertise, part) in table {
        let text = errors(&media(&format!(
            "udp_listen = \"{listen}\"\nadvertise = [{advertise}]"
        )));
        assert!(text.contains(part), "{advertise}: expected {part:?} in\n{text}");
    }
}

const TURN: &str = "[turn]\nurls = [\"turn:turn.example.org\", \"turns:[2001:db8::1]:443?transport=tcp\"]\nsecret = \"a secret of coturn\"\n";

#[test]
fn turn_servers_are_read_and_their_secret_is_not_shown() {
    let (config, shown) = read(&format!("{GOOD}{TURN}")).unwrap();
    let turn = config.turn.unwrap();
    assert_eq!((turn.urls.len(), turn.secret.as_str()), (2, "a secret of coturn"));
    assert_eq!(turn.ttl, TurnServers::TTL);
    assert!(
        shown.contains("ttl = \"24h\"") || shown.contains("ttl = \"1d\""),
        "{shown}"
    );
    assert!(!shown.contains("a secret of"), "{shown}");
    assert_eq!(read(GOOD).unwrap().0.turn, None);
}

#[test]
fn turn_servers_that_could_not_be_used_are_refused() {
    let table = [
        (
            "turn:turn.example.org",
            "stun:turn.example.org",
            "\"stun:turn.example.org\" is no TURN URL",
        ),
        ("turn:turn.example.org", "turn:", "\"turn:\" is no TURN URL"),
        (
            "turn:turn.example.org",
            "turn://turn.example.org",
            "is no TURN URL",
        ),
        ("turn:turn.example.org", "turn:a:99999", "is no TURN URL"),
        ("transport=tcp", "transport=sctp", "is no TURN URL"),
        (
            "secret = \"a secret of coturn\"",
            "",
            "turn.secret: needed with turn.urls",
        ),
        ("a secret of coturn", "short", "turn.secret: 5 bytes"),
        ("urls = [", "ttl = \"0s\"\nurls = [", "turn.ttl"),
        ("urls", "#urls", "turn.urls: needed with turn.secret"),
    ];
    for (old, new, part) in table {
        let text = errors(&format!("{GOOD}{}", TURN.replacen(old, new, 1)));
        assert!(text.contains(part), "{new}: expected {part:?} in\n{text}");
    }
}

#[test]
fn faults_are_simulated_on_request_only_where_nobody_else_gets_in() {
    let testing = "[testing]\nsimulate = true\n";
    assert!(!read(GOOD).unwrap().0.testing.simulate);
    assert!(read(&format!("{GOOD}{testing}")).unwrap().0.testing.simulate);
    let open = with(
        "listen = \"127.0.0.1:7880\"",
        "listen = \"0.0.0.0:7880\"\npublic_url = \"https://x\"\ntrusted_proxies = [\"10.0.0.0/8\"]",
    );
    assert!(read(&open).is_ok());
    assert!(errors(&format!("{open}{testing}")).contains("testing.simulate"));
}

#[test]
fn what_is_wrong_is_named_with_its_key_and_a_way_out() {
    let table: &[(&str, &str, &str)] = &[
        (
            "region = \"Frankfurt\"",
            "regoin = \"Frankfurt\"",
            "unknown key node.regoin; did you mean node.region?",
        ),
        ("[http]", "[htpp]", "unknown key htpp"),
        ("name = \"fra\"", "name = \"Fra!\"", "node.name: \"Fra!\""),
        ("latitude = 50.11", "latitude = 95.0", "node.latitude"),
        ("latitude = 50.11", "", "both needed"),
        (
            "listen = \"127.0.0.1:7880\"",
            "listen = \"7880\"",
            "http.listen: \"7880\"",
        ),
        (
            "listen = \"127.0.0.1:7880\"",
            "listen = \"0.0.0.0:7880\"",
            "http.tls.cert",
        ),
        (
            "udp_listen = \"127.0.0.1:7882\"",
            "udp_listen = \"0.0.0.0:7882\"",
            "media.advertise: needed",
        ),
        ("shards = 2", "shards = 0", "media.shards"),
        (
            "shards = 2",
            "shards = \"two\"",
            "expected a whole number, found string",
        ),
        ("shards = 2", "tcp_listen = \"x\"", "media.tcp_listen: \"x\""),
        ("shards = 2", "tcp_lisen = \"x\"", "unknown key media.tcp_lisen"),
        (
            "secret = \"a secret of sufficient length\"",
            "secret = \"short\"",
            "mesh.secret: 5 bytes",
        ),
        (
            "secret = \"a secret of sufficient length\"",
            "",
            "mesh.secret: needed",
        ),
        (
            "peers = [\"127.0.0.1:17001\"]",
            "peers = [\"nowhere\"]",
            "\"nowhere\" is not host:port",
        ),
        (
            "peers = [\"127.0.0.1:17001\"]",
            "initial_mtu = 9000",
            "1200 to 1452",
        ),
        (
            "peers = [\"127.0.0.1:17001\"]",
            "tls = { cert = \"a\" }",
            "mesh.tls needs cert, key and ca",
        ),
        ("10.1.0.0/16", "10.1.0.0/99", "geo.overrides.networks"),
        ("1.3,103.8", "somewhere", "\"node:NAME\""),
        (
            "demo = \"a secret of an API key\"",
            "demo = \"short\"",
            "key \"demo\" has 5 bytes",
        ),
        ("demo = \"a secret of an API key\"", "", "at least one API key"),
        (
            "frame_bytes = \"1MiB\"",
            "frame_bytes = \"1MB\"",
            "B, KiB, MiB, GiB",
        ),
        ("sessions = 77", "sessions = 0", "limits.sessions"),
        ("[node]", "node = 3\n[log]", "node is a section"),
        ("[node]", "[node", "node.toml: "),
    ];
    for (old, new, part) in table {
        let text = errors(&with(old, new));
        assert!(text.contains(part), "{new}: expected {part:?} in\n{text}");
    }
}

#[test]
fn trees_stretch_by_a_fifth_unless_told_otherwise_and_never_shrink() {
    let peers = "peers = [\"127.0.0.1:17001\"]";
    let stretch = |text: &str| read(&with(peers, &format!("{peers}\n{text}")));
    assert_eq!(stretch("").unwrap().0.mesh.unwrap().stretch, 1.2);
    assert_eq!(stretch("stretch = 2").unwrap().0.mesh.unwrap().stretch, 2.0);
    let refused = errors(&with(peers, &format!("{peers}\nstretch = 0.5")));
    assert!(refused.contains("mesh.stretch: 1 to 10"), "{refused}");
}

#[test]
fn clients_are_steered_from_a_gain_of_40_ms_on_unless_told_otherwise() {
    let peers = "peers = [\"127.0.0.1:17001\"]";
    let mesh = |text: &str| {
        read(&with(peers, &format!("{peers}\n{text}")))
            .unwrap()
            .0
            .mesh
            .unwrap()
    };
    let steer = |mesh: MeshConfig| (mesh.steer, mesh.steer_gain);
    assert_eq!(steer(mesh("")), (true, Duration::from_millis(40)));
    let told = mesh("steer = false\nsteer_gain = \"100ms\"");
    assert_eq!(steer(told), (false, Duration::from_millis(100)));
}

#[test]
fn no_limit_may_be_nothing_but_that_of_sounds_which_then_is_all() {
    let (config, _) = read(&with("sessions = 77", "loudest_sounds = 0")).unwrap();
    assert_eq!(config.limits.shard.loudest_sounds, 0);
}

#[test]
fn everything_wrong_is_told_at_once_with_its_origin() {
    let text = errors(&with("name = \"fra\"", "name = \"X\"").replace("1MiB", "1"));
    assert!(
        text.contains("node.name") && text.contains("limits.frame_bytes"),
        "{text}"
    );
    assert!(text.contains("(node.toml)"), "{text}");
}

#[test]
fn a_flag_stands_over_a_variable_and_a_variable_over_the_file() {
    let mut layers = Layers::default();
    layers.add_file(Path::new("node.toml"), GOOD);
    let variables = [
        ("CAUSEWAY_NODE_REGION", "Hessen"),
        ("CAUSEWAY_NODE_NAME", "main"),
        ("HOME", "/root"),
    ];
    layers.add_environment(
        variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into())),
    );
    layers.add_flag("node.name", "flagged");
    layers.add_flag("mesh.peers", "a:1, b:2");
    layers.add_flag("auth.keys", "one=a secret of an API key");
    let (config, _) = parse(layers, 2).unwrap();
    assert_eq!(
        (config.node.name.as_str(), config.node.region.as_str()),
        ("flagged", "Hessen")
    );
    assert_eq!(config.mesh.unwrap().peers, ["a:1", "b:2"]);
    assert_eq!(config.auth.keys.len(), 1);
}

#[test]
fn an_unknown_variable_of_a_section_is_refused() {
    let mut layers = Layers::default();
    layers.add_file(Path::new("node.toml"), GOOD);
    layers.add_environment([("CAUSEWAY_MESH_LISEN".to_owned(), "x".to_owned())].into_iter());
    let text = parse(layers, 2).unwrap_err().to_string();
    assert!(
        text.contains("CAUSEWAY_MESH_LISEN; did you mean CAUSEWAY_MESH_LISTEN?"),
        "{text}"
    );
}

#[test]
fn the_effective_configuration_shows_defaults_and_no_secret() {
    let (_, shown) = read(GOOD).unwrap();
    assert!(
        shown.contains("shards = 2") && shown.contains("anonymous_join = true"),
        "{shown}"
    );
    assert!(shown.contains("frame_bytes = \"1MiB\""), "{shown}");
    assert!(!shown.contains("a secret of"), "{shown}");
    shown.parse::<toml::Table>().unwrap();
}

#[test]
fn the_effective_configuration_can_be_read_again() {
    let (_, shown) = read(GOOD).unwrap();
    let with_secrets = shown.replace("(secret)", "a secret of sufficient length");
    let (_, again) = read(&with_secrets).unwrap();
    assert_eq!(shown, again);
}

#[test]
fn plain_http_is_served_to_the_world_only_behind_a_declared_proxy() {
    let behind = with(
        "listen = \"127.0.0.1:7880\"",
        "listen = \"0.0.0.0:7880\"\npublic_url = \"https://meet.example.org/\"\ntrusted_proxies = [\"10.0.0.0/8\"]",
    );
    let (config, _) = read(&behind).unwrap();
    assert_eq!(config.http.public_url, "https://meet.example.org");
}

#[test]
fn every_key_has_a_flag_and_a_variable_of_its_own() {
    let mut variables: Vec<String> = keys::all().map(|key| keys::variable(key.path)).collect();
    let before = variables.len();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), before);
}
