//! Media over a link: [`egress`] turns a packet into sealed datagrams, once per packet and whatever the number of
//! viewers behind the link; [`ingress`] turns datagrams back into packets for the same `ingest` a client's packets use;
//! [`transit`] passes on what this node cannot open, and [`parity`] lets sound do without a round trip over long links.
//! Nothing here knows viewers, rooms' members or sockets.

pub mod egress;
pub mod ingress;
pub mod parity;
mod ring;
pub mod sealed;
pub mod seen;
pub mod transit;

#[cfg(test)]
mod tests;
