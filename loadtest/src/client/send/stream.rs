//! One outgoing RTP stream: numbers, payloads from a trace, and what is needed to send a packet again.

use std::collections::VecDeque;

use crate::client::rtp::{self, Fields};
use crate::trace::{self, Played, Replay, Stamp};

/// Packets that can be sent again: about two seconds of the largest layer.
const HISTORY_PACKETS: usize = 512;
/// Room for a header with all extensions and the tag of SRTP.
const OVERHEAD_BYTES: usize = 80;

/// Ids of header extensions; 0 where the answer refused one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) struct ExtensionIds {
    pub(in crate::client) mid: u8,
    pub(in crate::client) rid: u8,
    pub(in crate::client) repaired_rid: u8,
    pub(in crate::client) audio_level: u8,
    pub(in crate::client) abs_send_time: u8,
    pub(in crate::client) transport_cc: u8,
}

/// Payload types; a stream without retransmissions of its own sends packets again as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct PayloadTypes {
    pub(in crate::client) media: u8,
    pub(in crate::client) rtx: Option<u8>,
}

/// What all packets of a section share.
#[derive(Clone, Debug)]
pub(in crate::client) struct Section {
    pub(in crate::client) mid: String,
    pub(in crate::client) types: PayloadTypes,
    pub(in crate::client) ids: ExtensionIds,
}

/// What is known when a packet is written.
#[derive(Debug)]
pub(in crate::client) struct Moment<'m> {
    /// Nanoseconds since 1970: the stamp, and the send time extension.
    pub(in crate::client) unix_ns: u64,
    /// The connection's transport-wide number, counted up.
    pub(in crate::client) transport_number: &'m mut u16,
}

#[derive(Debug)]
struct Sent {
    seq: u16,
    played: Played,
    index: usize,
    stamp: Stamp,
    /// In the unit of the audio level extension, with the voice flag.
    level: Option<u8>,
}

/// One layer of a source, or a source without layers.
#[derive(Debug)]
pub(super) struct UpStream {
    pub(super) ssrc: u32,
    rtx_ssrc: u32,
    rid: Option<&'static str>,
    seq: u16,
    rtx_seq: u16,
    replay: Replay,
    history: VecDeque<Sent>,
    pub(super) packets: u64,
    pub(super) octets: u64,
    pub(super) newest_time: u32,
}

impl UpStream {
    pub(super) fn new(
        (ssrc, rtx_ssrc): (u32, u32),
        rid: Option<&'static str>,
        seq: u16,
        replay: Replay,
    ) -> Self {
        Self {
            ssrc,
            rtx_ssrc,
            rid,
            seq,
            rtx_seq: seq.wrapping_mul(31),
            replay,
            history: VecDeque::with_capacity(HISTORY_PACKETS),
            packets: 0,
            octets: 0,
            newest_time: 0,
        }
    }

    pub(super) fn replay(&mut self) -> &mut Replay {
        &mut self.replay
    }

    /// Writes the packets of one frame, in the clear, each by `emit`.
    pub(super) fn write_frame(
        &mut self,
        section: &Section,
        moment: &mut Moment<'_>,
        played: Played,
        stamp: Stamp,
        mut emit: impl FnMut(&[u8]),
    ) {
        self.newest_time = played.time;
        let level = played.frame.audio.map(|audio| audio.extension_byte());
        let mut packet = Vec::with_capacity(trace::MAX_PAYLOAD_BYTES + OVERHEAD_BYTES);
        for index in 0..played.frame.packets.len() {
            let sent = Sent {
                seq: self.seq,
                played,
                index,
                stamp,
                level,
            };
            packet.clear();
            let types = section.types;
            let fields = self.fields(&sent, types.media, self.ssrc, sent.seq);
            self.write_header(
                &mut packet,
                section,
                fields,
                &sent,
                moment,
                self.rid.map(|rid| (section.ids.rid, rid)),
            );
            write_payload(&mut packet, &sent);
            emit(&packet);
            self.packets += 1;
            self.octets += packet.len() as u64;
            self.seq = self.seq.wrapping_add(1);
            if self.history.len() >= HISTORY_PACKETS {
                self.history.pop_front();
            }
            self.history.push_back(sent);
        }
    }

