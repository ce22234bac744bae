//! Where an address is: overrides first, then databases from fine to coarse, then the configured default.
//!
//! The answer always exists and always says how it was found. Nothing here reads a file, keeps an address, or
//! decides which node serves it: that is `rank`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::AddressKind;
use crate::cidr::Cidr;
use crate::country::CountryCode;
use crate::database::{Answer, Database, DatabaseError, DatabaseInfo, Detail};
use crate::point::GeoPoint;

#[cfg(test)]
mod tests;

/// Finds the place of an address. Immutable: changing the data means building another and swapping it in
/// ([`LocatorSlot`](crate::slot::LocatorSlot)).
#[derive(Debug)]
pub struct Locator {
    /// Fine before coarse, otherwise in the order given.
    layers: Vec<Arc<Database>>,
    /// Longest prefix first.
    overrides: Vec<Override>,
    default: Anchor,
}

/// What a locator is built of. `Default` has no databases, no overrides and no default place.
#[derive(Debug, Clone, Default)]
pub struct LocatorSettings {
    /// Opened databases; those with coordinates are asked before those with countries only, whatever their order.
    pub databases: Vec<Arc<Database>>,
    /// Networks whose place the operator states; the longest prefix wins, the first of equal ones.
    pub overrides: Vec<Override>,
    /// Where addresses are taken to be that nothing is known about (private, loopback, not in any database).
    pub default: Anchor,
}

/// Bytes of one database file, read by the caller.
#[derive(Debug, Clone)]
pub struct DatabaseFile {
    /// Shown in logs and errors; usually the path.
    pub name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
}

/// "Clients of this network are there."
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The network.
    pub net: Cidr,
    /// Where its clients are taken to be.
    pub anchor: Anchor,
}

/// A place as far as it is known without the list of nodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Anchor {
    /// A point on the globe.
    Point(GeoPoint),
    /// Where this node is. From an override it is also a preference for that node.
    Node(String),
    /// Where the nodes of this region are. From an override it is also a preference for them.
    Region(String),
    /// Not known at all: distance cannot be considered.
    #[default]
    Nowhere,
}

/// Where an address is, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The place.
    pub anchor: Anchor,
    /// Country, where a database knows it.
    pub country: Option<CountryCode>,
    /// City in English, where a database knows it. For people, not for decisions.
    pub city: Option<String>,
    /// How exact the answer is.
    pub precision: Precision,
    /// Who says so.
    pub source: Source,
}

/// How exact a [`Place`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Stated by the operator.
    Override,
    /// Coordinates from a database.
    City,
    /// The point of a country; may be 2,000 km off.
    Country,
    /// Nothing is known; the configured default.
    Default,
}

/// Who says where an address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The operator, for this network.
    Override(Cidr),
    /// The database of this name.
    Database(String),
    /// Nobody: the default, for this reason.
    Default(DefaultReason),
}

/// Why the default place was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultReason {
    /// The address is not a public one.
    NotPublic(AddressKind),
    /// No database knows the address.
    Unknown,
    /// No database is loaded.
    NoDatabase,
    /// A database failed on this address and no other knows it.
    DatabaseFault,
}

impl Locator {
    /// Builds a locator from databases that are already open.
    #[must_use]
    pub fn new(settings: LocatorSettings) -> Self {
        let LocatorSettings {
            databases: mut layers,
            mut overrides,
            default,
        } = settings;
        // Both sorts are stable: the caller's order decides among equals.
        layers.sort_by_key(|database| database.info().detail);
        overrides.sort_by_key(|rule| std::cmp::Reverse(rule.net.prefix_bits()));
        Self {
            layers,
            overrides,
            default,
        }
    }

    /// Opens and checks `files` and builds a locator of them and of `settings` (whose databases come after the
    /// files of the same detail; the embedded one belongs there).
    ///
    /// Cost: see [`Database::open`]; not for a thread that serves traffic.
    ///
    /// # Errors
    /// The first file that is not usable, by name. Nothing is built then.
    pub fn open(files: Vec<DatabaseFile>, settings: LocatorSettings) -> Result<Self, DatabaseError> {
        let mut databases = Vec::with_capacity(files.len() + settings.databases.len());
        for DatabaseFile { name, bytes } in files {
            databases.push(Arc::new(Database::open(name, bytes)?));
        }
        databases.extend(settings.databases);
        Ok(Self::new(LocatorSettings {
            databases,
            ..settings
        }))
    }

