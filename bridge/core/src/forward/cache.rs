//! Recent packets of one published layer: what fan-out reads and what repairs are served from.
//!
//! One cache per published layer, never per viewer. Slots keep their buffers, so that a layer in steady state
//! allocates nothing.

use super::svc::SvcPosition;
use relay_proto::unit::{MediaSeq, RtpTime};

/// What is known of a packet besides its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMeta {
    /// Number in its layer.
    pub seq: MediaSeq,
    /// RTP timestamp.
    pub time: RtpTime,
    /// RTP marker bit.
    pub marker: bool,
    /// First packet of a keyframe.
    pub keyframe: bool,
    /// First byte of its relay body (audio level), so that a repair over a link is byte for byte the original.
    pub level: u8,
    /// Its layers, in a scalable stream; [`super::track::Track::ingest`] finds them out.
    pub position: SvcPosition,
}

#[derive(Debug)]
struct Slot {
    meta: PacketMeta,
    /// The marker bit it came with.
    came_marked: bool,
    /// How many packets right before it were held when it came.
    earlier: u8,
    /// The first bytes are its dependency descriptor; 0 where it has none.
    descriptor_bytes: u8,
    payload: Vec<u8>,
}

/// A ring of the last `capacity` sequence numbers. Memory: at most capacity × largest payload.
#[derive(Debug)]
pub struct PacketCache {
    slots: Vec<Option<Slot>>,
    newest: Option<MediaSeq>,
    /// How many packets before each are looked for.
    looks_back: u8,
}

