//! Any bytes: refused, or a header that encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_proto::datagram::{Header, MediaBody, decode_nack};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, body)) = Header::decode(bytes) {
        assert_eq!([header.encode().as_slice(), body].concat(), bytes);
        let _ = MediaBody::decode(body, header.audio);
        if let Ok(seqs) = decode_nack(body) {
            assert_eq!(seqs.count() * 4, body.len());
        }
    }
});
