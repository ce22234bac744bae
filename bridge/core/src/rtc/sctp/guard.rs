//! What stands between a client's packets and the library: chunks that are sound, numbers near where they should be.
//!
//! The library panics on an error cause that is longer than its chunk, and after a chunk with something behind its
//! contents it goes on reading in the middle of it (found by `examples/fuzz_shard`, then read in its source). It takes DATA and
//! FORWARD-TSN with any number: the first lets a client queue a chunk of one byte a million times over and overflows
//! its gap blocks, the second makes it count up to two thousand million.

/// How far ahead of the acknowledged number a client may be; what lies beyond counts as lost.
const MAX_AHEAD: u32 = 16_384;

const COMMON_HEADER: usize = 12;
/// Of a chunk, a parameter, an error cause: type, (flags,) length.
const HEADER: usize = 4;

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const ERROR: u8 = 9;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;
const RE_CONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;

/// Parameters whose values the library reads as something of its own.
const OUTGOING_RESET: u16 = 13;
const RESET_RESPONSE: u16 = 16;
const HMAC_ALGORITHMS: u16 = 0x8004;
const FORWARD_TSN_SUPPORTED: u16 = 0xc000;

/// DATA_CHANNEL_ACK (RFC 8832 section 8.2.1).
pub(super) const CHANNEL_ACK: u8 = 2;
const CHANNEL_OPEN: u8 = 3;
/// Of a DATA_CHANNEL_OPEN before its label.
const OPEN_HEADER: usize = 12;

/// What the client's numbers are measured against.
#[derive(Debug, Default)]
pub(super) struct TsnGuard {
    /// Everything up to here has arrived; none before the first INIT.
    cumulative: Option<u32>,
}

impl TsnGuard {
    /// Whether the library may see a packet of the client.
    pub(super) fn admits(&mut self, packet: &[u8]) -> bool {
        if !is_sound(packet) {
            return false;
        }
        for (kind, body) in chunks(packet) {
            let number = match kind {
                INIT => {
                    // A repeated one has the same number. Another one would move the measure away from the association
                    // that comes to be.
                    let before = word(body, 12).map(|first| first.wrapping_sub(1));
                    if self.cumulative.is_some() && self.cumulative != before {
                        return false;
                    }
                    self.cumulative = before;
                    continue;
                }
                DATA | FORWARD_TSN => word(body, 0),
                _ => continue,
            };
            if let (Some(number), Some(cumulative)) = (number, self.cumulative) {
                let ahead = number.wrapping_sub(cumulative);
                // Half of the numbers are behind: repeats, which the library knows.
                if ahead > MAX_AHEAD && ahead < 1 << 31 {
                    return false;
                }
            }
        }
        true
    }

    /// Learns from our own acknowledgements.
    pub(super) fn note_sent(&mut self, packet: &[u8]) {
        for (kind, body) in chunks(packet) {
            if kind == SACK {
                self.cumulative = word(body, 0).or(self.cumulative);
            }
        }
    }
}

/// Whether a message is a whole DATA_CHANNEL_OPEN (RFC 8832 section 5.1), the only one the library may read: it panics
/// on short ones of types that only it knows.
pub(super) fn is_opening(message: &[u8]) -> bool {
    let half = |at: usize| {
        message
            .get(at..at + 2)
            .map_or(0, |half| usize::from(u16::from_be_bytes([half[0], half[1]])))
    };
    message.first() == Some(&CHANNEL_OPEN)
        && message.len() >= OPEN_HEADER
        && message.len() - OPEN_HEADER >= half(8) + half(10)
}

/// Whether a packet is made of whole chunks of known types, each with exactly what belongs into it. INIT is alone (RFC
/// 9260 section 6.10).
fn is_sound(packet: &[u8]) -> bool {
    let Some(mut rest) = packet.get(COMMON_HEADER..).filter(|rest| !rest.is_empty()) else {
        return false;
    };
    let (mut count, mut begins) = (0, false);
    while let Some((kind, body, after)) = split_chunk(rest) {
        if !is_sound_chunk(kind, body) {
            return false;
        }
        count += 1;
        begins |= matches!(kind, INIT | INIT_ACK);
        rest = after;
    }
    rest.is_empty() && !(begins && count > 1)
}

