use super::*;
use crate::datagram::Header;
use crate::id::{Layer, NodeId, TrackAlias};
use crate::unit::{MediaSeq, RtpTime};

fn sealed() -> (Seal, Vec<u8>) {
    let seal = Seal::new(&SealKey([7; 32]));
    let header = Header::media(NodeId(1), TrackAlias(2), Layer(1), MediaSeq(3), RtpTime(4));
    let mut datagram = header.encode().to_vec();
    datagram.extend_from_slice(b"a marker nobody on the way may read");
    seal.seal(&mut datagram);
    (seal, datagram)
}

fn open(seal: &Seal, datagram: &[u8]) -> Result<Vec<u8>, BrokenSeal> {
    let header = header_of(datagram);
    let mut body = datagram[HEADER_BYTES..].to_vec();
    let len = seal.open(&header, &mut body)?;
    body.truncate(len);
    Ok(body)
}

#[test]
fn what_is_sealed_opens_and_is_not_readable_on_the_way() {
    let (seal, datagram) = sealed();
    assert!(!datagram.windows(8).any(|window| window == b"a marker"));
    assert_eq!(
        open(&seal, &datagram).unwrap(),
        b"a marker nobody on the way may read"
    );
}

#[test]
fn a_transit_node_may_lower_hops_and_nothing_else() {
    let (seal, mut datagram) = sealed();
    datagram[HOPS_OFFSET] -= 1;
    assert!(open(&seal, &datagram).is_ok());
    for at in [0, 2, 3, 4, 8, 12, 16, HEADER_BYTES, datagram.len() - 1] {
        let mut forged = datagram.clone();
        forged[at] ^= 0x40;
        assert_eq!(open(&seal, &forged), Err(BrokenSeal), "byte {at}");
    }
}

#[test]
fn another_key_does_not_open() {
    let (_, datagram) = sealed();
    assert_eq!(open(&Seal::new(&SealKey([8; 32])), &datagram), Err(BrokenSeal));
}

#[test]
fn a_body_shorter_than_its_tag_is_refused() {
    let (seal, datagram) = sealed();
    assert_eq!(open(&seal, &datagram[..HEADER_BYTES + 3]), Err(BrokenSeal));
}
