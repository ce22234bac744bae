//! How large a datagram is on the line.

/// Bytes of IPv4 and UDP header that each datagram adds on the line; rates count them.
pub const HEADER_BYTES: usize = 28;

/// Bytes that occupy the line: the IP packet with all its headers. A type of its own because one emulator sees
/// UDP payloads and the other whole packets, and a rate must mean the same to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketBytes(usize);

impl PacketBytes {
    /// A datagram seen at a UDP socket: [`HEADER_BYTES`] are added.
    pub fn of_udp_payload(payload_bytes: usize) -> Self {
        Self(payload_bytes + HEADER_BYTES)
    }

    /// A packet seen at a TUN device: it starts with its IP header, so nothing is added.
    pub fn of_ip_packet(packet_bytes: usize) -> Self {
        Self(packet_bytes)
    }

    /// The number of bytes.
    pub fn get(self) -> usize {
        self.0
    }
}
