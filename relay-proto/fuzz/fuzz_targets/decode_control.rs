//! Any bytes: refused, or a message that survives its own encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_proto::codec::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode(bytes) {
        let again = encode(&message).expect("what decodes is within the limits, so it encodes");
        assert_eq!(decode(&again[4..]).as_ref(), Ok(&message));
    }
});
