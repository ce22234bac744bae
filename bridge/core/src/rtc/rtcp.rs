//! RTCP (RFC 3550, RFC 4585, RFC 5104): reading compound feedback and writing the few packets we send.
//!
//! Reading walks the packet flat and stops at the first item that does not fit; unknown types are skipped.

/// Packet types.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

const FORMAT_NACK: u8 = 1;
const FORMAT_PLI: u8 = 1;
const FORMAT_FIR: u8 = 4;
const FORMAT_TWCC: u8 = 15;

/// Length of a report block.
const BLOCK_BYTES: usize = 24;
/// Most items taken from one compound packet.
const MAX_ITEMS: usize = 64;

/// Something a client's RTCP says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// PLI or FIR about a stream we send.
    PictureWanted { ssrc: u32 },
    /// Missing packets of a stream we send.
    Missing { ssrc: u32, seqs: Vec<u16> },
    /// What it received of streams we send; at most 31 blocks.
    Received { blocks: Vec<ReportBlock> },
    /// A stream's clock.
    SenderReport { ssrc: u32, ntp: u64, rtp_time: u32 },
    /// Which transport-wide numbers came, and when; still to be read.
    Arrivals { body: Vec<u8> },
}

/// Reads a compound packet. None if not even its first packet fits. `max_nacked` bounds the sequence numbers of each
/// NACK.
pub(crate) fn parse(compound: &[u8], max_nacked: usize) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    let mut rest = compound;
    while let Some(header) = rest.first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 6 != 2 {
            break;
        }
        let Some((packet, after)) = rest.split_at_checked(length) else {
            break;
        };
        read_packet(header[1], header[0] & 0x1f, packet, max_nacked, &mut items);
        rest = after;
        if items.len() >= MAX_ITEMS {
            break;
        }
    }
    (rest.len() < compound.len()).then_some(items)
}

fn read_packet(kind: u8, format: u8, packet: &[u8], max_nacked: usize, items: &mut Vec<Item>) {
    let word = |at: usize| -> Option<u32> {
        packet
            .get(at..at + 4)
            .map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    match (kind, format) {
        (RECEIVER_REPORT, count) => read_blocks(packet.get(8..), count, items),
        (SENDER_REPORT, count) => {
            read_blocks(packet.get(28..), count, items);
            if let (Some(ssrc), Some(high), Some(low), Some(rtp_time)) =
                (word(4), word(8), word(12), word(16))
            {
                items.push(Item::SenderReport {
                    ssrc,
                    ntp: u64::from(high) << 32 | u64::from(low),
                    rtp_time,
                });
            }
        }
        (TRANSPORT_FEEDBACK, FORMAT_NACK) => {
            if let Some(ssrc) = word(8) {
                items.push(Item::Missing {
                    ssrc,
                    seqs: nacked(&packet[12..], max_nacked),
                });
            }
        }
        (TRANSPORT_FEEDBACK, FORMAT_TWCC) => {
            if let Some(body) = packet.get(12..) {
                items.push(Item::Arrivals { body: body.to_vec() });
            }
        }
        (PAYLOAD_FEEDBACK, FORMAT_PLI) => items.extend(word(8).map(|ssrc| Item::PictureWanted { ssrc })),
        // The SSRCs of FIR stand in its entries (RFC 5104 section 4.3.1).
        (PAYLOAD_FEEDBACK, FORMAT_FIR) => {
            let entries = packet
                .get(12..)
                .unwrap_or_default()
                .chunks_exact(8)
                .take(MAX_ITEMS);
            items.extend(entries.map(|entry| Item::PictureWanted {
                ssrc: u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]),
            }));
        }
        _ => {}
    }
}

/// The report blocks that follow a report's head.
fn read_blocks(blocks: Option<&[u8]>, count: u8, items: &mut Vec<Item>) {
    let blocks = blocks.unwrap_or_default().chunks_exact(BLOCK_BYTES);
    let blocks: Vec<ReportBlock> = blocks.take(usize::from(count)).map(ReportBlock::read).collect();
    if !blocks.is_empty() {
        items.push(Item::Received { blocks });
    }
}

