//! Channels alone, and whole meshes in virtual time.

mod channel;
mod mesh;
