//! One address database: opening it, checking it, looking an address up.
//!
//! Bytes in, answers out: reading the file is the caller's. A file is checked **whole** when it is opened (search
//! tree and every distinct record), so that a corrupt one is refused at start-up or reload and not discovered by
//! a client. What to do with an answer, and with no answer, is decided in `locate`.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use thiserror::Error;

use crate::date::Date;

mod record;
#[cfg(test)]
mod tests;

pub(crate) use record::Answer;
use record::Record;

/// An opened and checked database in MaxMind's file format (MMDB). Holds the file's bytes in memory.
pub struct Database {
    reader: Reader<Vec<u8>>,
    info: DatabaseInfo,
}

/// What a database is, for the log at start and for the operator's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Name given by the caller, usually the file name.
    pub name: String,
    /// Type as written in the file, such as `GeoLite2-City`.
    pub database_type: String,
    /// Day on which the vendor built the file.
    pub built: Date,
    /// The same as Unix time, seconds.
    pub built_epoch_s: u64,
    /// Which addresses it can answer for.
    pub families: Families,
    /// Layout of its records.
    pub schema: Schema,
    /// How precise its answers are.
    pub detail: Detail,
    /// Networks with data.
    pub networks: u64,
    /// Size of the file, bytes.
    pub size_bytes: usize,
}

/// Address families of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both in one file.
    Both,
}

/// Layout of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// `country.iso_code`, `location.latitude`: the vendors' own files.
    Nested,
    /// `country_code`, `latitude`: repackaged files.
    Flat,
}

/// Precision of a database. Ordered: fine before coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Coordinates, usually of cities.
    Fine,
    /// Countries only: the answer is a country's point, which may be 2,000 km off.
    Coarse,
}

/// Why a file cannot be used as an address database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The bytes are not an MMDB file at all.
    #[error(
        "{name} is not a MaxMind-format database (no metadata found); is it still compressed, or cut off?"
    )]
    NotADatabase {
        /// Name of the file.
        name: String,
    },
    /// The file is damaged.
    #[error("{name} is damaged: {detail}; fetch it again")]
    Corrupt {
        /// Name of the file.
        name: String,
        /// What is wrong with it, from the reader.
        detail: String,
    },
    /// No record of the file has a country or coordinates.
    #[error(
        "{name} (type {database_type:?}) has neither countries nor coordinates; give a country or city database"
    )]
    NoPlaces {
        /// Name of the file.
        name: String,
        /// Type as written in the file.
        database_type: String,
    },
}

