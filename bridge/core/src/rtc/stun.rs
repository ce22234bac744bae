//! The part of STUN (RFC 8489) an ICE-lite agent needs: reading binding requests and answering them.
//!
//! Reading allocates nothing. Unknown optional attributes are skipped (browsers send several); unknown mandatory ones
//! are answered with 420.

use aws_lc_rs::hmac;
use std::net::{IpAddr, SocketAddr};

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_BYTES: usize = 20;
const FINGERPRINT_MASK: u32 = 0x5354_554e;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
/// From here on an attribute may be ignored.
const FIRST_OPTIONAL: u16 = 0x8000;
/// Most unknown mandatory attributes that are named in an error.
const MAX_UNKNOWN: usize = 8;

/// A binding request whose structure and fingerprint are right; its integrity is not yet checked.
#[derive(Debug)]
pub(crate) struct BindingRequest<'p> {
    pub(crate) transaction: [u8; 12],
    pub(crate) username: &'p str,
    pub(crate) use_candidate: bool,
    /// Mandatory attributes nobody here knows; the request must be refused with 420.
    pub(crate) unknown: Vec<u16>,
    message: &'p [u8],
    integrity_at: usize,
}

impl<'p> BindingRequest<'p> {
    /// Parses a datagram; none if it is anything but a well-formed binding request with name and integrity.
    pub(crate) fn parse(message: &'p [u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = message.first_chunk()?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if kind != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE || HEADER_BYTES + length != message.len() {
            return None;
        }
        let mut username = None;
        let mut use_candidate = false;
        let mut unknown = Vec::new();
        let mut integrity_at = None;
        for (at, attribute, value) in Attributes::of(message) {
            match attribute {
                FINGERPRINT => {
                    let claimed = u32::from_be_bytes(value.try_into().ok()?);
                    if at + 8 != message.len() || fingerprint(&message[..at]) != claimed {
                        return None;
                    }
                }
                // Nothing behind the integrity is protected by it (RFC 8489 section 14.5).
                _ if integrity_at.is_some() => {}
                MESSAGE_INTEGRITY if value.len() == 20 => integrity_at = Some(at),
                USERNAME => username = Some(std::str::from_utf8(value).ok()?),
                USE_CANDIDATE => use_candidate = true,
                PRIORITY => {}
                other if other < FIRST_OPTIONAL && unknown.len() < MAX_UNKNOWN => unknown.push(other),
                _ => {}
            }
        }
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..20]);
        Some(Self {
            transaction,
            username: username?,
            use_candidate,
            unknown,
            message,
            integrity_at: integrity_at?,
        })
    }

    /// The part of the username that names the receiver.
    pub(crate) fn local_ufrag(&self) -> &'p str {
        self.username
            .split_once(':')
            .map_or(self.username, |(local, _)| local)
    }

    /// Whether the integrity was made with this password. Cost: one HMAC-SHA1.
    pub(crate) fn is_authentic(&self, password: &str) -> bool {
        let mut head = [0; HEADER_BYTES];
        head.copy_from_slice(&self.message[..HEADER_BYTES]);
        set_length(&mut head, self.integrity_at + 24 - HEADER_BYTES);
        let claimed = &self.message[self.integrity_at + 4..self.integrity_at + 24];
        let computed = integrity(password, &head, &self.message[HEADER_BYTES..self.integrity_at]);
        aws_lc_rs::constant_time::verify_slices_are_equal(&computed, claimed).is_ok()
    }

    /// The answer to an authentic request: where it came from.
    pub(crate) fn success(&self, from: SocketAddr, password: &str) -> Vec<u8> {
        let mut message = new_message(BINDING_SUCCESS, &self.transaction);
        push_attribute(
            &mut message,
            XOR_MAPPED_ADDRESS,
            &xor_mapped(from, &self.transaction),
        );
        finish(message, password)
    }

    /// The answer to an authentic request with unknown mandatory attributes: error 420.
    pub(crate) fn unknown_attributes(&self, password: &str) -> Vec<u8> {
        let mut message = new_message(BINDING_ERROR, &self.transaction);
        push_attribute(&mut message, ERROR_CODE, &[0, 0, 4, 20]);
        let names: Vec<u8> = self
            .unknown
            .iter()
            .flat_map(|attribute| attribute.to_be_bytes())
            .collect();
        push_attribute(&mut message, UNKNOWN_ATTRIBUTES, &names);
        finish(message, password)
    }
}

