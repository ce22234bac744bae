//! Channels alone, and whole meshes in virtual time.

mod channel;
mod hostile;
mod mesh;
mod random;
