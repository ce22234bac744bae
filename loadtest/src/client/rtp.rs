//! RTP headers (RFC 3550 section 5.1, RFC 8285): read far enough to count a packet without opening it, and written with
//! the extensions an SFU tells streams apart by.

/// What a receiver needs of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) seq: u16,
    pub(super) time: u32,
    pub(super) ssrc: u32,
    /// Length with CSRCs and extensions, in bytes.
    pub(super) len: usize,
    extensions: (usize, usize),
    padded: bool,
}

impl Header {
    /// Parses a header; `None` if the packet is shorter than it claims.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; 12] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut len = 12 + 4 * usize::from(fixed[0] & 0x0f);
        let mut extensions = (len, len);
        if fixed[0] & 0x10 != 0 {
            let block: &[u8; 4] = packet.get(len..)?.first_chunk()?;
            let end = len + 4 + 4 * usize::from(u16::from_be_bytes([block[2], block[3]]));
            if block[..2] == ONE_BYTE_PROFILE {
                extensions = (len + 4, end);
            }
            len = end;
        }
        (packet.len() >= len).then_some(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            time: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            len,
            extensions,
            padded: fixed[0] & 0x20 != 0,
        })
    }

    /// The data of a one-byte extension in the packet this header was parsed from.
    pub(super) fn extension<'p>(&self, packet: &'p [u8], id: u8) -> Option<&'p [u8]> {
        let mut rest = packet.get(self.extensions.0..self.extensions.1)?;
        while let Some((&first, after)) = rest.split_first() {
            if first == 0 {
                rest = after;
                continue;
            }
            let (data, behind) = after.split_at_checked(usize::from(first & 0x0f) + 1)?;
            match first >> 4 {
                15 => return None,
                found if found == id => return Some(data),
                _ => rest = behind,
            }
        }
        None
    }

    /// Whether there is padding, which only the opened packet shows the length of.
    pub(super) fn is_padded(&self) -> bool {
        self.padded
    }

    /// The payload of the opened packet, without padding; empty when the padding is all there is.
    pub(super) fn payload<'p>(&self, opened: &'p [u8]) -> &'p [u8] {
        let payload = opened.get(self.len..).unwrap_or_default();
        if !self.padded {
            return payload;
        }
        let padding = payload.last().map_or(0, |count| usize::from(*count));
        &payload[..payload.len().saturating_sub(padding)]
    }
}

const ONE_BYTE_PROFILE: [u8; 2] = [0xbe, 0xde];

/// Fields of a header to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) seq: u16,
    pub(super) time: u32,
    pub(super) ssrc: u32,
}

/// Appends a header with one-byte extensions (id 1 to 14, data 1 to 16 bytes; ids of 0 are left out).
pub(super) fn write(out: &mut Vec<u8>, fields: Fields, extensions: &[(u8, &[u8])]) {
    let start = out.len();
    out.extend_from_slice(&[0x80, fields.payload_type | u8::from(fields.marker) << 7]);
    out.extend_from_slice(&fields.seq.to_be_bytes());
    out.extend_from_slice(&fields.time.to_be_bytes());
    out.extend_from_slice(&fields.ssrc.to_be_bytes());
    let block = out.len();
    out.extend_from_slice(&[ONE_BYTE_PROFILE[0], ONE_BYTE_PROFILE[1], 0, 0]);
    for (id, data) in extensions {
        let fits = (1..=14).contains(id) && (1..=16).contains(&data.len());
        if fits {
            out.push(id << 4 | (data.len() - 1) as u8);
            out.extend_from_slice(data);
        }
    }
    let written = out.len() - block - 4;
    if written == 0 {
        out.truncate(block);
        return;
    }
    out.resize(block + 4 + written.next_multiple_of(4), 0);
    out[block + 3] = (written.div_ceil(4)) as u8;
    out[start] |= 0x10;
}

/// Whether a datagram is RTP or RTCP (RFC 7983: first byte 128 to 191).
pub(super) fn is_media(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (128..192).contains(first))
}

/// Whether such a datagram is RTCP (RFC 5761 section 4).
pub(super) fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram.get(1), Some(192..=223))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELDS: Fields = Fields {
        marker: true,
        payload_type: 96,
        seq: 7,
        time: 9,
        ssrc: 5,
    };

    #[test]
    fn what_is_written_is_read() {
        let mut packet = Vec::new();
        write(&mut packet, FIELDS, &[(1, &[0xaa]), (0, &[1]), (3, &[1, 2])]);
        packet.extend_from_slice(b"payload");
        let header = Header::parse(&packet).unwrap();
        assert_eq!(
            (
                header.marker,
                header.payload_type,
                header.seq,
                header.time,
                header.ssrc
            ),
            (true, 96, 7, 9, 5)
        );
        assert_eq!(header.extension(&packet, 1), Some(&[0xaa][..]));
        assert_eq!(header.extension(&packet, 3), Some(&[1, 2][..]));
        assert_eq!(header.extension(&packet, 2), None);
        assert_eq!(header.payload(&packet), b"payload");
    }

    #[test]
    fn without_extensions_there_is_no_block() {
        let mut packet = Vec::new();
        write(&mut packet, FIELDS, &[]);
        assert_eq!((packet.len(), packet[0]), (12, 0x80));
    }

    #[test]
    fn padding_is_no_payload() {
        let packet = [0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 3];
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.payload(&packet), b"x");
        let only = [0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 200];
        assert_eq!(header.payload(&only), b"");
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(packet in proptest::collection::vec(any::<u8>(), 0..80), id: u8) {
            if let Some(header) = Header::parse(&packet) {
                prop_assert!(header.len <= packet.len());
                let _ = header.extension(&packet, id);
                prop_assert!(header.payload(&packet).len() <= packet.len());
            }
        }
    }
}