    /// Writes a packet again as RFC 4588 says, if it is still known.
    pub(super) fn write_again(
        &mut self,
        section: &Section,
        moment: &mut Moment<'_>,
        seq: u16,
        emit: impl FnOnce(&[u8]),
    ) -> bool {
        let Some(newest) = self.history.back() else {
            return false;
        };
        let behind = usize::from(newest.seq.wrapping_sub(seq));
        let Some(place) = (self.history.len() - 1).checked_sub(behind) else {
            return false;
        };
        let sent = &self.history[place];
        let mut packet = Vec::with_capacity(trace::MAX_PAYLOAD_BYTES + OVERHEAD_BYTES);
        match section.types.rtx {
            Some(rtx) => {
                let fields = self.fields(sent, rtx, self.rtx_ssrc, self.rtx_seq);
                let rid = self.rid.map(|rid| (section.ids.repaired_rid, rid));
                self.write_header(&mut packet, section, fields, sent, moment, rid);
                packet.extend_from_slice(&sent.seq.to_be_bytes());
                write_payload(&mut packet, sent);
                self.rtx_seq = self.rtx_seq.wrapping_add(1);
            }
            None => {
                let fields = self.fields(sent, section.types.media, self.ssrc, sent.seq);
                let rid = self.rid.map(|rid| (section.ids.rid, rid));
                self.write_header(&mut packet, section, fields, sent, moment, rid);
                write_payload(&mut packet, sent);
            }
        }
        emit(&packet);
        true
    }

    fn fields(&self, sent: &Sent, payload_type: u8, ssrc: u32, seq: u16) -> Fields {
        Fields {
            marker: sent.played.marker(sent.index),
            payload_type,
            seq,
            time: sent.played.time,
            ssrc,
        }
    }

    fn write_header(
        &self,
        packet: &mut Vec<u8>,
        section: &Section,
        fields: Fields,
        sent: &Sent,
        moment: &mut Moment<'_>,
        rid: Option<(u8, &'static str)>,
    ) {
        let number = *moment.transport_number;
        *moment.transport_number = number.wrapping_add(1);
        let ids = &section.ids;
        let (rid_id, rid) = rid.unwrap_or((0, ""));
        let level = [sent.level.unwrap_or_default()];
        rtp::write(
            packet,
            fields,
            &[
                (ids.mid, section.mid.as_bytes()),
                (rid_id, rid.as_bytes()),
                (sent.level.map_or(0, |_| ids.audio_level), &level),
                (ids.abs_send_time, &abs_send_time(moment.unix_ns)),
                (ids.transport_cc, &number.to_be_bytes()),
            ],
        );
    }
}

fn write_payload(packet: &mut Vec<u8>, sent: &Sent) {
    let start = packet.len();
    packet.extend_from_slice(
        sent.played
            .frame
            .packets
            .get(sent.index)
            .map_or(&[][..], |payload| payload),
    );
    sent.played.patch(sent.index, &mut packet[start..], &sent.stamp);
}

/// Seconds modulo 64 in 6.18 fixed point.
fn abs_send_time(unix_ns: u64) -> [u8; 3] {
    const NS_PER_S: u64 = 1_000_000_000;
    let within = unix_ns % (64 * NS_PER_S);
    let fixed = (within << 18) / NS_PER_S;
    let [.., high, middle, low] = fixed.to_be_bytes();
    [high, middle, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_send_time_is_seconds_in_fixed_point() {
        assert_eq!(abs_send_time(0), [0, 0, 0]);
        assert_eq!(abs_send_time(1_500_000_000), [0x06, 0, 0]);
        assert_eq!(abs_send_time(65_000_000_000), [0x04, 0, 0]);
    }
}
