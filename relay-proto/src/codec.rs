//! How control messages become bytes: a length-framed stream of bincode 2.0.1, with limits.
//!
//! A frame is a 4-byte big-endian length of what follows, one byte codec version, and the message. bincode is
//! unmaintained (RUSTSEC-2025-0141); it is confined to this module, and postcard is its named successor. Its two
//! traps are closed here: every decode has a byte limit, and trailing bytes are an error. A third (zero-sized
//! elements make a tiny frame claim billions of them) is closed by the types: none of ours is zero-sized in a `Vec`.
//!
//! Both directions check the message against [`crate::limit`], so what one side encodes the other accepts.

use crate::control::{ControlMessage, DetourStep};
use crate::limit::LimitError;
use crate::row::Row;
use bincode::config::{self, Config};

/// Version byte of the codec.
pub const CODEC_VERSION: u8 = 1;
/// Largest frame, without its length word.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Most memory one message may claim while it is decoded, in bytes.
///
/// More than a frame, because bincode counts a list by the memory of its elements and a number by its type: an
/// empty participant takes 50 bytes on the wire and 300 in memory. The limits of [`crate::limit`] stay below it.
pub const MAX_DECODED_BYTES: usize = 4 << 20;

const LENGTH_BYTES: usize = 4;

fn configuration() -> impl Config {
    config::standard()
        .with_big_endian()
        .with_variable_int_encoding()
        .with_limit::<MAX_DECODED_BYTES>()
}

/// Why bytes are no control message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The frame claims more than [`MAX_FRAME_BYTES`].
    #[error("frame of {0} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLong(usize),
    /// The frame has no version byte.
    #[error("empty frame")]
    Empty,
    /// The codec version is not ours.
    #[error("codec version {0} is not spoken here")]
    Version(u8),
    /// The message does not decode.
    #[error("malformed control message: {0}")]
    Malformed(String),
    /// The message ends before its frame does.
    #[error("{0} bytes after the end of a control message")]
    Trailing(usize),
    /// The message is well-formed and too big in some part, or contradicts itself.
    #[error("refused control message: {0}")]
    Limit(#[from] LimitError),
}

/// The frame of `message`, length word included.
///
/// # Errors
/// [`CodecError::Limit`] and [`CodecError::TooLong`] where a part or the whole is over a limit: the caller must
/// split it. The peer would close the link on such a message.
pub fn encode(message: &ControlMessage) -> Result<Vec<u8>, CodecError> {
    message.validate()?;
    let body =
        bincode::encode_to_vec(message, configuration()).map_err(|e| CodecError::Malformed(e.to_string()))?;
    let len = body.len() + 1;
    if len > MAX_FRAME_BYTES {
        return Err(CodecError::TooLong(len));
    }
    let mut frame = Vec::with_capacity(LENGTH_BYTES + len);
    frame.extend_from_slice(&(len as u32).to_be_bytes());
    frame.push(CODEC_VERSION);
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// The bytes of `row` that its owner signs. Cost: one encoding.
#[must_use]
pub fn row_to_sign(row: &Row) -> Vec<u8> {
    let mut bytes = b"causeway row 1\0".to_vec();
    let body = bincode::encode_to_vec(row, configuration())
        .expect("invariant: the encoder refuses neither texts nor numbers, and its limit is of decoding");
    bytes.extend(body);
    bytes
}

/// Decodes what follows the length word of one frame.
///
/// # Errors
/// Any [`CodecError`].
pub fn decode(frame: &[u8]) -> Result<ControlMessage, CodecError> {
    if frame.len() > MAX_FRAME_BYTES {
        return Err(CodecError::TooLong(frame.len()));
    }
    let (&version, body) = frame.split_first().ok_or(CodecError::Empty)?;
    if version != CODEC_VERSION {
        return Err(CodecError::Version(version));
    }
    let (message, used): (ControlMessage, usize) = bincode::decode_from_slice(body, configuration())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    if used != body.len() {
        return Err(CodecError::Trailing(body.len() - used));
    }
    message.validate()?;
    Ok(message)
}

/// The bytes of a step of a detour, to be sealed; no length and no version before them.
///
/// # Errors
/// As [`encode`].
pub fn encode_step(step: &DetourStep) -> Result<Vec<u8>, CodecError> {
    step.validate()?;
    let bytes =
        bincode::encode_to_vec(step, configuration()).map_err(|e| CodecError::Malformed(e.to_string()))?;
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(CodecError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// The step in opened bytes.
///
/// # Errors
/// Any [`CodecError`] but `Version` and `Empty`.
pub fn decode_step(bytes: &[u8]) -> Result<DetourStep, CodecError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(CodecError::TooLong(bytes.len()));
    }
    let (step, used): (DetourStep, usize) = bincode::decode_from_slice(bytes, configuration())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::Trailing(bytes.len() - used));
    }
    step.validate()?;
    Ok(step)
}

/// Cuts a byte stream into messages. Holds at most one incomplete frame and what the last `push` brought after it.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
}

impl FrameReader {
    /// Takes the next bytes of the stream, in any cut.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or none yet. Call until none before pushing more, so that the buffer stays bounded.
    ///
    /// # Errors
    /// Any [`CodecError`]; the stream is then unusable and the link must close.
    pub fn next_message(&mut self) -> Result<Option<ControlMessage>, CodecError> {
        let Some(word) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*word) as usize;
        if len > MAX_FRAME_BYTES {
            return Err(CodecError::TooLong(len));
        }
        if self.buffer.len() < LENGTH_BYTES + len {
            return Ok(None);
        }
        let message = decode(&self.buffer[LENGTH_BYTES..LENGTH_BYTES + len])?;
        self.buffer.drain(..LENGTH_BYTES + len);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests;
