//! Keeps transmission sequence numbers near where they should be.
//!
//! The library takes DATA and FORWARD-TSN with any number (read in its source): the first lets a client queue a chunk of
//! one byte a million times over and overflows its gap blocks, the second makes it count up to two thousand million.

/// How far ahead of the acknowledged number a client may be; what lies beyond counts as lost.
const MAX_AHEAD: u32 = 16_384;

const COMMON_HEADER: usize = 12;
const DATA: u8 = 0;
const INIT: u8 = 1;
const SACK: u8 = 3;
const FORWARD_TSN: u8 = 192;

/// What the client's numbers are measured against.
#[derive(Debug, Default)]
pub(super) struct TsnGuard {
    /// Everything up to here has arrived; none before the first INIT.
    cumulative: Option<u32>,
}

impl TsnGuard {
    /// Whether the library may see a packet of the client.
    pub(super) fn admits(&mut self, packet: &[u8]) -> bool {
        for (kind, body) in chunks(packet) {
            let number = match kind {
                INIT => {
                    self.cumulative = word(body, 12).map(|first| first.wrapping_sub(1));
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

/// Chunks as (type, body without its header); stops where they no longer fit.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = packet.get(COMMON_HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let header: &[u8; 4] = rest.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let body = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header[0], body))
    })
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

    #[test]
    fn numbers_far_ahead_are_refused_across_the_wrap_and_repeats_pass() {
        let mut guard = TsnGuard::default();
        assert!(guard.admits(&packet(DATA, &[77, 0])));
        assert!(guard.admits(&packet(INIT, &[1, 2, 3, u32::MAX - 4])));
        let cumulative = u32::MAX - 5;
        for kind in [DATA, FORWARD_TSN] {
            assert!(guard.admits(&packet(kind, &[cumulative.wrapping_add(MAX_AHEAD), 0])));
            assert!(!guard.admits(&packet(kind, &[cumulative.wrapping_add(MAX_AHEAD + 1), 0])));
            assert!(guard.admits(&packet(kind, &[cumulative - 10, 0])));
        }
        guard.note_sent(&packet(SACK, &[100, 0, 0]));
        assert!(guard.admits(&packet(DATA, &[100 + MAX_AHEAD, 0])));
        let second = [
            packet(DATA, &[101, 0]),
            packet(DATA, &[1 << 30, 0])[COMMON_HEADER..].to_vec(),
        ]
        .concat();
        assert!(!guard.admits(&second));
    }
}