/// RFC 9260 section 3.3, RFC 6525, RFC 3758.
fn is_sound_chunk(kind: u8, body: &[u8]) -> bool {
    match kind {
        DATA => body.len() >= 12,
        INIT | INIT_ACK => body
            .get(16..)
            .is_some_and(|parameters| parameters_of(parameters).is_some()),
        SACK => {
            let half = |at: usize| {
                body.get(at..at + 2)
                    .map_or(0, |half| usize::from(u16::from_be_bytes([half[0], half[1]])))
            };
            body.len() == 12 + 4 * (half(8) + half(10))
        }
        // A heartbeat's answer is nothing the library reads; without one of ours it does not come.
        HEARTBEAT => parameters_of(body) == Some(1),
        ABORT | ERROR => are_sound_causes(body),
        SHUTDOWN => body.len() == 4,
        SHUTDOWN_ACK | COOKIE_ACK | SHUTDOWN_COMPLETE => body.is_empty(),
        COOKIE_ECHO => true,
        RE_CONFIG => matches!(parameters_of(body), Some(1 | 2)),
        FORWARD_TSN => body.len() >= 4 && body.len().is_multiple_of(4),
        _ => false,
    }
}

/// How many parameters there are; none where one is not whole, or has not the length of its type.
fn parameters_of(mut rest: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !rest.is_empty() {
        let (kind, value, padded) = split_value(rest)?;
        let fits = match kind {
            OUTGOING_RESET => value.len() >= 12 && value.len().is_multiple_of(2),
            RESET_RESPONSE => value.len() == 8,
            HMAC_ALGORITHMS => value.len().is_multiple_of(2),
            FORWARD_TSN_SUPPORTED => value.is_empty(),
            _ => true,
        };
        if !fits {
            return None;
        }
        count += 1;
        rest = rest.get(padded..).unwrap_or_default();
    }
    Some(count)
}

/// Whether error causes are whole. The library knows of no padding among them.
fn are_sound_causes(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some((_, value, padded)) = split_value(rest) else {
            return false;
        };
        let is_last = HEADER + value.len() == rest.len();
        if !is_last && padded != HEADER + value.len() {
            return false;
        }
        rest = rest.get(padded..).unwrap_or_default();
    }
    true
}

/// The first parameter or cause: type, value, and its length with padding.
fn split_value(bytes: &[u8]) -> Option<(u16, &[u8], usize)> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let value = bytes.get(HEADER..length)?;
    Some((
        u16::from_be_bytes([header[0], header[1]]),
        value,
        length.next_multiple_of(4),
    ))
}

/// Chunks as (type, body without its header); stops where they no longer fit.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = packet.get(COMMON_HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, body, after) = split_chunk(rest)?;
        rest = after;
        Some((kind, body))
    })
}