impl Database {
    /// Opens a database from the bytes of its file and checks it whole.
    ///
    /// Cost: walks every network once, about 0.1 s per million (measured on the embedded file, development build).
    /// Do not call it on a thread that serves traffic.
    ///
    /// # Errors
    /// [`DatabaseError`] names the file and says whether it is something else, damaged, or of the wrong kind.
    pub fn open(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, DatabaseError> {
        let name = name.into();
        let size_bytes = bytes.len();
        if !has_metadata_marker(&bytes) {
            return Err(DatabaseError::NotADatabase { name });
        }
        let reader = Reader::from_source(bytes).map_err(|error| corrupt(&name, &error))?;
        let survey = Survey::of(&reader).map_err(|error| corrupt(&name, &error))?;
        let metadata = reader.metadata();
        let (Some(families), true) = (survey.families(), survey.any_place) else {
            return Err(DatabaseError::NoPlaces {
                name,
                database_type: printable(&metadata.database_type),
            });
        };
        let info = DatabaseInfo {
            name,
            database_type: printable(&metadata.database_type),
            built: Date::of_epoch_s(metadata.build_epoch),
            built_epoch_s: metadata.build_epoch,
            families,
            schema: if survey.any_nested {
                Schema::Nested
            } else {
                Schema::Flat
            },
            detail: if survey.any_point {
                Detail::Fine
            } else {
                Detail::Coarse
            },
            networks: survey.networks,
            size_bytes,
        };
        Ok(Self { reader, info })
    }

    /// What this database is.
    #[must_use]
    pub const fn info(&self) -> &DatabaseInfo {
        &self.info
    }

    /// Looks an address up. `None` when the database knows nothing about it.
    pub(crate) fn answer(&self, address: IpAddr) -> Result<Option<Answer>, MaxMindDbError> {
        let covered = match self.info.families {
            Families::Both => true,
            Families::V4 => address.is_ipv4(),
            Families::V6 => address.is_ipv6(),
        };
        if !covered {
            return Ok(None);
        }
        let record = self.reader.lookup(address)?.decode::<Record<'_>>()?;
        Ok(record.map(|record| record.answer()))
    }
}

impl DatabaseInfo {
    /// Age in whole days at `now_epoch_s` (Unix time, seconds); 0 when the build date lies in the future.
    #[must_use]
    pub const fn age_days(&self, now_epoch_s: u64) -> u64 {
        now_epoch_s.saturating_sub(self.built_epoch_s) / 86_400
    }
}

impl fmt::Display for DatabaseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            database_type,
            built,
            networks,
            ..
        } = self;
        let detail = match self.detail {
            Detail::Fine => "coordinates",
            Detail::Coarse => "coarse: countries only",
        };
        let families = match self.families {
            Families::V4 => "IPv4",
            Families::V6 => "IPv6",
            Families::Both => "IPv4 and IPv6",
        };
        write!(
            f,
            "{name}: {database_type}, data of {built}, {families}, {networks} networks, {detail}"
        )
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// What one walk over the whole file found.
#[derive(Default)]
struct Survey {
    networks: u64,
    any_v4: bool,
    any_v6: bool,
    any_place: bool,
    any_point: bool,
    any_nested: bool,
}

impl Survey {
    fn of(reader: &Reader<Vec<u8>>) -> Result<Self, MaxMindDbError> {
        let mut survey = Self::default();
        // Many networks share a record: each distinct one is decoded once.
        let mut seen = HashSet::new();
        // A sound tree of n nodes has n + 1 leaves; a damaged one may be a graph with endlessly many ways through
        // it, so that the empty leaves have to be counted too.
        let leaves_max = u64::from(reader.metadata().node_count) + 1;
        let mut leaves = 0;
        for found in reader.networks(WithinOptions::default().include_networks_without_data())? {
            let found = found?;
            leaves += 1;
            if leaves > leaves_max {
                return Err(MaxMindDbError::invalid_database("the search tree is not a tree"));
            }
            let Some(offset) = found.offset() else { continue };
            survey.networks += 1;
            match found.network()?.ip().to_canonical() {
                IpAddr::V4(_) => survey.any_v4 = true,
                IpAddr::V6(_) => survey.any_v6 = true,
            }
            if seen.insert(offset)
                && let Some(record) = found.decode::<Record<'_>>()?
            {
                survey.note(&record.answer());
            }
        }
        Ok(survey)
    }

    fn note(&mut self, answer: &Answer) {
        self.any_place |= answer.country.is_some() || answer.point.is_some();
        self.any_point |= answer.point.is_some();
        self.any_nested |= answer.nested;
    }

    const fn families(&self) -> Option<Families> {
        match (self.any_v4, self.any_v6) {
            (true, true) => Some(Families::Both),
            (true, false) => Some(Families::V4),
            (false, true) => Some(Families::V6),
            (false, false) => None,
        }
    }
}

/// The format puts its metadata behind this marker, within the last 128 KiB of the file.
fn has_metadata_marker(bytes: &[u8]) -> bool {
    const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
    const WITHIN_BYTES: usize = 128 * 1024;
    bytes[bytes.len().saturating_sub(WITHIN_BYTES)..]
        .windows(MARKER.len())
        .any(|window| window == MARKER)
}

fn corrupt(name: &str, error: &MaxMindDbError) -> DatabaseError {
    DatabaseError::Corrupt {
        name: name.to_owned(),
        detail: printable(&error.to_string()),
    }
}

/// Text from a file, bounded and without control characters, because it goes into logs.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
