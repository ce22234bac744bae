//! Recent packets of one published layer: what fan-out reads and what repairs are served from.
//!
//! One cache per published layer, never per viewer. Slots keep their buffers, so that a layer in steady state
//! allocates nothing.

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
}

#[derive(Debug)]
struct Slot {
    meta: PacketMeta,
    payload: Vec<u8>,
}

/// A ring of the last `capacity` sequence numbers. Memory: at most capacity × largest payload.
#[derive(Debug)]
pub struct PacketCache {
    slots: Vec<Option<Slot>>,
    newest: Option<MediaSeq>,
}

impl PacketCache {
    /// An empty cache of `capacity` packets (rounded up to a power of two). Buffers are made on first use.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(capacity.next_power_of_two(), || None);
        Self { slots, newest: None }
    }

    /// Stores a packet; false where it is a duplicate or older than the window. Hot path.
    pub fn insert(&mut self, meta: PacketMeta, payload: &[u8]) -> bool {
        if let Some(newest) = self.newest
            && meta.seq <= newest
            && (newest.0 - meta.seq.0) as usize >= self.slots.len()
        {
            return false;
        }
        let at = self.index(meta.seq);
        match &mut self.slots[at] {
            Some(slot) if slot.meta.seq == meta.seq => return false,
            Some(slot) => {
                slot.meta = meta;
                slot.payload.clear();
                slot.payload.extend_from_slice(payload);
            }
            empty => {
                *empty = Some(Slot {
                    meta,
                    payload: payload.to_vec(),
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
        (slot.meta.seq == seq).then_some((&slot.meta, slot.payload.as_slice()))
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
        }
    }

    #[test]
    fn a_duplicate_is_refused_and_a_late_packet_is_kept() {
        let mut cache = PacketCache::new(8);
        assert!(cache.insert(meta(10), b"ten"));
        assert!(cache.insert(meta(12), b"twelve"));
        assert!(!cache.insert(meta(10), b"again"));
        assert!(cache.insert(meta(11), b"late"));
        assert_eq!(cache.packet(MediaSeq(10)).unwrap().1, b"ten");
        assert_eq!(cache.newest(), Some(MediaSeq(12)));
    }

    #[test]
    fn packets_older_than_the_window_are_refused_and_never_returned() {
        let mut cache = PacketCache::new(4);
        for seq in 100..106 {
            assert!(cache.insert(meta(seq), &[seq as u8]));
        }
        assert!(cache.packet(MediaSeq(101)).is_none());
        assert!(!cache.insert(meta(101), b"old"));
        assert_eq!(cache.packet(MediaSeq(105)).unwrap().1, &[105]);
    }
}
