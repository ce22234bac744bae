use super::*;

/// RFC 5769 section 2.1: sample request; user `evtj:h6vY`, password `VOkJxbRl1RmTxUk/WvJxBt`.
const SAMPLE_REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
\x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\
\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

#[test]
fn the_sample_request_of_rfc_5769_is_authentic() {
    let request = BindingRequest::parse(SAMPLE_REQUEST).unwrap();
    assert_eq!(request.username, "evtj:h6vY");
    assert_eq!(request.local_ufrag(), "evtj");
    assert!(request.is_authentic("VOkJxbRl1RmTxUk/WvJxBt"));
    assert!(!request.is_authentic("VOkJxbRl1RmTxUk/WvJxBu"));
    assert_eq!(peek_local_ufrag(SAMPLE_REQUEST), Some("evtj"));
}

#[test]
fn every_flipped_bit_of_a_request_is_noticed() {
    let password = "VOkJxbRl1RmTxUk/WvJxBt";
    // The last attribute is the fingerprint: not covered by the integrity, and optional.
    for bit in 0..(SAMPLE_REQUEST.len() - 8) * 8 {
        let mut flipped = SAMPLE_REQUEST.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let accepted = BindingRequest::parse(&flipped).is_some_and(|request| request.is_authentic(password));
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn truncated_requests_are_refused() {
    for len in 0..SAMPLE_REQUEST.len() {
        assert!(BindingRequest::parse(&SAMPLE_REQUEST[..len]).is_none());
        let _ = peek_local_ufrag(&SAMPLE_REQUEST[..len]);
    }
}

#[test]
fn a_mapped_ipv4_address_is_told_as_ipv4() {
    let request = BindingRequest::parse(SAMPLE_REQUEST).unwrap();
    let told = |from: &str| request.success(from.parse().unwrap(), "pw");
    assert_eq!(told("[::ffff:192.0.2.1]:32853"), told("192.0.2.1:32853"));
    // Header, attribute header, then the family.
    assert_eq!(told("192.0.2.1:32853")[25], 1);
    assert_eq!(told("[2001:db8::1]:32853")[25], 2);
}

#[test]
fn unknown_optional_attributes_are_ignored_and_mandatory_ones_named() {
    let optional = binding_request(
        [1; 12],
        "a:b",
        "pw",
        true,
        &[(0xc057, &[0, 1, 2, 3]), (0xc070, &[9; 33])],
    );
    let request = BindingRequest::parse(&optional).unwrap();
    assert!(request.is_authentic("pw") && request.use_candidate && request.unknown.is_empty());
    let mandatory = binding_request([1; 12], "a:b", "pw", false, &[(0x7777, &[])]);
    let request = BindingRequest::parse(&mandatory).unwrap();
    assert_eq!(request.unknown, vec![0x7777]);
    let error = request.unknown_attributes("pw");
    assert_eq!(error[..2], BINDING_ERROR.to_be_bytes());
}

#[test]
fn a_nomination_behind_the_integrity_does_not_count() {
    let mut message = new_message(BINDING_REQUEST, &[3; 12]);
    push_attribute(&mut message, USERNAME, b"a:b");
    let length = message.len() + 24 - HEADER_BYTES;
    set_length(&mut message, length);
    let mac = integrity("pw", &message, &[]);
    push_attribute(&mut message, MESSAGE_INTEGRITY, &mac);
    push_attribute(&mut message, USE_CANDIDATE, &[]);
    let length = message.len() - HEADER_BYTES;
    set_length(&mut message, length);
    let request = BindingRequest::parse(&message).unwrap();
    assert!(request.is_authentic("pw") && !request.use_candidate);
}

/// RFC 5769 sections 2.2 and 2.3: the same transaction from 192.0.2.1:32853 and an IPv6 address.
#[test]
fn mapped_addresses_are_written_as_rfc_5769_does() {
    let request = BindingRequest::parse(SAMPLE_REQUEST).unwrap();
    let v4 = request.success("192.0.2.1:32853".parse().unwrap(), "pw");
    assert_eq!(
        v4[20..32],
        [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]
    );
    let v6 = request.success(
        "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap(),
        "pw",
    );
    let expected = [
        0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc,
        0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
    ];
    assert_eq!(v6[20..44], expected);
}
