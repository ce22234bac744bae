//! Numbers of a stream of which a viewer gets a part: what becomes of each packet of the publisher's stream.
//!
//! Layers of a scalable stream share one sequence of numbers, so what is left out must close up, and what is late or
//! repaired must get the number it would have had. A packet that is missing when a later one goes out has a number
//! *reserved*, because nobody knows its layer yet; should it turn out to be of a layer the viewer does not get, an
//! empty packet *fills* its number, or the viewer would ask for it in vain.

use crate::forward::svc::Reach;
use crate::forward::track::VIDEO_WINDOW;
use relay_proto::id::Layer;
use relay_proto::unit::{MediaSeq, RtpTime};

/// Packets remembered: as many as the cache holds.
const WINDOW: usize = VIDEO_WINDOW;
/// Most missing packets for which numbers are reserved at once; after a longer gap its numbers stay open.
const MAX_RESERVED: u32 = 64;

/// What has been decided on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has not come yet; its number is kept for it.
    Reserved,
    /// The viewer gets it.
    Forwarded,
    /// The viewer gets an empty packet in its place.
    Filled,
    /// The viewer does not get it, and it has no number.
    Dropped,
}

/// A packet of a publisher's stream, as one viewer knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    stream: Layer,
    pub(super) seq: MediaSeq,
    /// Index in the viewer's stream.
    pub(super) index: u64,
    /// The layers the viewer had when it was decided.
    pub(super) reach: Reach,
    pub(super) fate: Fate,
    /// How many pictures of the stream have been left out before it; wraps.
    pub(super) left_out: u16,
}

/// The last packets of a stream. Memory: 512 entries of 24 bytes, made once.
#[derive(Debug)]
pub(super) struct Thinning {
    entries: Box<[Option<Entry>]>,
    stream: Layer,
    newest: Option<MediaSeq>,
    next_index: u64,
    reach: Reach,
    left_out: u16,
    /// The picture that was left out last.
    last_left_out: Option<RtpTime>,
    /// What came before has constant offsets: the first index that is remembered.
    since: u64,
}

impl Thinning {
    pub(super) fn new() -> Self {
        Self {
            entries: vec![None; WINDOW].into_boxed_slice(),
            stream: Layer(0),
            newest: None,
            next_index: 1,
            reach: Reach::default(),
            left_out: 0,
            last_left_out: None,
            since: 0,
        }
    }

    /// One that begins within a stream, after the packet `newest`; `next_index` is that of the packet behind it.
    pub(super) fn within(stream: Layer, newest: MediaSeq, next_index: u64, reach: Reach) -> Self {
        Self {
            stream,
            newest: Some(newest),
            next_index,
            reach,
            since: next_index,
            ..Self::new()
        }
    }

    /// The index of the packet that goes out next.
    pub(super) const fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Whether a packet with this index went out before anything was remembered.
    pub(super) const fn is_before(&self, index: u64) -> bool {
        index < self.since
    }

    /// What has been decided on a packet, if it is remembered. Hot path.
    pub(super) fn entry(&self, stream: Layer, seq: MediaSeq) -> Option<&Entry> {
        let entry = self.entries[slot(seq)].as_ref();
        entry.filter(|entry| entry.seq == seq && entry.stream == stream)
    }

    /// Whether a packet comes after all those decided on.
    pub(super) fn is_newest(&self, seq: MediaSeq) -> bool {
        self.newest.is_none_or(|newest| seq > newest)
    }

    /// The viewer gets nothing at the moment. A keyframe whose first packet comes behind this one is none to begin with:
    /// what follows it has passed by.
    pub(super) const fn pass_by(&mut self, seq: MediaSeq) {
        self.newest = Some(seq);
    }

    /// `stream` begins (anew) with `seq`, as packet `next_index`: nothing before it is missing.
    pub(super) const fn restart(&mut self, stream: Layer, seq: MediaSeq, next_index: u64) {
        self.stream = stream;
        self.newest = Some(MediaSeq(seq.0.wrapping_sub(1)));
        self.next_index = next_index;
        self.left_out = 0;
    }

    /// A packet of a picture of which the viewer gets nothing.
    pub(super) fn leave_out(&mut self, time: RtpTime) {
        if self.last_left_out.replace(time) != Some(time) {
            self.left_out = self.left_out.wrapping_add(1);
        }
    }

