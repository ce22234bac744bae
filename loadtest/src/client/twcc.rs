//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): which packets came, and when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc,
    TransportLayerCc,
};

/// How often feedback is due while packets come (Chromium that only receives: 62 ms, measured).
const INTERVAL: Duration = Duration::from_millis(60);
/// Most packets in one feedback; a burst beyond it goes into the next.
const MOST_PACKETS: usize = 400;
/// Packets remembered until they are reported; older ones are forgotten.
const MOST_REMEMBERED: usize = 4_096;
/// Symbols in a two-bit vector chunk.
const SYMBOLS_PER_CHUNK: usize = 7;
/// Unit of the reference time, in microseconds.
const REFERENCE_UNIT_US: i64 = 64_000;
/// Unit of deltas, in microseconds.
const DELTA_UNIT_US: i64 = 250;

/// The arrivals of one connection that have not been reported yet.
pub(super) struct Arrivals {
    epoch: Instant,
    /// (extended number, microseconds since `epoch`), in order of number.
    waiting: VecDeque<(u64, i64)>,
    highest: Option<u64>,
    reported_up_to: u64,
    feedback_count: u8,
    next: Option<Instant>,
}

impl Arrivals {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            waiting: VecDeque::new(),
            highest: None,
            reported_up_to: 0,
            feedback_count: 0,
            next: None,
        }
    }

    /// Notes a packet. One that comes after its number was reported is left out: the sender has given it up.
    pub(super) fn note(&mut self, now: Instant, number: u16) {
        let extended = extend(self.highest, number);
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
        if extended < self.reported_up_to {
            return;
        }
        let at = i64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(i64::MAX);
        let place = self.waiting.partition_point(|(known, _)| *known < extended);
        if self
            .waiting
            .get(place)
            .is_some_and(|(known, _)| *known == extended)
        {
            return;
        }
        self.waiting.insert(place, (extended, at));
        if self.waiting.len() > MOST_REMEMBERED {
            self.waiting.pop_front();
        }
        self.next.get_or_insert(now + INTERVAL);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The feedback that is due, if any.
    pub(super) fn poll_feedback(
        &mut self,
        now: Instant,
        sender: u32,
        media: u32,
    ) -> Option<TransportLayerCc> {
        if self.next.is_none_or(|at| at > now) {
            return None;
        }
        let count = self.waiting.len().min(MOST_PACKETS);
        let taken: Vec<(u64, i64)> = self.waiting.drain(..count).collect();
        self.next = (!self.waiting.is_empty()).then_some(now + INTERVAL);
        let (first, last) = (taken.first()?.0, taken.last()?.0);
        // Also the numbers missing since the last feedback are told, if they are not too many.
        let base = match self.reported_up_to {
            0 => first,
            known if first.saturating_sub(known) < MOST_PACKETS as u64 => known,
            _ => first,
        };
        // A jump of numbers beyond a feedback's reach is cut off.
        let last = last.min(base + 2 * MOST_PACKETS as u64);
        self.reported_up_to = last + 1;
        let feedback = write(&taken, base, last, self.feedback_count, (sender, media));
        self.feedback_count = self.feedback_count.wrapping_add(1);
        Some(feedback)
    }
}

/// The number nearest to the highest one that has these low bits.
pub(super) fn extend(highest: Option<u64>, number: u16) -> u64 {
    const START: u64 = 1 << 16;
    let Some(highest) = highest else {
        return START + u64::from(number);
    };
    let ahead = number.wrapping_sub(highest as u16);
    if ahead < 1 << 15 {
        highest + u64::from(ahead)
    } else {
        highest.saturating_sub(u64::from(ahead.wrapping_neg()))
    }
}