/// The first chunk: type, body, and what comes after its padding.
fn split_chunk(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let body = bytes.get(HEADER..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((header[0], body, after))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)
        .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, words: &[u32]) -> Vec<u8> {
        let mut packet = vec![0; COMMON_HEADER];
        packet.extend_from_slice(&[kind, 0, 0, (4 + 4 * words.len()) as u8]);
        packet.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        packet
    }

    /// A packet of one chunk.
    fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; COMMON_HEADER];
        packet.extend_from_slice(&[kind, 0, 0, (HEADER + body.len()) as u8]);
        packet.extend_from_slice(body);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet
    }

    #[test]
    fn only_chunks_with_exactly_what_belongs_into_them_are_seen() {
        let init = [[0; 16].as_slice(), &[0xc0, 0, 0, 4]].concat();
        let sound: [(u8, &[u8]); 9] = [
            (DATA, &[0; 13]),
            (INIT, &init),
            (SACK, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 3]),
            (HEARTBEAT, &[0, 1, 0, 6, 7, 7]),
            (ABORT, &[0, 12, 0, 7, b'b', b'y', b'e']),
            (ERROR, &[]),
            (COOKIE_ACK, &[]),
            (RE_CONFIG, &[0, 16, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1]),
            (FORWARD_TSN, &[0; 8]),
        ];
        for (kind, body) in sound {
            assert!(is_sound(&chunk(kind, body)), "{kind}: {body:?}");
        }
        let broken: [(u8, &[u8]); 11] = [
            (DATA, &[0; 11]),
            (INIT, &[0; 15]),
            (INIT, &[[0; 16].as_slice(), &[0x80, 4, 0, 5, 1]].concat()),
            // Behind what it counts there would be another chunk.
            (SACK, &[0; 16]),
            (HEARTBEAT, &[0, 1, 0, 9, 7, 7]),
            // What fuzzing found: a cause longer than its chunk.
            (ERROR, &[0x82, 0, 0x82, 0]),
            (ABORT, &[0, 12, 0, 3]),
            (COOKIE_ACK, &[1]),
            (RE_CONFIG, &[0, 13, 0, 8, 0, 0, 0, 1]),
            (FORWARD_TSN, &[0; 6]),
            (200, &[]),
        ];
        for (kind, body) in broken {
            assert!(!is_sound(&chunk(kind, body)), "{kind}: {body:?}");
        }
        assert!(!is_sound(&[0; COMMON_HEADER]) && !is_sound(&[0; COMMON_HEADER + 3]));
    }

    #[test]
    fn only_whole_openings_of_channels_are_read() {
        let open = [3, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 1, b'a', b'b', b'c'];
        assert!(is_opening(&open));
        assert!(!is_opening(&open[..14]) && !is_opening(&open[..11]) && !is_opening(&[]));
        // What fuzzing found: types the library has for itself.
        assert!(!is_opening(&[4]) && !is_opening(&[5]) && !is_opening(&[CHANNEL_ACK]));
    }

    #[test]
    fn a_second_init_moves_no_measure() {
        let mut guard = TsnGuard::default();
        let first = packet(INIT, &[1, 2, 3, 1_000]);
        assert!(guard.admits(&first) && guard.admits(&first));
        assert!(!guard.admits(&packet(INIT, &[1, 2, 3, 1 << 30])));
        let bundled = [
            packet(COOKIE_ACK, &[]),
            packet(INIT, &[1, 2, 3, 1_000])[COMMON_HEADER..].to_vec(),
        ];
        assert!(!guard.admits(&bundled.concat()));
        assert!(!guard.admits(&packet(FORWARD_TSN, &[1 << 30])));
    }

    #[test]
    fn numbers_far_ahead_are_refused_across_the_wrap_and_repeats_pass() {
        let mut guard = TsnGuard::default();
        assert!(guard.admits(&packet(DATA, &[77, 0, 0])));
        assert!(guard.admits(&packet(INIT, &[1, 2, 3, u32::MAX - 4])));
        let cumulative = u32::MAX - 5;
        for kind in [DATA, FORWARD_TSN] {
            assert!(guard.admits(&packet(kind, &[cumulative.wrapping_add(MAX_AHEAD), 0, 0])));
            assert!(!guard.admits(&packet(kind, &[cumulative.wrapping_add(MAX_AHEAD + 1), 0, 0])));
            assert!(guard.admits(&packet(kind, &[cumulative - 10, 0, 0])));
        }
        guard.note_sent(&packet(SACK, &[100, 0, 0]));
        assert!(guard.admits(&packet(DATA, &[100 + MAX_AHEAD, 0, 0])));
        let second = [
            packet(DATA, &[101, 0, 0]),
            packet(DATA, &[1 << 30, 0, 0])[COMMON_HEADER..].to_vec(),
        ]
        .concat();
        assert!(!guard.admits(&second));
    }
}
