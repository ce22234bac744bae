//! All directed links of a running emulator with what is under way on them: the bookkeeping that the relay and
//! the namespaces share. What a link does to a packet is decided by [`Link`]; sockets and devices are elsewhere.

use std::time::Instant;

use super::command::{Between, Command};
use super::error::WanError;
use super::handle::Answer;
use super::in_flight::{InFlight, Packet};
use super::model::{Link, LinkProperties, PacketBytes, Verdict};
use super::stats::{LinkStats, WanStats};

/// One directed link with its counters.
struct DirectedLink {
    link: Link,
    /// How often the link was cut; packets that set out before a cut are lost to it.
    cuts: u32,
    stats: LinkStats,
}

/// How a packet left the emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its link was cut while it was under way.
    CutOff,
    Delivered,
    /// With its copy.
    DeliveredTwice,
    /// The system did not take it.
    Unsent,
}

/// The links, in the order they were added, and the packets on them. `W` says how a packet leaves.
pub(super) struct Links<W> {
    links: Vec<DirectedLink>,
    in_flight: InFlight<W>,
}

impl<W> Default for Links<W> {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            in_flight: InFlight::default(),
        }
    }
}

impl<W> Links<W> {
    /// Adds a link, with a stream of randomness that depends on `seed` and its two names alone.
    pub(super) fn add(&mut self, from: &str, to: &str, properties: &LinkProperties, seed: u64) {
        self.links.push(DirectedLink {
            link: Link::new(properties.clone(), seed_of(from, to, seed)),
            cuts: 0,
            stats: LinkStats {
                from: from.to_owned(),
                to: to.to_owned(),
                ..LinkStats::default()
            },
        });
    }

    /// Offers a packet to the link `index`; `bytes` are what is delivered and counted, `size` is what occupies
    /// the line. Copies the bytes if they are to arrive.
    pub(super) fn offer(&mut self, index: usize, now: Instant, size: PacketBytes, way: W, bytes: &[u8]) {
        let DirectedLink { link, cuts, stats } = &mut self.links[index];
        stats.offered.add(bytes.len());
        if stats.cut {
            stats.cut_off += 1;
            return;
        }
        let (due, held_back, twice) = match link.offer(now, size) {
            Verdict::Deliver {
                due,
                held_back,
                twice,
            } => (due, held_back, twice),
            Verdict::Lost => {
                stats.lost += 1;
                return;
            }
            Verdict::QueueFull => {
                stats.queue_full += 1;
                return;
            }
        };
        stats.held_back += u64::from(held_back);
        let packet = Packet {
            due,
            link: index,
            cuts: *cuts,
            twice,
            way,
            bytes: bytes.into(),
        };
        if self.in_flight.push(packet) {
            stats.in_flight += 1;
        } else {
            stats.refused += 1;
        }
    }

    /// Counts a packet that the emulator itself cannot carry.
    pub(super) fn refuse(&mut self, index: usize, bytes: usize) {
        let stats = &mut self.links[index].stats;
        stats.offered.add(bytes);
        stats.refused += 1;
    }