    /// Decides on the newest packet, and reserves numbers for what is missing before it. Hot path.
    pub(super) fn decide(&mut self, seq: MediaSeq, reach: Reach, forwarded: bool) {
        let newest = self
            .newest
            .map_or_else(|| seq.0.wrapping_sub(1), |newest| newest.0);
        let missing = seq.0.wrapping_sub(newest).wrapping_sub(1);
        if missing > MAX_RESERVED {
            self.next_index += u64::from(missing);
        } else {
            for missing in newest.wrapping_add(1)..seq.0 {
                self.note(MediaSeq(missing), self.reach, Fate::Reserved);
            }
        }
        let fate = if forwarded { Fate::Forwarded } else { Fate::Dropped };
        self.note(seq, reach, fate);
        self.newest = Some(seq);
        self.reach = reach;
    }

    /// Decides on a late packet with a reserved number.
    pub(super) fn resolve(&mut self, seq: MediaSeq, forwarded: bool) {
        if let Some(entry) = &mut self.entries[slot(seq)]
            && entry.seq == seq
            && entry.fate == Fate::Reserved
        {
            entry.fate = if forwarded { Fate::Forwarded } else { Fate::Filled };
        }
    }

    fn note(&mut self, seq: MediaSeq, reach: Reach, fate: Fate) {
        self.entries[slot(seq)] = Some(Entry {
            stream: self.stream,
            seq,
            index: self.next_index,
            reach,
            fate,
            left_out: self.left_out,
        });
        if fate != Fate::Dropped {
            self.next_index += 1;
        }
    }

    /// The packet a viewer knows by this index, if it has been sent. Cost: a look at each packet since.
    pub(super) fn sent(&self, index: u64) -> Option<&Entry> {
        let newest = self.newest?;
        (0..WINDOW as u32)
            .filter_map(|back| self.entry(self.stream, MediaSeq(newest.0.wrapping_sub(back))))
            .take_while(|entry| entry.index >= index)
            .find(|entry| entry.index == index && matches!(entry.fate, Fate::Forwarded | Fate::Filled))
    }
}

const fn slot(seq: MediaSeq) -> usize {
    seq.0 as usize % WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Reach = Reach {
        spatial: 2,
        temporal: 7,
    };

    fn index(thinning: &Thinning, seq: u32) -> u64 {
        thinning.entry(Layer(0), MediaSeq(seq)).unwrap().index
    }

    #[test]
    fn what_is_left_out_closes_up_and_what_is_missing_keeps_its_number() {
        let mut thinning = Thinning::new();
        thinning.decide(MediaSeq(100), ALL, true);
        thinning.decide(MediaSeq(101), ALL, false);
        thinning.decide(MediaSeq(104), ALL, true);
        assert_eq!((index(&thinning, 100), index(&thinning, 104)), (1, 4));
        assert_eq!(
            thinning.entry(Layer(0), MediaSeq(102)).unwrap().fate,
            Fate::Reserved
        );
        assert!(
            thinning.sent(2).is_none(),
            "nothing has gone out under this number"
        );
        thinning.resolve(MediaSeq(102), true);
        thinning.resolve(MediaSeq(103), false);
        assert_eq!(thinning.sent(2).unwrap().seq, MediaSeq(102));
        assert_eq!(thinning.sent(3).unwrap().fate, Fate::Filled);
        assert_eq!(thinning.sent(4).unwrap().seq, MediaSeq(104));
        thinning.resolve(MediaSeq(101), true);
        assert_eq!(
            thinning.entry(Layer(0), MediaSeq(101)).unwrap().fate,
            Fate::Dropped
        );
    }

    #[test]
    fn an_entry_is_as_small_as_it_is_said_to_be() {
        assert_eq!(size_of::<Option<Entry>>(), 24);
    }

    #[test]
    fn a_long_gap_leaves_its_numbers_open_and_a_restart_leaves_none() {
        let mut thinning = Thinning::new();
        thinning.decide(MediaSeq(100), ALL, true);
        thinning.decide(MediaSeq(300), ALL, true);
        assert_eq!(index(&thinning, 300), 201);
        assert!(thinning.entry(Layer(0), MediaSeq(200)).is_none());
        thinning.restart(Layer(0), MediaSeq(900), 202);
        thinning.decide(MediaSeq(900), ALL, true);
        assert_eq!(index(&thinning, 900), 202);
        assert_eq!(
            thinning.sent(201).map(|entry| entry.seq),
            None,
            "out of the window"
        );
    }

    #[test]
    fn what_has_left_the_window_is_not_known_any_more() {
        let mut thinning = Thinning::new();
        for seq in 0..600 {
            thinning.decide(MediaSeq(1_000 + seq), ALL, seq % 2 == 0);
        }
        assert!(thinning.entry(Layer(0), MediaSeq(1_010)).is_none());
        assert!(thinning.sent(5).is_none());
        assert_eq!(thinning.sent(300).unwrap().seq, MediaSeq(1_598));
    }
}