fn write(
    taken: &[(u64, i64)],
    base: u64,
    last: u64,
    count: u8,
    (sender, media): (u32, u32),
) -> TransportLayerCc {
    let earliest = taken.iter().map(|(_, at)| *at).min().unwrap_or(0);
    let reference = earliest / REFERENCE_UNIT_US;
    let mut previous = reference * REFERENCE_UNIT_US;
    let mut symbols = Vec::with_capacity((last - base + 1) as usize);
    let mut deltas = Vec::with_capacity(taken.len());
    let mut arrived = taken.iter().peekable();
    for number in base..=last {
        let Some((_, at)) = arrived.next_if(|(known, _)| *known == number) else {
            symbols.push(SymbolTypeTcc::PacketNotReceived);
            continue;
        };
        let ticks = (at - previous).div_euclid(DELTA_UNIT_US);
        let symbol = match u8::try_from(ticks) {
            Ok(_) => SymbolTypeTcc::PacketReceivedSmallDelta,
            Err(_) => SymbolTypeTcc::PacketReceivedLargeDelta,
        };
        let ticks = ticks.clamp(i64::from(i16::MIN), i64::from(i16::MAX));
        previous += ticks * DELTA_UNIT_US;
        symbols.push(symbol);
        deltas.push(RecvDelta {
            type_tcc_packet: symbol,
            delta: ticks * DELTA_UNIT_US,
        });
    }
    TransportLayerCc {
        sender_ssrc: sender,
        media_ssrc: media,
        base_sequence_number: base as u16,
        packet_status_count: symbols.len() as u16,
        reference_time: (reference as u32) & 0x00ff_ffff,
        fb_pkt_count: count,
        packet_chunks: chunks(&symbols),
        recv_deltas: deltas,
    }
}

fn chunks(symbols: &[SymbolTypeTcc]) -> Vec<PacketStatusChunk> {
    let vector = |part: &[SymbolTypeTcc]| {
        let mut symbol_list = part.to_vec();
        symbol_list.resize(SYMBOLS_PER_CHUNK, SymbolTypeTcc::PacketNotReceived);
        PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
            type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
            symbol_size: SymbolSizeTypeTcc::TwoBit,
            symbol_list,
        })
    };
    symbols.chunks(SYMBOLS_PER_CHUNK).map(vector).collect()
}

#[cfg(test)]
mod tests {
    use rtc_shared::marshal::{Marshal, Unmarshal};

    use super::*;

    fn seconds(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn arrivals_and_holes_survive_the_wire() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for (number, ms) in [
            (65_534_u16, 1_000),
            (65_535, 1_001),
            (1, 1_003),
            (0, 1_004),
            (4, 1_090),
        ] {
            arrivals.note(seconds(start, ms), number);
        }
        assert!(arrivals.poll_feedback(seconds(start, 1_050), 1, 2).is_none());
        let feedback = arrivals.poll_feedback(seconds(start, 1_100), 1, 2).unwrap();
        let mut bytes = feedback.marshal().unwrap();
        let read = TransportLayerCc::unmarshal(&mut bytes).unwrap();
        assert_eq!((read.base_sequence_number, read.packet_status_count), (65_534, 7));
        let PacketStatusChunk::StatusVectorChunk(vector) = &read.packet_chunks[0] else {
            panic!("a vector");
        };
        let came: Vec<bool> = vector
            .symbol_list
            .iter()
            .map(|symbol| *symbol != SymbolTypeTcc::PacketNotReceived)
            .collect();
        assert_eq!(came, [true, true, true, true, false, false, true]);
        // 1,000 ms is 15 units of 64 ms and 40 ms; the deltas then lead to each arrival, also backwards.
        let mut at = i64::from(read.reference_time) * REFERENCE_UNIT_US;
        let times: Vec<i64> = read
            .recv_deltas
            .iter()
            .map(|delta| {
                at += delta.delta;
                at / 1_000
            })
            .collect();
        assert_eq!(times, [1_000, 1_001, 1_004, 1_003, 1_090]);
    }

    #[test]
    fn what_was_missing_is_told_once_and_then_forgotten() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.note(start, 10);
        let first = arrivals.poll_feedback(seconds(start, 100), 1, 2).unwrap();
        assert_eq!(first.packet_status_count, 1);
        arrivals.note(seconds(start, 110), 13);
        let second = arrivals.poll_feedback(seconds(start, 300), 1, 2).unwrap();
        assert_eq!((second.base_sequence_number, second.packet_status_count), (11, 3));
        arrivals.note(seconds(start, 310), 12);
        assert!(arrivals.poll_feedback(seconds(start, 500), 1, 2).is_none());
    }
}
