//! How a simulated client repairs sound: what it asks for, and what it sends again.

use crate::forward::nack::{NackGenerator, NackPolicy};
use crate::forward::sequence::SequenceExtender;
use crate::rtc::testing::PeerRtcp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Packets a client can send again.
const MAX_SENT: usize = 512;
/// Numbers asked for in one go.
const MAX_ASKED: usize = 64;

/// Time between reports of what was lost.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Heard {
    extender: SequenceExtender,
    nack: NackGenerator,
    first: u32,
    newest: u32,
    /// Numbers that have come, also as what a later packet repeats.
    got: BTreeSet<u32>,
    /// Packets that have come.
    packets: u64,
}

/// Repair of one client's sound, in both directions.
#[derive(Debug, Default)]
pub(super) struct SoundRepair {
    heard: BTreeMap<u32, Heard>,
    /// (SSRC, number, sealed packet), oldest first.
    sent: VecDeque<(u32, u16, Vec<u8>)>,
    answers: Vec<Vec<u8>>,
    /// It only reports what is lost, and does not ask for it.
    only_reports: bool,
    next_report: Option<Instant>,
    /// Packets that repeated others.
    pub(super) redundant: u64,
}

impl SoundRepair {
    /// One that reports what is lost and asks for nothing.
    pub(super) fn only_reporting() -> Self {
        Self {
            only_reports: true,
            ..Self::default()
        }
    }

    /// The client has sent a packet.
    pub(super) fn sent(&mut self, ssrc: u32, seq: u16, sealed: &[u8]) {
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((ssrc, seq, sealed.to_vec()));
    }

    /// The node has said something.
    pub(super) fn asked(&mut self, items: &[PeerRtcp]) {
        for item in items {
            if let PeerRtcp::Nack { ssrc, seqs } = item {
                let asked = self
                    .sent
                    .iter()
                    .filter(|(of, seq, _)| of == ssrc && seqs.contains(seq));
                self.answers.extend(asked.map(|(_, _, sealed)| sealed.clone()));
            }
        }
    }

    /// Packets to send again.
    pub(super) fn take_answers(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.answers)
    }

    /// A sound packet has come. Each number comes once: copies have been refused as replays.
    pub(super) fn received(&mut self, now: Instant, ssrc: u32, seq: u16) {
        let heard = self.heard.entry(ssrc).or_insert_with(|| Heard {
            extender: SequenceExtender::default(),
            nack: NackGenerator::new(NackPolicy::SOUND),
            first: 0,
            newest: 0,
            got: BTreeSet::new(),
            packets: 0,
        });
        let number = heard.extender.extend(seq);
        if heard.packets == 0 {
            heard.first = number.0;
        }
        heard.newest = heard.newest.max(number.0);
        heard.packets += 1;
        heard.got.insert(number.0);
        heard.nack.received(number, now);
    }

    /// The packet `seq`, which comes next, repeats those of the `count` numbers before it.
    pub(super) fn repeated(&mut self, now: Instant, ssrc: u32, seq: u16, count: u16) {
        self.redundant += 1;
        let Some(heard) = self.heard.get_mut(&ssrc) else {
            return;
        };
        for back in (1..=count).rev() {
            let number = heard.extender.extend(seq.wrapping_sub(back));
            if number.0 >= heard.first && heard.got.insert(number.0) {
                heard.newest = heard.newest.max(number.0);
                heard.nack.received(number, now);
            }
        }
    }

    /// What has been lost on the way, as (SSRC, highest number, lost in all), where a report is due.
    pub(super) fn reports(&mut self, now: Instant) -> Vec<(u32, u32, i32)> {
        if *self.next_report.get_or_insert(now) > now {
            return Vec::new();
        }
        self.next_report = Some(now + REPORT_INTERVAL);
        let report = |(ssrc, heard): (&u32, &Heard)| {
            let expected = u64::from(heard.newest - heard.first) + 1;
            (*ssrc, heard.newest, expected.saturating_sub(heard.packets) as i32)
        };
        self.heard.iter().map(report).collect()
    }

    /// What is to be asked for now.
    pub(super) fn requests(&mut self, now: Instant) -> Vec<(u32, Vec<u16>)> {
        let mut requests = Vec::new();
        if self.only_reports {
            return requests;
        }
        for (ssrc, heard) in &mut self.heard {
            let due = heard.nack.due(now, MAX_ASKED);
            if !due.is_empty() {
                requests.push((*ssrc, due.iter().map(|seq| seq.0 as u16).collect()));
            }
        }
        requests
    }

    /// Numbers between the first and the newest that have not come, and how many have.
    pub(super) fn missing(&self) -> (u64, u64) {
        self.heard.values().fold((0, 0), |(missing, got), heard| {
            let known = u64::from(heard.newest - heard.first) + 1;
            let came = heard.got.len() as u64;
            (missing + known - came, got + came)
        })
    }
}