/// Sequence numbers of pairs of packet id and following bitmask (RFC 4585 section 6.2.1).
fn nacked(pairs: &[u8], max: usize) -> Vec<u16> {
    let mut seqs = Vec::new();
    for pair in pairs.chunks_exact(4) {
        let (first, following) = (
            u16::from_be_bytes([pair[0], pair[1]]),
            u16::from_be_bytes([pair[2], pair[3]]),
        );
        seqs.push(first);
        seqs.extend(
            (0..16)
                .filter(|bit| following >> bit & 1 == 1)
                .map(|bit| first.wrapping_add(bit + 1)),
        );
    }
    seqs.truncate(max);
    seqs
}

/// One block of a receiver report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportBlock {
    pub(crate) ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub(crate) fraction_lost: u8,
    /// Lost in all; 24 bits signed on the wire.
    pub(crate) cumulative_lost: i32,
    pub(crate) highest_seq: u32,
    /// In RTP time units.
    pub(crate) jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time.
    pub(crate) last_sender_report: u32,
    /// In 1/65,536 s.
    pub(crate) delay_since: u32,
}

impl ReportBlock {
    /// Reads a block of 24 bytes.
    fn read(bytes: &[u8]) -> Self {
        let mut words = bytes
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
        let mut word = || words.next().unwrap_or_default();
        let (ssrc, lost) = (word(), word());
        Self {
            ssrc,
            fraction_lost: (lost >> 24) as u8,
            cumulative_lost: (lost << 8) as i32 >> 8,
            highest_seq: word(),
            jitter: word(),
            last_sender_report: word(),
            delay_since: word(),
        }
    }
}

/// Appends a receiver report of at most 31 blocks.
pub(crate) fn write_receiver_report(out: &mut Vec<u8>, sender: u32, blocks: &[ReportBlock]) {
    let blocks = &blocks[..blocks.len().min(31)];
    write_header(out, blocks.len() as u8, RECEIVER_REPORT, 4 + 24 * blocks.len());
    out.extend_from_slice(&sender.to_be_bytes());
    for block in blocks {
        out.extend_from_slice(&block.ssrc.to_be_bytes());
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        out.extend_from_slice(&[block.fraction_lost, lost[1], lost[2], lost[3]]);
        for word in [
            block.highest_seq,
            block.jitter,
            block.last_sender_report,
            block.delay_since,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// Appends a sender report without blocks.
pub(crate) fn write_sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    ntp: u64,
    rtp_time: u32,
    packets: u32,
    bytes: u32,
) {
    write_header(out, 0, SENDER_REPORT, 24);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&ntp.to_be_bytes());
    for word in [rtp_time, packets, bytes] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// Appends a picture loss indication.
pub(crate) fn write_pli(out: &mut Vec<u8>, sender: u32, ssrc: u32) {
    write_header(out, FORMAT_PLI, PAYLOAD_FEEDBACK, 8);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
}

/// Appends a NACK; `seqs` in any order, nothing if empty.
pub(crate) fn write_nack(out: &mut Vec<u8>, sender: u32, ssrc: u32, seqs: &[u16]) {
    let mut pairs: Vec<(u16, u16)> = Vec::new();
    for &seq in seqs {
        let distance = pairs.last().map_or(0, |(first, _)| seq.wrapping_sub(*first));
        match pairs.last_mut() {
            Some(_) if distance == 0 => {}
            Some((_, following)) if distance <= 16 => *following |= 1 << (distance - 1),
            _ => pairs.push((seq, 0)),
        }
    }
    if pairs.is_empty() {
        return;
    }
    write_header(out, FORMAT_NACK, TRANSPORT_FEEDBACK, 8 + 4 * pairs.len());
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    for (first, following) in pairs {
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&following.to_be_bytes());
    }
}

/// Appends transport-wide feedback whose body (from the base sequence number on) is ready.
pub(crate) fn write_twcc(out: &mut Vec<u8>, sender: u32, media: u32, body: &[u8]) {
    let padded = body.len().next_multiple_of(4);
    write_header(out, FORMAT_TWCC, TRANSPORT_FEEDBACK, 8 + padded);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&media.to_be_bytes());
    out.extend_from_slice(body);
    let padding = padded - body.len();
    out.resize(out.len() + padding, 0);
}

fn write_header(out: &mut Vec<u8>, count: u8, kind: u8, body_bytes: usize) {
    let words = u16::try_from(body_bytes / 4).expect("invariant: our RTCP packets fit a datagram");
    out.extend_from_slice(&[0x80 | count, kind]);
    out.extend_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
mod tests;
