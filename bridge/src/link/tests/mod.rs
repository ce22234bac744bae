//! Links over real sockets on loopback.

mod node;
mod refusals;
mod traffic;
