//! Reads the ClientHello before a server exists, to choose the DTLS version.
//!
//! Browsers send it in two datagrams (measured: 1,413 to 1,461 bytes, because of a post-quantum key share), in any
//! order and with loss, so datagrams are kept until the message is whole. Only what brings something new is kept.

/// Longest ClientHello that is read, in bytes; browsers send about 1,500.
const MAX_HELLO_BYTES: usize = 8 * 1024;
/// Most datagrams kept while it is incomplete.
const MAX_KEPT_DATAGRAMS: usize = 16;
/// Most parts kept as separate ranges.
const MAX_RANGES: usize = 32;

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const EXTENSION_USE_SRTP: u16 = 14;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
const VERSION_DTLS_1_2: u16 = 0xfefd;

const PROFILE_SHA1_80: u16 = 0x0001;
const PROFILE_AES_128_GCM: u16 = 0x0007;
const PROFILE_AES_256_GCM: u16 = 0x0008;

/// What the ClientHello says about versions and profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Any version: the client's own order gives the best profile there is.
    Any,
    /// DTLS 1.2: under 1.3 the client's order would give SHA1_80 although it knows GCM.
    OnlyDtls12,
}

/// Collects datagrams until the ClientHello is whole.
#[derive(Debug, Default)]
pub(super) struct HelloReader {
    body: Vec<u8>,
    /// Received parts, disjoint and sorted.
    ranges: Vec<(usize, usize)>,
    kept: Vec<Vec<u8>>,
}

impl HelloReader {
    /// Takes one datagram; the choice once the ClientHello is whole.
    pub(super) fn read(&mut self, datagram: &[u8]) -> Option<Choice> {
        let mut useful = false;
        for fragment in fragments(datagram) {
            useful |= self.add(&fragment);
        }
        if useful && self.kept.len() < MAX_KEPT_DATAGRAMS {
            self.kept.push(datagram.to_vec());
        }
        let whole = !self.body.is_empty() && self.ranges == [(0, self.body.len())];
        whole.then(|| choose(&self.body))
    }

    /// The datagrams that made it up, in order of arrival, for the server to read again.
    pub(super) fn into_datagrams(self) -> Vec<Vec<u8>> {
        self.kept
    }

    /// Adds a part; whether it brought anything new.
    fn add(&mut self, fragment: &Fragment<'_>) -> bool {
        let end = fragment.offset + fragment.data.len();
        if fragment.total == 0 || fragment.total > MAX_HELLO_BYTES || end > fragment.total {
            return false;
        }
        if self.body.is_empty() {
            self.body = vec![0; fragment.total];
        }
        let known = self
            .ranges
            .iter()
            .any(|(from, to)| *from <= fragment.offset && end <= *to);
        if self.body.len() != fragment.total || known || self.ranges.len() >= MAX_RANGES {
            return false;
        }
        self.body[fragment.offset..end].copy_from_slice(fragment.data);
        self.ranges.push((fragment.offset, end));
        self.ranges.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(self.ranges.len());
        for &(from, to) in &self.ranges {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        self.ranges = merged;
        true
    }
}

struct Fragment<'d> {
    total: usize,
    offset: usize,
    data: &'d [u8],
}

/// The ClientHello parts in a datagram's unencrypted handshake records.
fn fragments(datagram: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let header: &[u8; RECORD_HEADER] = rest.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let record = rest.get(RECORD_HEADER..RECORD_HEADER + length)?;
        rest = &rest[RECORD_HEADER + length..];
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        Some((header[0] == HANDSHAKE && epoch == 0).then_some(record))
    })
    .flatten()
    .filter_map(|record| {
        let header: &[u8; HANDSHAKE_HEADER] = record.first_chunk()?;
        let number = |at: usize| {
            usize::from(header[at]) << 16 | usize::from(header[at + 1]) << 8 | usize::from(header[at + 2])
        };
        let data = record.get(HANDSHAKE_HEADER..HANDSHAKE_HEADER + number(9))?;
        (header[0] == CLIENT_HELLO).then_some(Fragment {
            total: number(1),
            offset: number(6),
            data,
        })
    })
}

/// DTLS 1.2 only if the client knows it and GCM, but names SHA1_80 first.
fn choose(hello: &[u8]) -> Choice {
    let (profiles, versions) = srtp_profiles_and_versions(hello).unwrap_or_default();
    let knows_gcm = profiles.iter().any(|profile| is_gcm(*profile));
    let first = profiles
        .iter()
        .find(|profile| is_gcm(**profile) || **profile == PROFILE_SHA1_80);
    let knows_1_2 = versions.is_empty() || versions.contains(&VERSION_DTLS_1_2);
    if knows_gcm && knows_1_2 && first == Some(&PROFILE_SHA1_80) {
        Choice::OnlyDtls12
    } else {
        Choice::Any
    }
}

fn is_gcm(profile: u16) -> bool {
    matches!(profile, PROFILE_AES_128_GCM | PROFILE_AES_256_GCM)
}

/// Both lists of a ClientHello body (RFC 5246 section 7.4.1.2 with the cookie of RFC 6347); none if it is malformed.
fn srtp_profiles_and_versions(hello: &[u8]) -> Option<(Vec<u16>, Vec<u16>)> {
    let mut reader = Reader(hello);
    reader.take(2 + 32)?;
    reader.short_block()?;
    reader.short_block()?;
    reader.block()?;
    reader.short_block()?;
    let mut extensions = Reader(reader.block()?);
    let (mut profiles, mut versions) = (Vec::new(), Vec::new());
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let mut body = Reader(extensions.block()?);
        match kind {
            EXTENSION_USE_SRTP => profiles = numbers(body.block()?),
            EXTENSION_SUPPORTED_VERSIONS => versions = numbers(body.short_block()?),
            _ => {}
        }
    }
    Some((profiles, versions))
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind a one-byte length.
    fn short_block(&mut self) -> Option<&'b [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    /// Bytes behind a two-byte length.
    fn block(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }
}
