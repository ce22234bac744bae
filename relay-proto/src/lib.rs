//! What two Causeway nodes must agree on.
//!
//! Everything that crosses a link between nodes is defined here, and nothing else is: identifiers and units
//! ([`id`], [`mod@unit`]), the control messages of the ordered stream ([`control`], with its rows in [`row`] and
//! its room stream in [`room`]), the commands and facts with which signalling drives a media session
//! ([`session`]), the hand-written datagram header ([`datagram`]) and the seal over media payloads ([`seal`]).
//!
//! The crate is pure: bytes in, values out. It opens no socket, reads no clock and draws no random number.
//! `WIRE.md` beside this file is the specification; the golden bytes under `tests/golden` pin it.
//!
//! [`limit`] names the largest value of everything a message can hold; the codec applies it both ways.
//!
//! Only [`codec`] knows how control messages become bytes (bincode, exactly version 2.0.1, with limits); no
//! other module or crate may import the serialiser, so that it can be replaced without touching the protocol.

pub mod codec;
pub mod control;
pub mod datagram;
pub mod id;
pub mod limit;
pub mod room;
pub mod row;
pub mod seal;
pub mod session;
pub mod steering;
pub mod unit;
pub mod version;
