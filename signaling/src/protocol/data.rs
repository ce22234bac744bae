//! Data messages of clients: checked and stamped field by field, never decoded as a whole, so that kinds of message
//! this node does not know, and client-side encryption, pass untouched.

use prost::bytes::Buf;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use relay_proto::id::{Identity, ParticipantSid};
use std::ops::Range;
use thiserror::Error;

/// Fields of `DataPacket`.
const KIND: u32 = 1;
const USER: u32 = 2;
const SPEAKER: u32 = 3;
const PARTICIPANT_IDENTITY: u32 = 4;
const DESTINATION_IDENTITIES: u32 = 5;
const SEQUENCE: u32 = 16;
const PARTICIPANT_SID: u32 = 17;
/// Fields of `UserPacket`; older clients look here for the sender and say the recipients here.
const USER_PARTICIPANT_SID: u32 = 1;
const USER_DESTINATION_SIDS: u32 = 3;
const USER_PARTICIPANT_IDENTITY: u32 = 5;
const USER_DESTINATION_IDENTITIES: u32 = 6;

/// Who sends a message.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Identity of the sender.
    pub identity: &'a Identity,
    /// Id of the sender.
    pub sid: &'a ParticipantSid,
    /// On which kind of channel it came.
    pub reliable: bool,
}

/// A checked message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Whom it is for; empty together with `to_sids` means everybody.
    pub to: Vec<Identity>,
    /// Whom it is for, by id (older clients).
    pub to_sids: Vec<ParticipantSid>,
    /// The sender's number of it; 0 where it has none.
    pub sequence: u32,
    /// The bytes for the receivers.
    pub stamped: Vec<u8>,
}

/// Why a message is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DataError {
    /// The bytes are no message.
    #[error("the data message is malformed")]
    Malformed,
    /// It pretends to be one of the server's own.
    #[error("speaker updates come from the server only")]
    Forbidden,
    /// It names too many recipients.
    #[error("the data message names too many recipients")]
    TooManyRecipients,
}

/// Checks a message of a client and stamps it with its sender. What the client wrote as sender is removed.
/// Cost: linear in its length.
///
/// # Errors
/// [`DataError`] says why it must not be passed on.
pub fn inspect_data(payload: &[u8], stamp: Stamp<'_>, recipients_max: usize) -> Result<Incoming, DataError> {
    let mut message = Incoming {
        to: Vec::new(),
        to_sids: Vec::new(),
        sequence: 0,
        stamped: Vec::with_capacity(payload.len() + 64),
    };
    for field in Fields::of(payload) {
        let field = field?;
        match field.tag {
            KIND | PARTICIPANT_IDENTITY | PARTICIPANT_SID => {}
            SPEAKER => return Err(DataError::Forbidden),
            USER => {
                let user = stamped_user(field.content(payload)?, stamp, &mut message)?;
                append(USER, &user, &mut message.stamped);
            }
            DESTINATION_IDENTITIES => {
                message.to.push(Identity(text(field.content(payload)?)?));
                message.stamped.extend_from_slice(&payload[field.whole]);
            }
            SEQUENCE => {
                message.sequence = number(&payload[field.whole.clone()])?;
                message.stamped.extend_from_slice(&payload[field.whole]);
            }
            _ => message.stamped.extend_from_slice(&payload[field.whole]),
        }
        if message.to.len() + message.to_sids.len() > recipients_max {
            return Err(DataError::TooManyRecipients);
        }
    }
    if !stamp.reliable {
        encode_key(KIND, WireType::Varint, &mut message.stamped);
        encode_varint(1, &mut message.stamped);
    }
    append(
        PARTICIPANT_IDENTITY,
        stamp.identity.as_str().as_bytes(),
        &mut message.stamped,
    );
    append(
        PARTICIPANT_SID,
        stamp.sid.as_str().as_bytes(),
        &mut message.stamped,
    );
    message.to.sort();
    message.to.dedup();
    Ok(message)
}

fn stamped_user(user: &[u8], stamp: Stamp<'_>, message: &mut Incoming) -> Result<Vec<u8>, DataError> {
    let mut stamped = Vec::with_capacity(user.len() + 64);
    for field in Fields::of(user) {
        let field = field?;
        match field.tag {
            USER_PARTICIPANT_SID | USER_PARTICIPANT_IDENTITY => continue,
            USER_DESTINATION_SIDS => message.to_sids.push(ParticipantSid(text(field.content(user)?)?)),
            USER_DESTINATION_IDENTITIES => message.to.push(Identity(text(field.content(user)?)?)),
            _ => {}
        }
        stamped.extend_from_slice(&user[field.whole]);
    }
    append(USER_PARTICIPANT_SID, stamp.sid.as_str().as_bytes(), &mut stamped);
    append(
        USER_PARTICIPANT_IDENTITY,
        stamp.identity.as_str().as_bytes(),
        &mut stamped,
    );
    Ok(stamped)
}

fn append(tag: u32, content: &[u8], to: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, to);
    encode_varint(content.len() as u64, to);
    to.extend_from_slice(content);
}

/// The value of a field with a number, key and all.
fn number(mut field: &[u8]) -> Result<u32, DataError> {
    let (_, wire_type) = decode_key(&mut field).map_err(|_| DataError::Malformed)?;
    if wire_type != WireType::Varint {
        return Err(DataError::Malformed);
    }
    // As the protocol has it: only the lower half of a longer number counts.
    decode_varint(&mut field)
        .map(|value| value as u32)
        .map_err(|_| DataError::Malformed)
}

fn text(bytes: &[u8]) -> Result<String, DataError> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| DataError::Malformed)
}

/// One field of a protobuf message as it lies in the bytes.
struct Field {
    tag: u32,
    /// Key and value.
    whole: Range<usize>,
    /// The value without key and length, of length-delimited fields.
    content: Option<Range<usize>>,
}

impl Field {
    fn content<'a>(&self, message: &'a [u8]) -> Result<&'a [u8], DataError> {
        let range = self.content.clone().ok_or(DataError::Malformed)?;
        message.get(range).ok_or(DataError::Malformed)
    }
}

/// Walks the fields of a message; ends after the first error.
struct Fields<'a> {
    message: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    const fn of(message: &'a [u8]) -> Self {
        Self {
            message,
            rest: message,
        }
    }

    const fn offset(&self) -> usize {
        self.message.len() - self.rest.len()
    }

    fn field(&mut self) -> Result<Field, prost::DecodeError> {
        let start = self.offset();
        let (tag, wire_type) = decode_key(&mut self.rest)?;
        let mut content = None;
        if wire_type == WireType::LengthDelimited {
            let mut ahead = self.rest;
            let length = usize::try_from(decode_varint(&mut ahead)?).unwrap_or(usize::MAX);
            let from = self.message.len() - ahead.remaining();
            content = Some(from..from.saturating_add(length));
        }
        skip_field(wire_type, tag, &mut self.rest, DecodeContext::default())?;
        Ok(Field {
            tag,
            whole: start..self.offset(),
            content,
        })
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field().map_err(|_| DataError::Malformed);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}
