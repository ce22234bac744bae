//! The RTP header (RFC 3550 section 5.1) parsed once to offsets, and its extensions (RFC 8285).

/// Where things are in a packet. Lengths have been checked against the packet it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpHeader {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) seq: u16,
    pub(crate) time: u32,
    pub(crate) ssrc: u32,
    /// Length with CSRCs and extensions, in bytes.
    pub(crate) len: usize,
    padded: bool,
    extensions: Option<Extensions>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extensions {
    start: usize,
    end: usize,
    one_byte: bool,
}

impl RtpHeader {
    /// Parses the header; none if the packet is shorter than the header claims.
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; 12] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let csrcs_end = 12 + 4 * usize::from(fixed[0] & 0x0f);
        let (len, extensions) = if fixed[0] & 0x10 == 0 {
            (csrcs_end, None)
        } else {
            let block: &[u8; 4] = packet.get(csrcs_end..)?.first_chunk()?;
            let profile = u16::from_be_bytes([block[0], block[1]]);
            let start = csrcs_end + 4;
            let end = start + 4 * usize::from(u16::from_be_bytes([block[2], block[3]]));
            let known = profile == 0xbede || profile & 0xfff0 == 0x1000;
            (
                end,
                known.then_some(Extensions {
                    start,
                    end,
                    one_byte: profile == 0xbede,
                }),
            )
        };
        if packet.len() < len {
            return None;
        }
        Some(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            time: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            len,
            padded: fixed[0] & 0x20 != 0,
            extensions,
        })
    }

    /// The extension elements of the packet this header was parsed from, as (id, data).
    pub(crate) fn extensions<'p>(&self, packet: &'p [u8]) -> ExtensionElements<'p> {
        match self.extensions {
            Some(Extensions { start, end, one_byte }) => ExtensionElements {
                rest: &packet[start..end],
                one_byte,
            },
            None => ExtensionElements {
                rest: &[],
                one_byte: true,
            },
        }
    }

    /// The end of the payload in an opened packet of `len` bytes, without padding; none if the padding is longer than
    /// the payload or claims to be empty.
    pub(crate) fn payload_end(&self, packet: &[u8], len: usize) -> Option<usize> {
        if !self.padded {
            return Some(len);
        }
        let padding = usize::from(*packet.get(..len)?.last()?);
        let end = len.checked_sub(padding)?;
        (padding > 0 && end >= self.len).then_some(end)
    }
}

/// Iterates over header extension elements; stops at the first one that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct ExtensionElements<'p> {
    rest: &'p [u8],
    one_byte: bool,
}

impl<'p> Iterator for ExtensionElements<'p> {
    type Item = (u8, &'p [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((&first, after)) = self.rest.split_first() {
            if first == 0 {
                // A padding byte between elements.
                self.rest = after;
                continue;
            }
            let (id, len, data) = if self.one_byte {
                // Id 15 ends the elements, not the header: its length is known from the block (RFC 8285, 4.2).
                if first >> 4 == 15 {
                    break;
                }
                (first >> 4, usize::from(first & 0x0f) + 1, after)
            } else {
                let Some((&len, data)) = after.split_first() else {
                    break;
                };
                (first, usize::from(len), data)
            };
            let Some((element, rest)) = data.split_at_checked(len) else {
                break;
            };
            self.rest = rest;
            return Some((id, element));
        }
        self.rest = &[];
        None
    }
}

/// Whether the second byte of a packet whose first is 128 to 191 says RTCP (RFC 5761 section 4).
pub(crate) fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet.get(1), Some(192..=223))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(extension: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x90, 0xe0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5];
        packet.extend_from_slice(extension);
        packet.extend_from_slice(b"payload");
        packet
    }

    #[test]
    fn one_byte_elements_are_found_and_padding_between_them_is_skipped() {
        let packet = packet(&[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0, 0x31, 1, 2, 0, 0]);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.len, 24);
        assert!(header.marker);
        assert_eq!(header.payload_type, 96);
        let found: Vec<_> = header.extensions(&packet).collect();
        assert_eq!(found, vec![(1, &[0xaa][..]), (3, &[1, 2][..])]);
    }

    #[test]
    fn id_fifteen_ends_the_elements_but_not_the_header() {
        let packet = packet(&[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0xf0, 1, 0x20, 0xbb, 0, 0]);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.len, 24);
        assert_eq!(
            header.extensions(&packet).collect::<Vec<_>>(),
            vec![(1, &[0xaa][..])]
        );
    }

    #[test]
    fn two_byte_elements_may_be_empty() {
        let packet = packet(&[0x10, 0x00, 0, 2, 17, 0, 200, 3, 1, 2, 3, 0]);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(
            header.extensions(&packet).collect::<Vec<_>>(),
            vec![(17, &[][..]), (200, &[1, 2, 3][..])]
        );
    }

    #[test]
    fn a_header_longer_than_its_packet_is_refused() {
        assert!(RtpHeader::parse(&[0x8f, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]).is_none());
        assert!(RtpHeader::parse(&packet(&[0xbe, 0xde, 0xff, 0xff])).is_none());
        assert!(RtpHeader::parse(&[0x80, 96, 0]).is_none());
    }

    #[test]
    fn padding_is_removed_and_impossible_padding_is_refused() {
        let mut packet = vec![0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 3];
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.payload_end(&packet, packet.len()), Some(13));
        for wrong in [0, 5, 255] {
            packet[15] = wrong;
            assert_eq!(header.payload_end(&packet, packet.len()), None);
        }
    }
}
