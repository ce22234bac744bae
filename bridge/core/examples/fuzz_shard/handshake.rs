//! DTLS records of every moment of a handshake, damaged, repeated, late and out of order.

use crate::client::Client;
use crate::fuzzing::{Random, Tally, throwing};
use crate::world::World;
use bridge_core::shard::io::ShardCommand;

/// Handshakes of one round.
const HANDSHAKES: usize = 12;
/// Steps of 10 ms of each.
const STEPS: usize = 60;

/// One round.
pub(crate) fn round(random: &mut Random) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..HANDSHAKES {
        let mut world = World::new(random.next());
        let mut client = Client::new(&mut world, random.once_in(2));
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for _ in 0..STEPS {
            world.pass(1);
            if !client.step(&mut world) {
                break;
            }
            let packets = std::mem::take(&mut client.packets);
            for packet in packets {
                client.protect(&world, &packet);
            }
            for datagram in std::mem::take(&mut client.outbox) {
                seen.push(datagram.clone());
                for _ in 0..random.below(4) {
                    let mut hostile = hostile(random, &seen);
                    hostile.truncate(2_000);
                    throwing(&hostile);
                    world.datagram(client.address, hostile);
                    tally.inputs += 1;
                }
                if !random.once_in(10) {
                    world.datagram(client.address, datagram);
                }
            }
            if seen.len() > 100 {
                break;
            }
        }
        tally.accepted += u64::from(client.connected);
        world.command(ShardCommand::CloseSession {
            session: crate::world::session(1),
        });
    }
    tally
}

fn hostile(random: &mut Random, seen: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.of(seen);
    match random.below(6) {
        0 => {}
        1 => bytes.extend(random.of(seen)),
        2 => {
            // A record with noise that is as long as it says.
            let noise = random.noise(200);
            bytes = vec![
                random.of(&[20, 21, 22, 23, 25, 26, 0x2c, 0x3f]),
                0xfe,
                random.of(&[0xfd, 0xff, 0xfc]),
            ];
            bytes.extend_from_slice(&[0, random.byte() & 1, 0, 0, 0, 0, 0, random.byte()]);
            bytes.extend_from_slice(&(noise.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&noise);
        }
        _ => {
            random.damage(&mut bytes);
            mend_length(&mut bytes);
        }
    }
    bytes
}

/// Makes the first record as long as the datagram, so that damage is not caught by the length alone.
fn mend_length(bytes: &mut [u8]) {
    const HEADER: usize = 13;
    if let Some(body) = bytes.len().checked_sub(HEADER)
        && matches!(bytes.first(), Some(20..=26))
    {
        bytes[11..13].copy_from_slice(&(body as u16).to_be_bytes());
    }
}