    /// What is loaded, in the order in which it is asked.
    pub fn loaded(&self) -> impl Iterator<Item = &DatabaseInfo> {
        self.layers.iter().map(|database| database.info())
    }

    /// The best precision the loaded databases can give: the caller logs "coarse" once at start.
    /// `None` without any database.
    #[must_use]
    pub fn detail(&self) -> Option<Detail> {
        self.layers.first().map(|database| database.info().detail)
    }

    /// Finds the place of `address`. Always answers; [`Place::source`] says how. About a microsecond.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        if let Some(rule) = self.overrides.iter().find(|rule| rule.net.contains(address)) {
            return Place {
                anchor: rule.anchor.clone(),
                country: None,
                city: None,
                precision: Precision::Override,
                source: Source::Override(rule.net),
            };
        }
        match AddressKind::of(address) {
            AddressKind::Public => self
                .look_up(address)
                .unwrap_or_else(|reason| self.default_place(reason)),
            kind => self.default_place(DefaultReason::NotPublic(kind)),
        }
    }

    /// Asks the layers in order: the first with coordinates wins, else the first with a country.
    fn look_up(&self, address: IpAddr) -> Result<Place, DefaultReason> {
        let mut reason = if self.layers.is_empty() {
            DefaultReason::NoDatabase
        } else {
            DefaultReason::Unknown
        };
        let mut country_only = None;
        for layer in &self.layers {
            let Ok(found) = layer.answer(address) else {
                reason = DefaultReason::DatabaseFault;
                continue;
            };
            match found.and_then(|answer| place_of(answer, &layer.info().name)) {
                Some(place) if place.precision == Precision::City => return Ok(place),
                Some(place) => country_only = country_only.or(Some(place)),
                None => {}
            }
        }
        country_only.ok_or(reason)
    }

    fn default_place(&self, reason: DefaultReason) -> Place {
        Place {
            anchor: self.default.clone(),
            country: None,
            city: None,
            precision: Precision::Default,
            source: Source::Default(reason),
        }
    }
}

/// The place an answer stands for; `None` when it names neither a point nor a country of the table ("EU", "ZZ").
fn place_of(answer: Answer, database_name: &str) -> Option<Place> {
    let Answer {
        country, point, city, ..
    } = answer;
    let (point, precision) = match point {
        Some(point) => (point, Precision::City),
        None => (country.and_then(CountryCode::point)?, Precision::Country),
    };
    let source = Source::Database(database_name.to_owned());
    Some(Place {
        anchor: Anchor::Point(point),
        country,
        city,
        precision,
        source,
    })
}

impl Place {
    /// The coordinates, where they are known without the list of nodes.
    #[must_use]
    pub const fn point(&self) -> Option<GeoPoint> {
        match self.anchor {
            Anchor::Point(point) => Some(point),
            Anchor::Node(_) | Anchor::Region(_) | Anchor::Nowhere => None,
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Point(point) => write!(f, "{point}"),
            Self::Node(name) => write!(f, "at node {name}"),
            Self::Region(label) => write!(f, "in region {label}"),
            Self::Nowhere => f.write_str("nowhere known"),
        }
    }
}

/// One line for logs and people. Contains no address.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.city, self.country) {
            (Some(city), Some(country)) => write!(f, "{city}, {country} ({})", self.anchor)?,
            (Some(city), None) => write!(f, "{city} ({})", self.anchor)?,
            (None, Some(country)) => write!(f, "country {country} ({})", self.anchor)?,
            (None, None) => write!(f, "{}", self.anchor)?,
        }
        write!(f, ", from {}", self.source)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Override(net) => write!(f, "the override for {net}"),
            Self::Database(name) => write!(f, "{name}"),
            Self::Default(reason) => write!(f, "the default, because {reason}"),
        }
    }
}

impl fmt::Display for DefaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPublic(kind) => write!(f, "the address is a {kind} one"),
            Self::Unknown => f.write_str("no database knows the address"),
            Self::NoDatabase => f.write_str("no address database is loaded"),
            Self::DatabaseFault => f.write_str("the address database could not read its own record"),
        }
    }
}
