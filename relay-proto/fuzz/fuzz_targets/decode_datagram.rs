//! Any bytes: refused, or a header that encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_proto::datagram::{Header, MediaBody, decode_allowance, decode_nack, decode_parity};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, body)) = Header::decode(bytes) {
        assert_eq!([header.encode().as_slice(), body].concat(), bytes);
        let _ = MediaBody::decode(body, header.audio);
        let _ = decode_allowance(body);
        if let Ok((members, sum)) = decode_parity(body) {
            assert!(
                members
                    .map(|member| usize::from(member.len))
                    .all(|len| len <= sum.len())
            );
        }
        if let Ok(seqs) = decode_nack(body) {
            assert_eq!(seqs.count() * 4, body.len());
        }
    }
});
