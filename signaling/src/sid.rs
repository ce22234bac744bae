//! Ids that clients see. Their prefixes matter: clients type-check them.

use relay_proto::id::{ParticipantSid, RoomName, TrackSid};

/// A source of random bytes; the shell passes the operating system's, tests a seeded one.
pub trait RandomSource {
    /// The next random bytes.
    fn bytes(&mut self) -> [u8; 8];
}

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Letters after the prefix: 71 bits in all, so that ids made on different nodes never meet.
const LENGTH: usize = 12;

/// A new id of a participant (`PA_…`).
pub fn participant(random: &mut dyn RandomSource) -> ParticipantSid {
    ParticipantSid(format!("PA_{}", letters(random)))
}

/// A new id of a track (`TR_…`).
pub fn track(random: &mut dyn RandomSource) -> TrackSid {
    TrackSid(format!("TR_{}", letters(random)))
}

/// The id of a room (`RM_…`): a function of its name, so that every node gives it the same without asking another.
/// Source: FNV-1a (64 bit), spread over 62 letters.
#[must_use]
pub fn room(name: &RoomName) -> String {
    let hash = |basis: u64| {
        name.as_str().bytes().fold(basis, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let both = (u128::from(hash(0xcbf2_9ce4_8422_2325)) << 64) | u128::from(hash(0x6c62_272e_07bb_0142));
    format!("RM_{}", spelled(both))
}

/// `LENGTH` random letters.
pub fn letters(random: &mut dyn RandomSource) -> String {
    let both = (u128::from(u64::from_be_bytes(random.bytes())) << 64)
        | u128::from(u64::from_be_bytes(random.bytes()));
    spelled(both)
}

fn spelled(mut number: u128) -> String {
    let base = LETTERS.len() as u128;
    (0..LENGTH)
        .map(|_| {
            let letter = LETTERS[(number % base) as usize];
            number /= base;
            char::from(letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u64);

    impl RandomSource for Counting {
        fn bytes(&mut self) -> [u8; 8] {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.0.to_be_bytes()
        }
    }

    #[test]
    fn ids_have_prefix_and_length_and_differ() {
        let mut random = Counting(1);
        let (a, b) = (participant(&mut random), participant(&mut random));
        assert!(a.as_str().starts_with("PA_") && a.as_str().len() == 15);
        assert_ne!(a, b);
        assert!(track(&mut random).as_str().starts_with("TR_"));
    }

    #[test]
    fn a_room_has_the_same_id_everywhere_and_another_room_another() {
        let room_id = |name: &str| room(&RoomName::from(name));
        assert_eq!(room_id("standup"), room_id("standup"));
        assert_ne!(room_id("standup"), room_id("standuq"));
        assert!(room_id("").starts_with("RM_"));
    }
}
