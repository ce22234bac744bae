//! Sound that needs no round trip: over long links a few datagrams of sound are followed by their parity, from which the
//! next node makes one of them that was lost.
//!
//! Repair takes a round trip of the link, which over an ocean is longer than a viewer's buffer. One parity for every few
//! datagrams (an exclusive or, as in RFC 5109) costs a part of what sound takes and mends a lone loss when the parity comes.
//! [`ParitySender`] decides when that is worth it; [`ParityReceiver`] keeps what has come lately. Both are of one link and
//! know datagrams by their headers alone.
//!
//! What may not live here: sockets, repair by asking again (that goes on beside it).

use bytes::Bytes;
use relay_proto::datagram::{
    Header, Kind, MAX_PARITY_MEMBERS, ParityMember, Piece, decode_parity, encode_parity,
};
use relay_proto::unit::PartsPerMillion;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Round trip from which on sound is given parities: below it a repair comes soon enough.
const LONG: Duration = Duration::from_millis(150);
/// Share of loss below which a link is clean.
const CLEAN: PartsPerMillion = PartsPerMillion(200);
/// How long a link must have been clean before parities end.
const LINGER: Duration = Duration::from_secs(10);
/// A group ends so long after its first datagram, complete or not.
const GROUP_TIME: Duration = Duration::from_millis(8);
/// From which share of loss on how many datagrams have one parity; beyond these, [`MAX_PARITY_MEMBERS`].
const SIZES: [(PartsPerMillion, usize); 2] = [(PartsPerMillion(20_000), 2), (PartsPerMillion(4_000), 4)];
/// Datagrams of sound remembered to make lost ones from: more than come in the time of a group.
const REMEMBERED: usize = 128;

/// Makes parities of the sound that is sent on a link.
#[derive(Debug, Default)]
pub struct ParitySender {
    /// Datagrams for one parity; none where the link needs no parities.
    size: Option<usize>,
    lossy_at: Option<Instant>,
    members: Vec<ParityMember>,
    parity: Vec<u8>,
    ends_at: Option<Instant>,
}

impl ParitySender {
    /// Decides from a link's round trip and loss whether its sound has parities, and how many.
    pub fn adapt(&mut self, now: Instant, rtt: Duration, loss: PartsPerMillion) {
        if loss >= CLEAN {
            self.lossy_at = Some(now);
        }
        let lossy = self
            .lossy_at
            .is_some_and(|at| now.saturating_duration_since(at) < LINGER);
        let size = || {
            let of_loss = SIZES.into_iter().find(|(least, _)| loss >= *least);
            of_loss.map_or(MAX_PARITY_MEMBERS, |(_, size)| size)
        };
        self.size = (lossy && rtt >= LONG).then(size);
    }

    /// Whether sound has parities now.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.size.is_some()
    }

    /// A datagram of sound is sent; a parity that is complete with it. Allocates only where there is one.
    pub fn sent(&mut self, now: Instant, header: &Header, datagram: &[u8]) -> Option<Vec<u8>> {
        let size = self.size?;
        let len = u16::try_from(datagram.len()).ok()?;
        self.ends_at.get_or_insert(now + GROUP_TIME);
        self.members.push(ParityMember {
            origin: header.origin,
            track: header.track,
            seq: header.seq,
            len,
        });
        exclusive_or(&mut self.parity, datagram);
        if self.members.len() >= size {
            self.end()
        } else {
            None
        }
    }

    /// When [`Self::poll_due`] has something.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.ends_at
    }

    /// The parity of a group that has lasted long enough.
    pub fn poll_due(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.ends_at? > now { None } else { self.end() }
    }

    fn end(&mut self) -> Option<Vec<u8>> {
        self.ends_at = None;
        let parity = encode_parity(&self.members, &self.parity);
        self.members.clear();
        self.parity.clear();
        Some(parity)
    }
}

/// Makes lost datagrams of a link from what came and from parities.
#[derive(Debug, Default)]
pub struct ParityReceiver {
    recent: VecDeque<(ParityMember, Bytes)>,
}

impl ParityReceiver {
    /// Whether a datagram is one that parities are of.
    #[must_use]
    pub fn concerns(header: &Header) -> bool {
        header.kind == Kind::Media && header.audio && header.piece == Piece::Whole
    }

    /// A datagram of sound has come.
    pub fn received(&mut self, header: &Header, datagram: Bytes) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        let member = ParityMember {
            origin: header.origin,
            track: header.track,
            seq: header.seq,
            len: datagram.len() as u16,
        };
        self.recent.push_back((member, datagram));
    }

    /// The datagram that a parity (by its body) brings back, with its header; none where nothing or more than one is missing, or
    /// where it makes no sense. Cost: [`MAX_PARITY_MEMBERS`] times what is remembered.
    pub fn recover(&mut self, body: &[u8]) -> Option<(Header, Bytes)> {
        let (members, parity) = decode_parity(body).ok()?;
        let mut rebuilt = parity.to_vec();
        let mut missing = None;
        for member in members {
            match self.recent.iter().rev().find(|(other, _)| *other == member) {
                Some((_, datagram)) => exclusive_or(&mut rebuilt, datagram),
                None if missing.is_none() => missing = Some(member),
                None => return None,
            }
        }
        let missing = missing?;
        rebuilt.truncate(usize::from(missing.len));
        let (header, _) = Header::decode(&rebuilt).ok()?;
        let is_it = (header.origin, header.track, header.seq) == (missing.origin, missing.track, missing.seq);
        if !is_it || !Self::concerns(&header) {
            return None;
        }
        let datagram = Bytes::from(rebuilt);
        self.received(&header, datagram.clone());
        Some((header, datagram))
    }
}

fn exclusive_or(into: &mut Vec<u8>, datagram: &[u8]) {
    if into.len() < datagram.len() {
        into.resize(datagram.len(), 0);
    }
    for (sum, byte) in into.iter_mut().zip(datagram) {
        *sum ^= byte;
    }
}

#[cfg(test)]
mod tests;
