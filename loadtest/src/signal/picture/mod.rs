//! Frames that carry a sender and a frame number, and their reader.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use thiserror::Error;

use super::{NotASender, SenderId};

/// Blocks side by side: one bit each, most significant first.
pub const COLUMNS: usize = 8;

/// Blocks one above the other.
pub const ROWS: usize = 4;

/// Frames per second of a written picture.
pub const FRAMES_PER_SECOND: u32 = 15;

/// Frames after which the frame number starts again.
pub const FRAMES_PER_CYCLE: u32 = 256;

/// What row 0 shows, as bits.
const SYNC: u8 = 0b1011_0010;

const BLACK_LUMA: u8 = 32;
const WHITE_LUMA: u8 = 220;

/// Width and height of a picture that divides into the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSize {
    width: u32,
    height: u32,
}

/// The size cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a size: write WIDTHxHEIGHT, the width a multiple of 8 from 32 to 3840, \
     the height a multiple of 4 from 16 to 2160"
)]
pub struct NotASize(String);

impl PictureSize {
    /// Takes multiples of 8 x 4 from 32 x 16 to 3840 x 2160 pixels.
    ///
    /// # Errors
    /// [`NotASize`] for all others.
    pub fn new(width: u32, height: u32) -> Result<Self, NotASize> {
        let divides = width.is_multiple_of(COLUMNS as u32) && height.is_multiple_of(ROWS as u32);
        if divides && (32..=3840).contains(&width) && (16..=2160).contains(&height) {
            Ok(Self { width, height })
        } else {
            Err(NotASize(format!("{width}x{height}")))
        }
    }

    /// Pixels from left to right.
    pub fn width(self) -> usize {
        self.width as usize
    }

    /// Pixels from top to bottom.
    pub fn height(self) -> usize {
        self.height as usize
    }
}

impl Default for PictureSize {
    fn default() -> Self {
        Self {
            width: 320,
            height: 180,
        }
    }
}

impl FromStr for PictureSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let refused = || NotASize(text.to_owned());
        let (width, height) = text.split_once('x').ok_or_else(refused)?;
        let parse = |number: &str| number.parse::<u32>().map_err(|_| refused());
        Self::new(parse(width)?, parse(height)?)
    }
}

/// What a picture says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Who sent it.
    pub sender: SenderId,
    /// Its number, counted from 0 and modulo 256.
    pub frame: u8,
}

/// Why a picture says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Row 2 is not the complement of row 1: damaged.
    #[error("the sender and its complement do not fit together")]
    Complement,
    /// Row 0 is not the pattern: not a test picture, or damaged.
    #[error("the first row is not the sync pattern")]
    Sync,
    /// Too few pixels, or fewer bytes than width, height and stride promise.
    #[error("the picture is too small for an 8 x 4 grid, or its buffer is too short")]
    Size,
    /// The number is not one of a sender.
    #[error(transparent)]
    Sender(#[from] NotASender),
}

/// Draws the luma plane of one frame, row by row without padding.
pub fn draw(mark: Mark, size: PictureSize) -> Vec<u8> {
    let rows = [SYNC, mark.sender.number(), !mark.sender.number(), mark.frame];
    let mut luma = Vec::with_capacity(size.width() * size.height());
    for y in 0..size.height() {
        let bits = rows[y * ROWS / size.height()];
        for x in 0..size.width() {
            let white = bits & (0x80 >> (x * COLUMNS / size.width())) != 0;
            luma.push(if white { WHITE_LUMA } else { BLACK_LUMA });
        }
    }
    luma
}

/// A luma plane of any size, for example of a decoded and scaled frame.
#[derive(Debug, Clone, Copy)]
pub struct LumaPlane<'a> {
    /// The samples.
    pub samples: &'a [u8],
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Bytes from the start of one row to the next, at least the width.
    pub stride: usize,
}

/// Reads a picture: averages the middle half of each block, splits black from white half-way between the
/// extremes of row 0, and accepts only if rows 0 to 2 are consistent. Costs one pass over a quarter of the
/// pixels.
///
/// # Errors
/// [`Unreadable`] says which check failed.
pub fn read(plane: LumaPlane<'_>) -> Result<Mark, Unreadable> {
    const FEWEST_PIXELS_PER_BLOCK: usize = 2;
    let LumaPlane {
        samples,
        width,
        height,
        stride,
    } = plane;
    let needed = stride
        .checked_mul(height.saturating_sub(1))
        .and_then(|bytes| bytes.checked_add(width));
    let fits = needed.is_some_and(|needed| samples.len() >= needed) && stride >= width;
    if !fits || width < COLUMNS * FEWEST_PIXELS_PER_BLOCK || height < ROWS * FEWEST_PIXELS_PER_BLOCK {
        return Err(Unreadable::Size);
    }
    let sync_lumas: [f64; COLUMNS] = std::array::from_fn(|column| block_mean(plane, column, 0));
    let darkest = sync_lumas.iter().copied().fold(f64::INFINITY, f64::min);
    let brightest = sync_lumas.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let threshold = f64::midpoint(darkest, brightest);
    let row_bits = |row| {
        (0..COLUMNS).fold(0_u8, |bits, column| {
            bits << 1 | u8::from(block_mean(plane, column, row) > threshold)
        })
    };
    if row_bits(0) != SYNC {
        return Err(Unreadable::Sync);
    }
    let number = row_bits(1);
    if row_bits(2) != !number {
        return Err(Unreadable::Complement);
    }
    Ok(Mark {
        sender: SenderId::new(number)?,
        frame: row_bits(3),
    })
}

/// Mean luma of the middle half (in both directions) of a block.
fn block_mean(plane: LumaPlane<'_>, column: usize, row: usize) -> f64 {
    let (left, right) = middle(column, plane.width, COLUMNS);
    let (top, bottom) = middle(row, plane.height, ROWS);
    let rows = (top..bottom).map(|y| &plane.samples[y * plane.stride + left..y * plane.stride + right]);
    let sum: u64 = rows.flatten().map(|sample| u64::from(*sample)).sum();
    sum as f64 / ((right - left) * (bottom - top)) as f64
}

/// From the first to the third quarter of part `index` of `count` parts, at least one pixel.
fn middle(index: usize, pixels: usize, count: usize) -> (usize, usize) {
    let start = (4 * index + 1) * pixels / (4 * count);
    let end = (4 * index + 3) * pixels / (4 * count);
    (start, end.max(start + 1))
}