impl PacketCache {
    /// An empty cache of `capacity` packets (rounded up to a power of two). Buffers are made on first use.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(capacity.next_power_of_two(), || None);
        Self {
            slots,
            newest: None,
            looks_back: 0,
        }
    }

    /// Counts for each packet that comes how many of the `looks_back` right before it are held: what comes later does
    /// not change that any more, so that a packet which repeats them can be made again, byte for byte.
    #[must_use]
    pub const fn counting_earlier(mut self, looks_back: u8) -> Self {
        self.looks_back = looks_back;
        self
    }

    /// Stores a packet; false where it is a duplicate or older than the window. Of a descriptor at most 255 bytes.
    /// Hot path.
    pub fn insert(&mut self, meta: PacketMeta, descriptor: &[u8], payload: &[u8]) -> bool {
        if let Some(newest) = self.newest
            && meta.seq <= newest
            && (newest.0 - meta.seq.0) as usize >= self.slots.len()
        {
            return false;
        }
        let (at, earlier) = (self.index(meta.seq), self.held_before(meta.seq));
        match &mut self.slots[at] {
            Some(slot) if slot.meta.seq == meta.seq => return false,
            Some(slot) => {
                slot.meta = meta;
                slot.came_marked = meta.marker;
                slot.earlier = earlier;
                slot.descriptor_bytes = descriptor.len() as u8;
                slot.payload.clear();
                slot.payload.extend_from_slice(descriptor);
                slot.payload.extend_from_slice(payload);
            }
            empty => {
                *empty = Some(Slot {
                    meta,
                    came_marked: meta.marker,
                    earlier,
                    descriptor_bytes: descriptor.len() as u8,
                    payload: [descriptor, payload].concat(),
                })
            }
        }
        self.newest = self.newest.max(Some(meta.seq));
        true
    }

    /// The packet with this number, if it is still held. Hot path.
    #[must_use]
    pub fn packet(&self, seq: MediaSeq) -> Option<(&PacketMeta, &[u8])> {
        let slot = self.slots[self.index(seq)].as_ref()?;
        let payload = &slot.payload[usize::from(slot.descriptor_bytes)..];
        (slot.meta.seq == seq).then_some((&slot.meta, payload))
    }

    /// The dependency descriptor of a packet; empty where it has none, or is not held any more.
    #[must_use]
    pub fn descriptor(&self, seq: MediaSeq) -> &[u8] {
        let slot = self.slots[self.index(seq)].as_ref();
        slot.filter(|slot| slot.meta.seq == seq)
            .map_or(&[], |slot| &slot.payload[..usize::from(slot.descriptor_bytes)])
    }

    /// Sets the marker bit of a packet that is still held; only before it has gone anywhere, because a repair must be the same
    /// bytes again.
    pub fn mark(&mut self, seq: MediaSeq) {
        let at = self.index(seq);
        if let Some(slot) = self.slots[at].as_mut().filter(|slot| slot.meta.seq == seq) {
            slot.meta.marker = true;
        }
    }

    /// A packet with the marker bit it came with: what another node has sealed is sealed again as it was.
    #[must_use]
    pub fn as_it_came(&self, seq: MediaSeq) -> Option<(PacketMeta, &[u8])> {
        let slot = self.slots[self.index(seq)].as_ref()?;
        let (mut meta, payload) = self.packet(seq).map(|(meta, payload)| (*meta, payload))?;
        meta.marker = slot.came_marked;
        Some((meta, payload))
    }

    /// How many packets right before this one were held when it came.
    #[must_use]
    pub fn earlier(&self, seq: MediaSeq) -> u8 {
        let slot = self.slots[self.index(seq)].as_ref();
        slot.filter(|slot| slot.meta.seq == seq)
            .map_or(0, |slot| slot.earlier)
    }

    fn held_before(&self, seq: MediaSeq) -> u8 {
        let held = |back: &u8| {
            let before = seq.0.checked_sub(u32::from(*back)).map(MediaSeq);
            before.is_some_and(|before| self.packet(before).is_some())
        };
        (1..=self.looks_back).take_while(held).count() as u8
    }

    /// The newest number ever stored.
    #[must_use]
    pub const fn newest(&self) -> Option<MediaSeq> {
        self.newest
    }

    fn index(&self, seq: MediaSeq) -> usize {
        seq.0 as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(seq: u32) -> PacketMeta {
        PacketMeta {
            seq: MediaSeq(seq),
            time: RtpTime(0),
            marker: false,
            keyframe: false,
            level: 0xff,
            position: SvcPosition::default(),
        }
    }

    #[test]
    fn a_duplicate_is_refused_and_a_late_packet_is_kept() {
        let mut cache = PacketCache::new(8);
        assert!(cache.insert(meta(10), &[], b"ten"));
        assert!(cache.insert(meta(12), &[], b"twelve"));
        assert!(!cache.insert(meta(10), &[], b"again"));
        assert!(cache.insert(meta(11), &[], b"late"));
        assert_eq!(cache.packet(MediaSeq(10)).unwrap().1, b"ten");
        assert_eq!(cache.newest(), Some(MediaSeq(12)));
    }

    #[test]
    fn what_comes_late_does_not_count_as_held_before() {
        let mut cache = PacketCache::new(8).counting_earlier(2);
        for seq in [10, 11, 12, 14, 13, 15] {
            assert!(cache.insert(meta(seq), &[], b"x"));
        }
        let earlier = |seq| cache.earlier(MediaSeq(seq));
        assert_eq!([10, 11, 12].map(earlier), [0, 1, 2]);
        assert_eq!([13, 14, 15].map(earlier), [2, 0, 2], "13 came after 14");
        assert_eq!(earlier(9), 0);
    }

    #[test]
    fn a_descriptor_is_kept_beside_the_payload() {
        let mut cache = PacketCache::new(2);
        for seq in [7, 9] {
            assert!(cache.insert(meta(seq), b"abc", b"payload"));
            assert!(cache.insert(meta(seq + 1), &[], b"other"));
        }
        assert_eq!(cache.descriptor(MediaSeq(9)), b"abc");
        assert_eq!(cache.packet(MediaSeq(9)).unwrap().1, b"payload");
        assert!(cache.descriptor(MediaSeq(10)).is_empty() && cache.descriptor(MediaSeq(7)).is_empty());
    }

    #[test]
    fn packets_older_than_the_window_are_refused_and_never_returned() {
        let mut cache = PacketCache::new(4);
        for seq in 100..106 {
            assert!(cache.insert(meta(seq), &[], &[seq as u8]));
        }
        assert!(cache.packet(MediaSeq(101)).is_none());
        assert!(!cache.insert(meta(101), &[], b"old"));
        assert_eq!(cache.packet(MediaSeq(105)).unwrap().1, &[105]);
    }
}
