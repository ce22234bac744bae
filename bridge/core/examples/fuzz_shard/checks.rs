//! Connectivity checks and datagrams of no kind, from addresses known and unknown.

use crate::fuzzing::{Random, Tally, throwing};
use crate::world::{World, address, publisher_and_viewer, session};
use bridge_core::rtc::testing::{OfferBuilder, connectivity_check};
use std::net::SocketAddr;

const INPUTS: u64 = 3_000;

/// First bytes of everything a port can get (RFC 7983), and of what it cannot.
const FIRST: [u8; 12] = [0, 1, 3, 19, 20, 22, 25, 63, 64, 128, 144, 191];

/// One round.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut world = World::new(random.next());
    publisher_and_viewer(&mut world);
    world.open(3);
    world.offer(session(3), OfferBuilder::first_join().build());
    let ufrag = world.answered_line("a=ice-ufrag:").unwrap_or_default();
    let password = world.answered_line("a=ice-pwd:").unwrap_or_default();
    let mut accepted = 0;
    for number in 0..INPUTS {
        let mut bytes = match random.below(3) {
            0 => {
                let mut noise = random.noise(200);
                noise.insert(0, random.of(&FIRST));
                noise
            }
            1 => connectivity_check(number, &ufrag, "a wrong password it is", true),
            _ => connectivity_check(number, &ufrag, &password, random.once_in(2)),
        };
        if random.once_in(2) {
            random.damage(&mut bytes);
        }
        let from = match random.below(3) {
            0 => address(1 + random.below(3) as u32),
            _ => SocketAddr::from(([192, 0, 2, random.byte()], random.next() as u16)),
        };
        throwing(&bytes);
        world.sent.clear();
        world.datagram(from, bytes);
        // A response of a check (RFC 8489 section 5).
        accepted += u64::from(
            world
                .sent
                .iter()
                .any(|(to, sent)| *to == from && sent.starts_with(&[1, 1])),
        );
        if random.once_in(50) {
            world.pass(1);
        }
    }
    Tally {
        inputs: INPUTS,
        accepted,
    }
}
