//! From a link's datagram to a packet.

use crate::forward::cache::PacketMeta;
use crate::forward::svc::SvcPosition;
use crate::forward::track::Incoming;
use relay_proto::datagram::{DatagramError, HEADER_BYTES, Header, MediaBody, Piece};
use relay_proto::id::{Epoch, Layer};
use relay_proto::seal::{BrokenSeal, Seal};
use std::collections::VecDeque;

/// Half packets that wait for their other half, per origin and room; the oldest goes first.
const MAX_PIECES: usize = 64;

/// What a node knows of one origin in one room.
#[derive(Debug)]
pub struct Origin {
    epoch: Epoch,
    seal: Seal,
    pieces: VecDeque<(Header, Vec<u8>)>,
}

/// Why a datagram is dropped. Always the peer's or the network's doing: counted, never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngressError {
    /// From an older epoch of its origin: a packet of the dead.
    #[error("datagram of an older epoch")]
    Stale,
    /// The seal does not open.
    #[error(transparent)]
    Seal(#[from] BrokenSeal),
    /// The opened body makes no sense.
    #[error(transparent)]
    Body(#[from] DatagramError),
}

impl Origin {
    /// An origin in its `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, seal: Seal) -> Self {
        Self {
            epoch,
            seal,
            pieces: VecDeque::new(),
        }
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The sealed body of a datagram; none while its other half is missing. `whole` holds joined halves.
    ///
    /// # Errors
    /// [`IngressError::Stale`].
    pub fn assemble<'a>(
        &mut self,
        header: &Header,
        datagram: &'a mut [u8],
        whole: &'a mut Vec<u8>,
    ) -> Result<Option<&'a mut [u8]>, IngressError> {
        if header.epoch != self.epoch.low_byte() {
            return Err(IngressError::Stale);
        }
        Ok(match header.piece {
            Piece::Whole => Some(&mut datagram[HEADER_BYTES..]),
            Piece::First | Piece::Second => self
                .join(header, &datagram[HEADER_BYTES..], whole)
                .then_some(whole.as_mut_slice()),
        })
    }

    /// Opens a sealed body in place.
    ///
    /// # Errors
    /// [`IngressError::Seal`].
    pub fn unseal<'a>(&self, header: &Header, sealed: &'a mut [u8]) -> Result<&'a [u8], IngressError> {
        let len = self.seal.open(&header.encode(), sealed)?;
        Ok(&sealed[..len])
    }

    /// [`Self::assemble`] and [`Self::unseal`].
    ///
    /// # Errors
    /// See [`IngressError`].
    pub fn open<'a>(
        &mut self,
        header: &Header,
        datagram: &'a mut [u8],
        whole: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, IngressError> {
        match self.assemble(header, datagram, whole)? {
            Some(sealed) => self.unseal(header, sealed).map(Some),
            None => Ok(None),
        }
    }

    /// What its packets are sealed with.
    #[must_use]
    pub const fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Puts a half to its other half in `whole`; false where that is not here yet.
    fn join(&mut self, header: &Header, body: &[u8], whole: &mut Vec<u8>) -> bool {
        let same = |other: &Header| {
            (other.track, other.layer, other.seq, other.kind)
                == (header.track, header.layer, header.seq, header.kind)
        };
        let Some(at) = self.pieces.iter().position(|(other, _)| same(other)) else {
            if self.pieces.len() == MAX_PIECES {
                self.pieces.pop_front();
            }
            self.pieces.push_back((*header, body.to_vec()));
            return false;
        };
        if self.pieces[at].0.piece == header.piece {
            return false;
        }
        let Some((_, other)) = self.pieces.remove(at) else {
            return false;
        };
        let (first, second) = if header.piece == Piece::First {
            (body, &other[..])
        } else {
            (&other[..], body)
        };
        whole.clear();
        whole.extend_from_slice(first);
        whole.extend_from_slice(second);
        true
    }
}

/// The packet in an opened media body.
///
/// # Errors
/// [`IngressError::Body`].
pub fn packet<'a>(header: &Header, body: &'a [u8]) -> Result<(Incoming<'a>, MediaBody<'a>), IngressError> {
    let media = MediaBody::decode(body, header.audio)?;
    let meta = PacketMeta {
        seq: header.seq,
        time: header.time,
        marker: header.marker,
        keyframe: header.keyframe,
        level: body[0],
        position: SvcPosition::default(),
    };
    Ok((
        Incoming {
            layer: Layer(header.layer.0),
            meta,
            descriptor: media.descriptor,
            payload: media.payload,
        },
        media,
    ))
}
