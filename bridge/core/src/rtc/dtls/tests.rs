use super::client_hello::{Choice, HelloReader};
use super::*;

/// A ClientHello with these SRTP profiles and DTLS versions, padded to `size`.
fn hello(profiles: &[u16], versions: &[u16], size: usize) -> Vec<u8> {
    let list = |numbers: &[u16]| {
        numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let mut extensions = Vec::new();
    let mut push = |kind: u16, body: Vec<u8>| {
        extensions.extend_from_slice(&kind.to_be_bytes());
        extensions.extend_from_slice(&(body.len() as u16).to_be_bytes());
        extensions.extend_from_slice(&body);
    };
    let profiles = list(profiles);
    push(
        14,
        [&(profiles.len() as u16).to_be_bytes()[..], &profiles, &[0]].concat(),
    );
    let versions = list(versions);
    push(43, [&[versions.len() as u8][..], &versions].concat());
    push(21, vec![0; size]);
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    body
}

/// Wraps the bytes `from..to` of a message in a handshake record.
fn record(body: &[u8], from: usize, to: usize) -> Vec<u8> {
    let three = |number: usize| [(number >> 16) as u8, (number >> 8) as u8, number as u8];
    let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0];
    datagram.extend_from_slice(&((to - from + 12) as u16).to_be_bytes());
    datagram.push(1);
    datagram.extend_from_slice(&three(body.len()));
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(&three(from));
    datagram.extend_from_slice(&three(to - from));
    datagram.extend_from_slice(&body[from..to]);
    datagram
}

const CHROMIUM: &[u16] = &[1, 8, 7];
const FIREFOX: &[u16] = &[7, 1, 8];
const BOTH: &[u16] = &[0xfefc, 0xfefd];

fn choice(profiles: &[u16], versions: &[u16]) -> Option<Choice> {
    let hello = hello(profiles, versions, 10);
    HelloReader::default().read(&record(&hello, 0, hello.len()))
}

#[test]
fn dtls_1_2_is_forced_only_where_it_brings_gcm() {
    assert_eq!(choice(CHROMIUM, BOTH), Some(Choice::OnlyDtls12));
    assert_eq!(choice(FIREFOX, BOTH), Some(Choice::Any));
    assert_eq!(choice(&[1], BOTH), Some(Choice::Any));
    assert_eq!(choice(CHROMIUM, &[0xfefc]), Some(Choice::Any));
    assert_eq!(choice(CHROMIUM, &[]), Some(Choice::OnlyDtls12));
    assert_eq!(choice(&[], BOTH), Some(Choice::Any));
}

#[test]
fn a_hello_in_any_order_of_fragments_is_read_and_repeats_are_not_kept() {
    let hello = hello(CHROMIUM, BOTH, 1400);
    let (first, second) = (record(&hello, 0, 1175), record(&hello, 1175, hello.len()));
    let mut reader = HelloReader::default();
    for _ in 0..50 {
        assert_eq!(reader.read(&second), None);
    }
    assert_eq!(reader.read(&first), Some(Choice::OnlyDtls12));
    assert_eq!(reader.into_datagrams(), vec![second, first]);
}

#[test]
fn broken_hellos_are_neither_kept_nor_fatal() {
    let hello = hello(CHROMIUM, BOTH, 100);
    let whole = record(&hello, 0, hello.len());
    for len in 0..whole.len() {
        let mut reader = HelloReader::default();
        assert_eq!(reader.read(&whole[..len]), None);
        assert!(reader.into_datagrams().is_empty());
    }
    let mut huge = whole;
    huge[14] = 0xff;
    let mut reader = HelloReader::default();
    assert_eq!(reader.read(&huge), None);
    assert!(reader.into_datagrams().is_empty());
}

#[test]
fn fingerprints_are_read_as_they_are_written() {
    let fingerprint = Fingerprint::of(b"certificate");
    assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
    assert_eq!(
        Fingerprint::parse(&fingerprint.to_string().to_lowercase()),
        Some(fingerprint)
    );
    assert_eq!(Fingerprint::parse("AB:CD"), None);
    assert_eq!(Fingerprint::parse(&format!("{fingerprint}:00")), None);
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let made = ::dimpl::certificate::generate_self_signed_certificate().unwrap();
    assert!(Certificate::from_der(made.certificate.clone(), made.private_key.clone()).is_ok());
    assert_eq!(
        Certificate::from_der(made.certificate, b"no key".to_vec()).unwrap_err(),
        CertificateError::UnusableKey
    );
    assert_eq!(
        Certificate::from_der(Vec::new(), made.private_key).unwrap_err(),
        CertificateError::NotDer
    );
}
