use super::*;
use bridge_core::mesh::author::Authority;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use relay_proto::id::NodeId;
use rustls::pki_types::CertificateDer;

const SECRET: &str = "a secret of sufficient length";

fn derived(name: &str) -> Identity {
    Identity::from_secret(SECRET, &NodeName::from(name)).unwrap()
}

#[test]
fn nodes_with_one_secret_hold_the_same_authority() {
    let first = DerivedAuthority::new(SECRET).unwrap();
    let second = DerivedAuthority::new(SECRET).unwrap();
    assert_eq!(first.certificate(), second.certificate());
    let other = DerivedAuthority::new("another secret, also long").unwrap();
    assert_ne!(first.certificate(), other.certificate());
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    let error = DerivedAuthority::new("short").unwrap_err();
    assert!(matches!(error, CredentialsError::SecretTooShort(5)));
}

#[test]
fn an_issued_certificate_proves_its_node_and_no_other() {
    let credentials = derived("fra").issue(SystemTime::now()).unwrap();
    let names = PeerNames::of(&credentials.chain[0]);
    assert!(names.prove(&NodeName::from("fra")));
    assert!(!names.prove(&NodeName::from("sin")));
    assert_eq!(names.to_string(), "fra.mesh.causeway");
}

#[test]
fn bytes_that_are_no_certificate_prove_no_name() {
    let names = PeerNames::of(&CertificateDer::from(vec![1, 2, 3]));
    assert!(!names.prove(&NodeName::from("")));
    assert_eq!(names.to_string(), "no name");
}

#[test]
fn a_secret_never_shows_in_debug_output() {
    let shown = format!("{:?}", derived("fra"));
    assert!(!shown.contains("secret of"), "{shown}");
}

#[test]
fn a_missing_file_is_named_with_its_key() {
    let files = CertificateFiles {
        certificate: "/nowhere/node.pem".into(),
        key: "/nowhere/node.key".into(),
        authority: "/nowhere/ca.pem".into(),
    };
    let error = files.read().unwrap_err().to_string();
    assert!(
        error.contains("mesh.tls.cert") && error.contains("/nowhere/node.pem"),
        "{error}"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = CertificateParams::new(vec!["ca".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let own = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["fra".to_owned()])
        .unwrap()
        .signed_by(&own, &authority)
        .unwrap();
    let files = CertificateFiles {
        certificate: folder.path().join("node.pem"),
        key: folder.path().join("node.key"),
        authority: folder.path().join("ca.pem"),
    };
    std::fs::write(&files.certificate, leaf.pem()).unwrap();
    std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    std::fs::write(&files.authority, authority.pem()).unwrap();
    assert!(matches!(
        files.read().unwrap().server(),
        Err(CredentialsError::Tls(_))
    ));
    std::fs::write(&files.key, own.serialize_pem()).unwrap();
    files.read().unwrap().server().unwrap();
    files.read().unwrap().client().unwrap();
}

const KEY: [u8; 32] = [7; 32];

#[test]
fn a_node_proves_its_key_to_all_of_its_mesh_and_nobody_elses() {
    let facts = derived("fra").vouch(&KEY).unwrap();
    let reader = derived("syd");
    assert!(reader.proves(NodeId::of("fra"), &facts));
    assert!(
        !reader.proves(NodeId::of("sin"), &facts),
        "the id of another node"
    );
    let mut forged = facts.clone();
    forged.public_key[0] ^= 1;
    assert!(!reader.proves(NodeId::of("fra"), &forged), "another key");
    forged = facts.clone();
    forged.endorsement[9] ^= 1;
    assert!(!reader.proves(NodeId::of("fra"), &forged), "another signature");
    forged.chain.clear();
    assert!(!reader.proves(NodeId::of("fra"), &forged), "no certificate");
    let elsewhere = Identity::from_secret("another secret, also long", &NodeName::from("syd")).unwrap();
    assert!(!elsewhere.proves(NodeId::of("fra"), &facts), "another mesh");
}

#[test]
fn with_certificates_of_the_operator_a_node_cannot_vouch_for_another_ones_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = CertificateParams::new(vec!["ca".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let [fra, liar] = ["fra", "liar"].map(|name| {
        let own = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&own, &authority)
            .unwrap();
        let files = CertificateFiles {
            certificate: folder.path().join(format!("{name}.pem")),
            key: folder.path().join(format!("{name}.key")),
            authority: folder.path().join("ca.pem"),
        };
        std::fs::write(&files.certificate, leaf.pem()).unwrap();
        std::fs::write(&files.key, own.serialize_pem()).unwrap();
        std::fs::write(&files.authority, authority.pem()).unwrap();
        Identity::Files(files)
    });
    let facts = fra.vouch(&KEY).unwrap();
    assert!(liar.proves(NodeId::of("fra"), &facts));
    let mut forged = liar.vouch(&[8; 32]).unwrap();
    assert!(!fra.proves(NodeId::of("fra"), &forged), "the liar's certificate");
    forged.chain = facts.chain;
    assert!(
        !fra.proves(NodeId::of("fra"), &forged),
        "the certificate of whom it is not"
    );
}