/// The receiver's ufrag in what looks like a binding request, without checking anything else: good enough to look a
/// session up, which then checks it properly.
pub(crate) fn peek_local_ufrag(message: &[u8]) -> Option<&str> {
    let header: &[u8; HEADER_BYTES] = message.first_chunk()?;
    if header[..2] != BINDING_REQUEST.to_be_bytes() || header[4..8] != MAGIC_COOKIE {
        return None;
    }
    let (_, _, name) = Attributes::of(message).find(|(_, attribute, _)| *attribute == USERNAME)?;
    let name = std::str::from_utf8(name).ok()?;
    Some(name.split_once(':').map_or(name, |(local, _)| local))
}

/// Walks attributes as (offset, type, value); stops where they no longer fit.
struct Attributes<'p> {
    message: &'p [u8],
    at: usize,
}

impl<'p> Attributes<'p> {
    fn of(message: &'p [u8]) -> Self {
        Self {
            message,
            at: HEADER_BYTES,
        }
    }
}

impl<'p> Iterator for Attributes<'p> {
    type Item = (usize, u16, &'p [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let head: &[u8; 4] = self.message.get(at..)?.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = self.message.get(at + 4..at + 4 + length)?;
        self.at = at + 4 + length.next_multiple_of(4);
        Some((at, u16::from_be_bytes([head[0], head[1]]), value))
    }
}

fn new_message(kind: u16, transaction: &[u8; 12]) -> Vec<u8> {
    let mut message = Vec::with_capacity(96);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&MAGIC_COOKIE);
    message.extend_from_slice(transaction);
    message
}

fn push_attribute(message: &mut Vec<u8>, attribute: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("invariant: our own attributes are short");
    message.extend_from_slice(&attribute.to_be_bytes());
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// Appends integrity and fingerprint.
fn finish(mut message: Vec<u8>, password: &str) -> Vec<u8> {
    let length = message.len() + 24 - HEADER_BYTES;
    set_length(&mut message, length);
    let mac = integrity(password, &message, &[]);
    push_attribute(&mut message, MESSAGE_INTEGRITY, &mac);
    let length = message.len() + 8 - HEADER_BYTES;
    set_length(&mut message, length);
    let crc = fingerprint(&message);
    push_attribute(&mut message, FINGERPRINT, &crc.to_be_bytes());
    message
}

fn set_length(message: &mut [u8], length: usize) {
    let length = u16::try_from(length).expect("invariant: a STUN message fits a datagram");
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// MESSAGE-INTEGRITY with short-term credentials (RFC 8489 section 9.1) over two parts of one message.
fn integrity(password: &str, head: &[u8], body: &[u8]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(head);
    context.update(body);
    let mut mac = [0; 20];
    mac.copy_from_slice(context.sign().as_ref());
    mac
}

/// RFC 8489 section 14.2. A mapped IPv4 address (RFC 4291 section 2.5.5.2) is told as what it is to the client.
fn xor_mapped(from: SocketAddr, transaction: &[u8; 12]) -> Vec<u8> {
    let port = from.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
    let mask = MAGIC_COOKIE.iter().chain(transaction);
    let (family, address) = match from.ip().to_canonical() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend_from_slice(&port.to_be_bytes());
    value.extend(address.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    value
}

/// FINGERPRINT (RFC 8489 section 14.7): CRC-32 of everything before it, with a fixed mask.
fn fingerprint(message: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    let crc = message.iter().fold(u32::MAX, |crc, byte| {
        let entry = (crc ^ u32::from(*byte)) & 0xff;
        (crc >> 8) ^ TABLE[entry as usize]
    });
    !crc ^ FINGERPRINT_MASK
}

/// The table of the reflected CRC-32 polynomial of ITU-T V.42.
const fn crc_table() -> [u32; 256] {
    let mut table = [0_u32; 256];
    let mut entry = 0;
    while entry < 256 {
        let mut crc = entry as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[entry] = crc;
        entry += 1;
    }
    table
}

/// The client's side, for tests: a binding request.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn binding_request(
    transaction: [u8; 12],
    username: &str,
    password: &str,
    use_candidate: bool,
    extra: &[(u16, &[u8])],
) -> Vec<u8> {
    let mut message = new_message(BINDING_REQUEST, &transaction);
    push_attribute(&mut message, USERNAME, username.as_bytes());
    push_attribute(&mut message, 0x802a, &[7; 8]);
    push_attribute(&mut message, PRIORITY, &[0x6e, 0, 0xff, 0xff]);
    if use_candidate {
        push_attribute(&mut message, USE_CANDIDATE, &[]);
    }
    for (attribute, value) in extra {
        push_attribute(&mut message, *attribute, value);
    }
    finish(message, password)
}

#[cfg(test)]
mod tests;
