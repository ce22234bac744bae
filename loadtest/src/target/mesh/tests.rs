use std::net::UdpSocket;

use super::*;

fn spec(program: impl Into<PathBuf>, names: &[&str]) -> MeshSpec {
    let node = |(at, name): (usize, &&str)| NodeSpec {
        name: (*name).to_owned(),
        region: format!("\"Quoted\" \u{301}{name}"),
        latitude: at as f64 * 1e-7,
        longitude: -8.5,
    };
    MeshSpec {
        program: program.into(),
        program_then: None,
        nodes: names.iter().enumerate().map(node).collect(),
        links: BTreeMap::new(),
        shards: Some(1),
        settings: Vec::new(),
        places: Vec::new(),
        seed: 1,
        ground: Ground::Loopback,
    }
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("causeway-mesh-{name}-{}", std::process::id()))
}

#[test]
fn a_place_without_a_node_needs_a_network() {
    let folder = folder("place");
    let spec = MeshSpec {
        places: vec!["home".to_owned()],
        ..spec("/bin/false", &["a"])
    };
    let error = Mesh::start(&spec, &folder).err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("--namespaces")));
    assert!(!folder.exists());
}

#[test]
fn a_node_that_ends_at_once_is_named_and_nothing_stays() {
    let folder = folder("false");
    let error = Mesh::start(&spec("/bin/false", &["a", "b"]), &folder)
        .err()
        .unwrap();
    assert!(
        matches!(&error, TargetError::Ended { node, .. } if node == "a"),
        "{error}"
    );
    assert!(!folder.exists());
}

#[test]
fn a_program_that_is_not_there_is_named_and_nothing_stays() {
    let folder = folder("missing");
    let error = Mesh::start(&spec("/nowhere/causeway", &["a"]), &folder)
        .err()
        .unwrap();
    assert!(error.to_string().contains("/nowhere/causeway"), "{error}");
    assert!(!folder.exists());
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let folder = folder("precious");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("thesis"), "words").unwrap();
    let error = Mesh::start(&spec("/bin/false", &["a"]), &folder).err().unwrap();
    assert!(matches!(error, TargetError::FolderExists(_)));
    assert!(folder.join("thesis").exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_configuration_says_what_it_was_told() {
    let spec = spec("causeway", &["a"]);
    let ports = layout::NodePorts {
        http: 1,
        media: 2,
        mesh: 3,
    };
    let peers = ["127.0.0.1:9".to_owned()];
    let api = configuration::api(1);
    let address = std::net::Ipv4Addr::new(198, 18, 1, 1);
    let text = configuration::text(
        &spec.nodes[0],
        &api,
        address,
        ports,
        &peers,
        Some(2),
        Path::new("/d\\x"),
    );
    let read: toml::Table = text.parse().unwrap();
    assert_eq!(
        read["node"]["region"].as_str(),
        Some(spec.nodes[0].region.as_str())
    );
    assert_eq!(read["node"]["data_dir"].as_str(), Some("/d\\x"));
    assert_eq!(read["media"]["shards"].as_integer(), Some(2));
    assert_eq!(read["http"]["listen"].as_str(), Some("198.18.1.1:1"));
    assert_eq!(read["media"]["advertise"][0].as_str(), Some("198.18.1.1"));
    assert_eq!(read["mesh"]["peers"][0].as_str(), Some("127.0.0.1:9"));
    assert_eq!(
        read["auth"]["keys"]["loadtest"].as_str(),
        Some(api.secret.as_str())
    );
}

#[test]
fn a_taken_port_is_no_reason_to_give_up() {
    let Some(causeway) = causeway() else {
        eprintln!("skipped: there is no causeway beside this test; build it or set CAUSEWAY_BIN");
        return;
    };
    let (stranger, folder) = (UdpSocket::bind("127.0.0.1:0").unwrap(), folder("taken"));
    let mut tries = 0;
    let mesh = start::start(&spec(causeway, &["a"]), &folder, || {
        tries += 1;
        let mut layout = Layout::free(1)?;
        if tries == 1 {
            layout.nodes[0].media = stranger.local_addr()?.port();
        }
        Ok(layout)
    });
    drop(mesh.map_err(|error| error.to_string()).unwrap());
    assert_eq!(tries, 2);
    assert!(!folder.exists());
}

/// The real program: named by CAUSEWAY_BIN, or built into the same folder as this test.
fn causeway() -> Option<PathBuf> {
    let named = std::env::var_os("CAUSEWAY_BIN").map(PathBuf::from);
    let built = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("causeway"));
    named.or_else(built).filter(|path| path.is_file())
}
