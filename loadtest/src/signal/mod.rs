//! A picture and a tone from which a receiver reads who sent them, and the readers.
//!
//! The **picture** is a grid of 8 x 4 black and white blocks: row 0 a fixed pattern, row 1 the sender, row 2
//! its complement, row 3 the number of the frame. It survives scaling and lossy codecs. The **tone** has a
//! frequency per sender and goes on and off, so that noise suppression does not take it for noise. Everything
//! here is pure: bytes and samples in, bytes and samples out. Files are written through `io::Write` given by
//! the caller.

pub mod picture;
pub mod sound;
mod wav;
mod y4m;

pub use wav::write_wav;
pub use y4m::write_y4m;

use thiserror::Error;

/// Who sends a test signal: 0 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SenderId(u8);

/// The number is not one of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a sender is a number from 0 to 15, not {0}")]
pub struct NotASender(pub u8);

impl SenderId {
    /// How many senders can be told apart.
    pub const COUNT: u8 = 16;

    /// Takes a number from 0 to 15.
    ///
    /// # Errors
    /// [`NotASender`] for a larger one.
    pub fn new(number: u8) -> Result<Self, NotASender> {
        if number < Self::COUNT {
            Ok(Self(number))
        } else {
            Err(NotASender(number))
        }
    }

    /// The number, 0 to 15.
    pub fn number(self) -> u8 {
        self.0
    }

    /// All senders in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}
