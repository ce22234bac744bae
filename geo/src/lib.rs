//! Where an address is, and which node is best for it.
//!
//! This crate answers two questions of a mesh whose nodes stand on several continents:
//!
//! * **Where is this client?** [`Locator::locate`] turns an IP address into a [`Place`]: the operator's overrides
//!   first, then databases in MaxMind's format from fine (coordinates) to coarse (countries), then a configured
//!   default. It always answers and always says how it knows.
//! * **Which node should serve it?** [`rank()`] turns a place and a list of nodes into an ordered list **with
//!   reasons**: predicted round trip, corrected by what the client measured; where the rest of the room is; load;
//!   state; residency rules; wishes. Nodes that cannot be chosen are listed with the reason.
//!
//! ```
//! use geo::{Candidate, GeoPoint, Locator, LocatorSettings, NodeState, Policy, RankRequest, rank};
//!
//! let locator = Locator::new(LocatorSettings {
//!     databases: vec![geo::embedded::database()],
//!     ..LocatorSettings::default()
//! });
//! let place = locator.locate("133.11.0.1".parse()?); // a university in Tokyo
//! let node = |name: &str, latitude, longitude| -> Result<Candidate, geo::PointError> {
//!     Ok(Candidate {
//!         name: name.to_owned(),
//!         region: name.to_uppercase(),
//!         country: None,
//!         point: GeoPoint::new(latitude, longitude)?,
//!         url: format!("wss://{name}.example.org"),
//!         load: 0.1,
//!         state: NodeState::Up,
//!         participants_in_room: 0,
//!         mesh_rtt_ms: Default::default(),
//!     })
//! };
//! let mesh = [node("fra", 50.1, 8.7)?, node("sin", 1.35, 103.8)?, node("syd", -33.9, 151.2)?];
//! let ranking = rank(&RankRequest::at(place), &mesh, &Policy::default())?;
//! assert_eq!(ranking.best().name, "sin");
//! for line in ranking.best().sentences() {
//!     // "about 5152 km away, round trip about 80 ms", "10 % loaded, counted as 0 ms"
//!     assert!(!line.is_empty());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to know before relying on it
//!
//! *GeoIP is a first guess.* Databases disagree, addresses of carriers and anycast are placed wrongly, and the
//! embedded one knows countries only ([`Detail::Coarse`]): its answer may be 2,000 km off. Let the client measure
//! the first few nodes of a ranking and rank again with [`RankRequest::measured`].
//!
//! *The nearest node is not always the best.* A room is not opened on a further node for a gain below
//! [`Policy::split_gain_ms`], and the way to the rest of the room counts a little ([`Policy::mesh_weight`]).
//!
//! *Load must contain reservations*, or a flash crowd is sent to one node: see [`Reservations`].
//!
//! *Data can be replaced while running*: [`LocatorSlot::reload`] checks the new files whole and swaps them in
//! only when they are good.
//!
//! # Purity
//!
//! No sockets, files, clock, environment or chance: files come in as bytes, time as an argument, and the same
//! input gives the same output. All answers are total: no input panics.

pub mod address;
pub mod cidr;
pub mod country;
pub mod database;
pub mod date;
pub mod embedded;
pub mod latency;
pub mod locate;
pub mod point;
pub mod policy;
pub mod rank;
pub mod reserve;
pub mod sample;
pub mod slot;

pub use address::AddressKind;
pub use cidr::{Cidr, CidrError};
pub use country::{CountryCode, CountryCodeError};
pub use database::{Database, DatabaseError, DatabaseInfo, Detail, Families, Schema};
pub use date::Date;
pub use latency::Measured;
pub use locate::{
    Anchor, DatabaseFile, DefaultReason, Locator, LocatorSettings, Override, Place, Precision, Source,
};
pub use point::{GeoPoint, PointError};
pub use policy::{Clients, Nodes, Policy, ResidencyRule, Zone};
pub use rank::{
    Candidate, Excluded, Exclusion, NodeState, RankError, RankRequest, Ranked, Ranking, Reason, Wish, rank,
};
pub use reserve::Reservations;
pub use sample::{SAMPLES, Sample};
pub use slot::LocatorSlot;
