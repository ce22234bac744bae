//! Tools that put Causeway under test: an emulator of the long-distance links between nodes, and a test
//! signal that says who sent it.
//!
//! * [`wan`] delays, thins and shapes UDP between nodes of one machine, without root. The rules of a link are
//!   pure ([`wan::model`]); sockets and clocks live in [`wan::relay`] alone.
//! * [`signal`] makes a picture and a tone from which a receiver reads the sender, and reads them back. All
//!   pure.
//! * [`mod@bench`] measures these tools beside the floor of the machine they run on.
//!
//! The `loadtest` program is a command line over this library; tests of other crates use the library
//! in-process.

pub mod bench;
pub mod client;
pub mod floor;
pub mod report;
pub mod run;
pub mod scenario;
pub mod sdp;
pub mod signal;
pub mod signalling;
pub mod target;
pub mod trace;
pub mod wan;
pub mod worker;
