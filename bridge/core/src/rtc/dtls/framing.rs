//! Whether a datagram consists of whole records.
//!
//! The library marks the records before a truncated one as seen and then throws them away, so the original datagram,
//! arriving later, would count as a replay. A datagram that is not whole is therefore dropped before it is read.

/// Header of a record of DTLS 1.2, and of unencrypted ones of 1.3.
const PLAIN_HEADER: usize = 13;

/// Whether records fill the datagram exactly (RFC 6347 section 4.1, RFC 9147 section 4).
pub(super) fn is_whole(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while !rest.is_empty() {
        let Some(length) = record_length(rest) else {
            return false;
        };
        match rest.get(length..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

fn record_length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        bytes
            .get(at..at + 2)
            .map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])))
    };
    let first = *bytes.first()?;
    if first >> 5 != 1 {
        return number(11).map(|length| PLAIN_HEADER + length);
    }
    // The unified header: no connection id, a sequence number of one or two bytes, perhaps a length.
    if first & 0x10 != 0 {
        return None;
    }
    let header = 1 + if first & 0x08 != 0 { 2 } else { 1 };
    if first & 0x04 == 0 {
        return Some(bytes.len());
    }
    number(header).map(|length| header + 2 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_datagrams_of_whole_records_pass() {
        let plain = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2];
        let sealed = [0x2e, 0, 9, 0, 3, 1, 2, 3];
        let to_the_end = [0x2a, 0, 9, 1, 2, 3];
        for whole in [
            &plain[..],
            &sealed,
            &to_the_end,
            &[&plain[..], &sealed, &to_the_end].concat(),
        ] {
            assert!(is_whole(whole));
        }
        for len in 1..plain.len() {
            assert!(!is_whole(&[&sealed[..], &plain[..len]].concat()));
        }
        for len in 1..sealed.len() {
            assert!(!is_whole(&[&plain[..], &sealed[..len]].concat()));
        }
        assert!(!is_whole(&[0x3e, 1, 0, 0, 0]));
    }
}
