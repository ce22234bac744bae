//! Tools that put Causeway under test: a load generator, an emulator of the long-distance links between nodes,
//! scenarios, reports, and a test signal that says who sent it.
//!
//! * [`client`] is one light client without its socket; [`sdp`], [`signalling`] and [`trace`] are what it says and
//!   sends; [`worker`] runs hundreds of them on a thread.
//! * [`full`] are clients of another make, and browsers are started by [`run`]: controls of what light ones measure.
//! * [`scenario`] is who meets whom and what goes wrong, [`target`] the servers under test, [`run`] brings them
//!   together, [`report`] is what comes out.
//! * [`floor`] are bare programs that do the least any server must do.
//! * [`wan`] joins nodes of one machine by emulated links: network namespaces (root) or a UDP relay. The rules of
//!   a link are pure ([`wan::model`]).
//! * [`signal`] makes a picture and a tone from which a receiver reads the sender, and reads them back. All
//!   pure.
//! * [`mod@bench`] measures these tools beside the floor of the machine they run on.
//!
//! The `loadtest` program is a command line over this library; tests of other crates use the library
//! in-process.

pub mod bench;
pub mod client;
pub mod floor;
pub mod full;
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