    /// When the next packet is due.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.in_flight.earliest()
    }

    /// Takes a packet that is due by `now`; the caller must [`Self::settle`] it.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Packet<W>> {
        self.in_flight.pop_due(now)
    }

    /// Sends a packet from [`Self::pop_due`], and its copy, with `send` (which says whether the system took it)
    /// unless its link was cut meanwhile, and counts what became of it.
    pub(super) fn settle(&mut self, packet: &Packet<W>, mut send: impl FnMut() -> bool) -> Fate {
        let DirectedLink { cuts, stats, .. } = &mut self.links[packet.link];
        let fate = if packet.cuts != *cuts {
            Fate::CutOff
        } else if !send() {
            Fate::Unsent
        } else if packet.twice && send() {
            Fate::DeliveredTwice
        } else {
            Fate::Delivered
        };
        stats.in_flight -= 1;
        match fate {
            Fate::CutOff => stats.cut_off += 1,
            Fate::Unsent => stats.unsent += 1,
            Fate::Delivered | Fate::DeliveredTwice => stats.delivered.add(packet.bytes.len()),
        }
        stats.duplicated += u64::from(fate == Fate::DeliveredTwice);
        fate
    }

    /// Obeys a command. `rest` gives the counters that do not belong to links.
    pub(super) fn obey(
        &mut self,
        command: &Command,
        rest: impl FnOnce() -> WanStats,
    ) -> Result<Answer, WanError> {
        match command {
            Command::Cut(between) => self.on_each(between, |link| {
                link.cuts = link.cuts.wrapping_add(1);
                link.stats.cut = true;
            }),
            Command::Heal(between) => self.on_each(between, |link| link.stats.cut = false),
            Command::Set(between, change) => self.on_each(between, |link| {
                link.link.change(change.applied_to(link.link.properties()));
            }),
            Command::Stats => Ok(Answer::Stats(self.stats(rest()))),
        }
    }

    /// The counters of all links, and `rest`.
    pub(super) fn stats(&self, rest: WanStats) -> WanStats {
        WanStats {
            links: self.links.iter().map(|link| link.stats.clone()).collect(),
            ..rest
        }
    }

    /// Does something to every link meant, or to none if one of them does not exist.
    fn on_each(&mut self, between: &Between, change: impl Fn(&mut DirectedLink)) -> Result<Answer, WanError> {
        let index_of = |(from, to): (&str, &str)| {
            let is_meant = |link: &DirectedLink| link.stats.from == from && link.stats.to == to;
            let found = self.links.iter().position(is_meant);
            found.ok_or_else(|| WanError::UnknownLink {
                from: from.to_owned(),
                to: to.to_owned(),
            })
        };
        let meant = between.directions().into_iter().map(index_of);
        for index in meant.collect::<Result<Vec<_>, _>>()? {
            change(&mut self.links[index]);
        }
        Ok(Answer::Done)
    }
}

/// A seed per link that depends on its name alone, so that adding a link leaves the others' losses as they
/// were (FNV-1a over the names).
fn seed_of(from: &str, to: &str, seed: u64) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    let bytes = from.bytes().chain([b'>']).chain(to.bytes());
    bytes.fold(BASIS ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wan::model::Probability;

    fn one_link(properties: LinkProperties) -> Links<()> {
        let mut links = Links::default();
        links.add("a", "b", &properties, 1);
        links
    }

    fn offer(links: &mut Links<()>, now: Instant) {
        links.offer(0, now, PacketBytes::of_ip_packet(10), (), &[0; 10]);
    }

    #[test]
    fn a_packet_with_a_copy_is_delivered_once_and_duplicated_once() {
        let mut links = one_link(LinkProperties {
            duplicate: Probability::ONE,
            ..LinkProperties::default()
        });
        let now = Instant::now();
        offer(&mut links, now);
        let packet = links.pop_due(now).unwrap();
        let mut sends = 0;
        let fate = links.settle(&packet, || {
            sends += 1;
            true
        });
        assert_eq!((fate, sends), (Fate::DeliveredTwice, 2));
        let stats = &links.stats(WanStats::default()).links[0];
        assert_eq!(
            (stats.delivered.datagrams, stats.duplicated, stats.in_flight),
            (1, 1, 0)
        );
    }

    #[test]
    fn what_set_out_before_a_cut_is_not_sent_after_it() {
        let mut links = one_link(LinkProperties::default());
        let now = Instant::now();
        offer(&mut links, now);
        let cut = Command::Cut(Between::one_way("a", "b"));
        links.obey(&cut, WanStats::default).unwrap();
        links
            .obey(&Command::Heal(Between::one_way("a", "b")), WanStats::default)
            .unwrap();
        let packet = links.pop_due(now).unwrap();
        let fate = links.settle(&packet, || panic!("it must not be sent"));
        assert_eq!(fate, Fate::CutOff);
        let unknown = Command::Cut(Between::both("a", "b"));
        assert!(links.obey(&unknown, WanStats::default).is_err());
    }
}
