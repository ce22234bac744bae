//! `[directory]`: how nodes learn who hosts which room.

use super::reader::Reader;
use crate::directory::config::{DirectoryConfig, Endpoint, EtcdConfig, EtcdTls};
use std::path::PathBuf;
use std::time::Duration;

const KIND: &str = "directory.kind";
const ENDPOINTS: &str = "directory.endpoints";
const PREFIX: &str = "directory.prefix";
const LEASE: &str = "directory.lease";
const USERNAME: &str = "directory.username";
const PASSWORD: &str = "directory.password";
const CA: &str = "directory.tls.ca";
const CERT: &str = "directory.tls.cert";
const KEY: &str = "directory.tls.key";

const DEFAULT_PREFIX: &str = "/causeway/";
const DEFAULT_LEASE: Duration = Duration::from_secs(10);
/// Shorter ones end while etcd elects a leader; longer ones leave what is dead for too long.
const LEASES: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(60);

pub(super) fn read(reader: &mut Reader, has_mesh: bool) -> DirectoryConfig {
    let kind = reader.text_or(KIND, "rows");
    let endpoints: Vec<Endpoint> = reader.parsed_list(ENDPOINTS);
    let prefix = reader.text_or(PREFIX, DEFAULT_PREFIX);
    let lease = reader.duration_or(LEASE, DEFAULT_LEASE);
    let rows = reader.switch_or("directory.rows", false);
    let user = user(reader);
    let tls = tls(reader);
    match kind.as_str() {
        "rows" => return DirectoryConfig::Rows,
        "etcd" => {}
        other => {
            reader.refuse(KIND, format!("\"{other}\": \"rows\" and \"etcd\" are possible"));
            return DirectoryConfig::Rows;
        }
    }
    if !cfg!(feature = "etcd") {
        reader.refuse(KIND, "this build cannot speak with etcd (cargo feature \"etcd\")");
    }
    if !has_mesh {
        reader.refuse(KIND, "\"etcd\" is of use in a mesh only; set mesh.listen");
    }
    if endpoints.is_empty() {
        reader.refuse(ENDPOINTS, "needed with directory.kind = \"etcd\"");
    }
    if endpoints.iter().any(|endpoint| endpoint.secure) && tls.is_none() {
        reader.refuse(CA, "needed with endpoints that begin with https://");
    }
    if !LEASES.contains(&lease) || lease.subsec_nanos() > 0 {
        reader.refuse(LEASE, "5s to 60s are possible, in whole seconds");
    }
    let readable = prefix.chars().all(|c| c.is_ascii_graphic());
    if !readable || !prefix.starts_with('/') || !prefix.ends_with('/') || prefix.len() > 200 {
        reader.refuse(
            PREFIX,
            "must begin and end with a slash and consist of printable ASCII",
        );
    }
    DirectoryConfig::Etcd(Box::new(EtcdConfig {
        endpoints,
        prefix,
        lease,
        rows,
        user,
        tls,
    }))
}

fn user(reader: &mut Reader) -> Option<(String, String)> {
    match (reader.text(USERNAME), reader.text(PASSWORD)) {
        (Some(name), Some(password)) => Some((name, password)),
        (None, None) => None,
        (Some(_), None) => {
            reader.refuse(PASSWORD, "needed with directory.username");
            None
        }
        (None, Some(_)) => {
            reader.refuse(USERNAME, "needed with directory.password");
            None
        }
    }
}

fn tls(reader: &mut Reader) -> Option<EtcdTls> {
    let [authority, certificate, key] = [CA, CERT, KEY].map(|path| reader.text(path).map(PathBuf::from));
    let own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            reader.refuse(KEY, "needed with directory.tls.cert");
            None
        }
        (None, Some(_)) => {
            reader.refuse(CERT, "needed with directory.tls.key");
            None
        }
    };
    if authority.is_none() && own.is_some() {
        reader.refuse(CA, "needed with directory.tls.cert");
    }
    let authority = authority?;
    Some(EtcdTls { authority, own })
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigErrors, Layers, parse, show};
    use super::*;
    use std::path::Path;

    const BASE: &str = "[node]\nname = \"fra\"\n[auth.keys]\ndemo = \"a secret of an API key\"\n\
        [media]\nudp_listen = \"127.0.0.1:7882\"\n[mesh]\nlisten = \"127.0.0.1:7890\"\nsecret = \"a secret of sufficient length\"\n";

    fn read(directory: &str) -> Result<(DirectoryConfig, String), ConfigErrors> {
        let mut layers = Layers::default();
        layers.add_file(Path::new("node.toml"), &format!("{BASE}[directory]\n{directory}"));
        parse(layers, 1).map(|(config, effective)| (config.directory, show(&effective)))
    }

    #[test]
    fn the_mesh_itself_is_the_directory_where_nothing_else_is_said() {
        assert_eq!(read("").unwrap().0, DirectoryConfig::Rows);
    }

    #[test]
    fn an_etcd_is_read_whole_and_its_password_is_not_shown() {
        let (directory, shown) = read(
            "kind = \"etcd\"\nendpoints = [\"http://a:1\", \"https://b:2\"]\nlease = \"20s\"\nprefix = \"/x/\"\n\
             rows = true\nusername = \"u\"\npassword = \"pass word\"\ntls.ca = \"/ca.pem\"\n",
        )
        .unwrap();
        let DirectoryConfig::Etcd(etcd) = directory else {
            panic!("{directory:?}");
        };
        assert_eq!((etcd.endpoints.len(), etcd.endpoints[1].port), (2, 2));
        assert_eq!(
            (etcd.lease.as_secs(), etcd.prefix.as_str(), etcd.rows),
            (20, "/x/", true)
        );
        assert_eq!(etcd.user, Some(("u".to_owned(), "pass word".to_owned())));
        assert!(
            !shown.contains("pass word") && !format!("{etcd:?}").contains("pass word"),
            "{shown}"
        );
    }

    #[test]
    fn what_could_not_work_is_refused_with_the_key_to_change() {
        let good = "kind = \"etcd\"\nendpoints = [\"http://a:1\"]\n";
        assert!(read(good).is_ok());
        for (text, key) in [
            ("kind = \"redis\"\n".to_owned(), KIND),
            ("kind = \"etcd\"\n".to_owned(), ENDPOINTS),
            (format!("{good}lease = \"3s\"\n"), LEASE),
            (format!("{good}lease = \"5500ms\"\n"), LEASE),
            (format!("{good}prefix = \"x\"\n"), PREFIX),
            (format!("{good}username = \"u\"\n"), PASSWORD),
            (format!("{good}password = \"p\"\n"), USERNAME),
            (format!("{good}tls.cert = \"/c.pem\"\n"), KEY),
            (good.replace("http:", "https:"), CA),
            (good.replace("http:", "ftp:"), ENDPOINTS),
        ] {
            let errors = read(&text).unwrap_err().to_string();
            assert!(errors.contains(key), "{text}: {errors}");
        }
    }
}
