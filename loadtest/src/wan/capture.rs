//! Writes delivered datagrams to a pcap file with synthesised IPv4 and UDP headers, so that any analyser
//! reads them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// pcap link type "raw IP": each record starts with the IP header.
const LINKTYPE_RAW: u32 = 101;
const FILE_HEADER_BYTES: u64 = 24;
const RECORD_HEADER_BYTES: usize = 16;
const IPV4_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;
const PROTOCOL_UDP: u8 = 17;

/// An open capture file with a limit on its size.
pub(super) struct Capture {
    file: BufWriter<File>,
    written_bytes: u64,
    limit_bytes: u64,
    pub(super) captured: u64,
    pub(super) skipped: u64,
}

impl Capture {
    /// Creates (or empties) the file and writes its header.
    pub(super) fn create(path: &Path, limit_bytes: u64) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&file_header())?;
        file.flush()?;
        Ok(Self {
            file,
            written_bytes: FILE_HEADER_BYTES,
            limit_bytes,
            captured: 0,
            skipped: 0,
        })
    }

    /// Appends one datagram, or counts it as skipped once the limit is reached.
    pub(super) fn record(
        &mut self,
        at: SystemTime,
        source: SocketAddrV4,
        destination: SocketAddrV4,
        payload: &[u8],
    ) -> io::Result<()> {
        let packet_bytes = IPV4_HEADER_BYTES + UDP_HEADER_BYTES + payload.len();
        let record_bytes = (RECORD_HEADER_BYTES + packet_bytes) as u64;
        if self.written_bytes + record_bytes > self.limit_bytes {
            self.skipped += 1;
            return Ok(());
        }
        self.file.write_all(&record_header(at, packet_bytes))?;
        self.file
            .write_all(&ipv4_header(source, destination, packet_bytes))?;
        self.file
            .write_all(&udp_header(source, destination, payload.len()))?;
        self.file.write_all(payload)?;
        self.written_bytes += record_bytes;
        self.captured += 1;
        Ok(())
    }

    /// Makes everything captured so far readable by others.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn file_header() -> [u8; FILE_HEADER_BYTES as usize] {
    const SNAP_BYTES: u32 = 65_535;
    let mut header = [0; FILE_HEADER_BYTES as usize];
    header[0..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header[4..6].copy_from_slice(&2_u16.to_le_bytes());
    header[6..8].copy_from_slice(&4_u16.to_le_bytes());
    header[16..20].copy_from_slice(&SNAP_BYTES.to_le_bytes());
    header[20..24].copy_from_slice(&LINKTYPE_RAW.to_le_bytes());
    header
}

fn record_header(at: SystemTime, packet_bytes: usize) -> [u8; RECORD_HEADER_BYTES] {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut header = [0; RECORD_HEADER_BYTES];
    // The format has 32 bits of seconds: enough until 2106.
    header[0..4].copy_from_slice(&(since_epoch.as_secs() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&since_epoch.subsec_micros().to_le_bytes());
    header[8..12].copy_from_slice(&(packet_bytes as u32).to_le_bytes());
    header[12..16].copy_from_slice(&(packet_bytes as u32).to_le_bytes());
    header
}

fn ipv4_header(
    source: SocketAddrV4,
    destination: SocketAddrV4,
    packet_bytes: usize,
) -> [u8; IPV4_HEADER_BYTES] {
    const VERSION_4_AND_FIVE_WORDS: u8 = 0x45;
    const HOPS: u8 = 64;
    let mut header = [0; IPV4_HEADER_BYTES];
    header[0] = VERSION_4_AND_FIVE_WORDS;
    // A UDP payload over IPv4 has at most 65,507 bytes, so the packet fits its 16-bit length.
    header[2..4].copy_from_slice(&(packet_bytes as u16).to_be_bytes());
    header[8] = HOPS;
    header[9] = PROTOCOL_UDP;
    header[12..16].copy_from_slice(&source.ip().octets());
    header[16..20].copy_from_slice(&destination.ip().octets());
    let checksum = internet_checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// The checksum stays 0, which means "none" for UDP over IPv4 (RFC 768).
fn udp_header(
    source: SocketAddrV4,
    destination: SocketAddrV4,
    payload_bytes: usize,
) -> [u8; UDP_HEADER_BYTES] {
    let mut header = [0; UDP_HEADER_BYTES];
    header[0..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&destination.port().to_be_bytes());
    header[4..6].copy_from_slice(&((UDP_HEADER_BYTES + payload_bytes) as u16).to_be_bytes());
    header
}

/// Ones' complement sum over 16-bit words (RFC 1071) of an even number of bytes.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_checksum_is_the_one_of_a_known_packet() {
        let mut header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
            0xa8, 0x00, 0xc7,
        ];
        assert_eq!(internet_checksum(&header), 0xb861);
        header[10..12].copy_from_slice(&0xb861_u16.to_be_bytes());
        assert_eq!(internet_checksum(&header), 0);
    }

    #[test]
    fn a_written_header_verifies_and_carries_both_ends() {
        let source = "127.0.0.1:1234".parse().unwrap();
        let destination = "10.1.2.3:7990".parse().unwrap();
        let header = ipv4_header(source, destination, 1228);
        assert_eq!(internet_checksum(&header), 0);
        assert_eq!(header[2..4], 1228_u16.to_be_bytes());
        assert_eq!(header[12..20], [127, 0, 0, 1, 10, 1, 2, 3]);
        assert_eq!(
            udp_header(source, destination, 1200)[0..6],
            [0x04, 0xd2, 0x1f, 0x36, 0x04, 0xb8]
        );
    }
}
