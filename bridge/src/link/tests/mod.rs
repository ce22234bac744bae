//! Links over real sockets on loopback; and, in virtual time, what they make of a path ([`path`], [`meeting`]).

mod capacity;
mod cut;
mod meeting;
mod node;
mod path;
mod refusals;
mod traffic;
