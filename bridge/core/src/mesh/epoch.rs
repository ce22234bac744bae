//! Epochs and seal keys of the rooms this node opens.

use aws_lc_rs::hkdf;
use relay_proto::id::{Epoch, RoomName};
use relay_proto::room::SealKey;
use std::collections::BTreeMap;

/// Gives every opening of a room its epoch and key.
///
/// An epoch is the second of the opening, or one more than the room's last where that is not yet past. So a
/// restarted node is newer without having stored anything, and what is remembered of closed rooms is only what
/// the clock has not overtaken.
#[derive(Debug)]
pub(super) struct EpochSource {
    secret: hkdf::Prk,
    recent: BTreeMap<RoomName, Epoch>,
}

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

impl EpochSource {
    /// A source of keys that nobody without `seed` can guess.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"causeway room seal");
        Self {
            secret: salt.extract(seed),
            recent: BTreeMap::new(),
        }
    }

    /// The epoch and key of `room`, opened in the second `unix_s` since 1970.
    pub(super) fn open(&mut self, room: &RoomName, unix_s: u32) -> (Epoch, SealKey) {
        self.recent.retain(|_, epoch| epoch.0 >= unix_s);
        let epoch = match self.recent.get(room) {
            Some(last) => Epoch(unix_s.max(last.0.saturating_add(1))),
            None => Epoch(unix_s),
        };
        self.recent.insert(room.clone(), epoch);
        (epoch, self.key(room, epoch))
    }

    fn key(&self, room: &RoomName, epoch: Epoch) -> SealKey {
        let mut key = [0; 32];
        let epoch = epoch.0.to_be_bytes();
        self.secret
            .expand(&[&epoch, room.as_str().as_bytes()], KeyLength)
            .and_then(|okm| okm.fill(&mut key))
            .expect("invariant: HKDF-SHA256 expands to 32 bytes (RFC 5869 allows 8,160)");
        SealKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::EpochSource;
    use relay_proto::id::{Epoch, RoomName};

    #[test]
    fn a_room_reopened_in_the_same_second_gets_a_newer_epoch_and_another_key() {
        let mut source = EpochSource::new(&[7; 32]);
        let room = RoomName::from("r");
        let (first, first_key) = source.open(&room, 100);
        let (second, second_key) = source.open(&room, 100);
        let (third, _) = source.open(&room, 101);
        assert_eq!((first, second, third), (Epoch(100), Epoch(101), Epoch(102)));
        assert_ne!(first_key, second_key);
    }

    #[test]
    fn keys_differ_between_rooms_and_seeds_and_repeat_with_the_seed() {
        let key = |seed: u8, room: &str| EpochSource::new(&[seed; 32]).open(&room.into(), 5).1;
        assert_ne!(key(1, "a"), key(1, "b"));
        assert_ne!(key(1, "a"), key(2, "a"));
        assert_eq!(key(1, "a"), key(1, "a"));
    }

    #[test]
    fn closed_rooms_are_forgotten_once_the_clock_has_passed_them() {
        let mut source = EpochSource::new(&[0; 32]);
        for n in 0..1_000_u32 {
            source.open(&RoomName(format!("room {n}")), n);
        }
        assert_eq!(source.recent.len(), 1);
    }
}
