//! The database inside the binary: a country per public address, so that a fresh node works at once.
//!
//! It is coarse and ages; operators supply a city database for real use. Where it comes from, how it was made and
//! its licence stand in `data/README.md`. The licence asks every page that shows or uses results for a link:
//! [`attribution_html`].

use std::io::Read;
use std::sync::{Arc, OnceLock};

use ruzstd::decoding::StreamingDecoder;

use crate::database::Database;
use crate::date::Date;

#[cfg(test)]
mod tests;

/// The country file of DB-IP as repackaged by ip-location-db, compressed with zstd.
const COMPRESSED: &[u8] = include_bytes!("../data/dbip-country-2026-06.mmdb.zst");
/// SHA-256 of the file before compression; compared in a test.
pub const RAW_SHA256: &str = "4e7f53dd9c6ebe0e7244d5dd4cc03639bc9dbe0a5a83eca90db50eeaeea72024";
/// Size before compression, bytes.
const RAW_BYTES: usize = 8_207_345;
/// Version of the package the file was taken from.
const VERSION: &str = "2.3.2026060120";
/// Name under which the database appears in logs and places.
pub const NAME: &str = "embedded DB-IP Country Lite";

/// The embedded database, opened on first use and shared after that.
///
/// Cost of the first call: about 0.2 s (measured, development build) and 8 MB; later calls copy a pointer.
///
/// # Panics
/// Never on a released binary: the bytes are a constant that the tests decode and compare with [`RAW_SHA256`].
#[must_use]
pub fn database() -> Arc<Database> {
    static OPENED: OnceLock<Arc<Database>> = OnceLock::new();
    let opened = OPENED.get_or_init(|| {
        let opened = Database::open(NAME, raw());
        Arc::new(opened.expect("invariant: the embedded database is a constant that the tests open"))
    });
    Arc::clone(opened)
}

/// The embedded file as its vendor made it.
fn raw() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RAW_BYTES);
    let mut source = COMPRESSED;
    StreamingDecoder::new(&mut source)
        .expect("invariant: the embedded frame is a constant that the tests decode")
        .read_to_end(&mut bytes)
        .expect("invariant: the embedded frame is a constant that the tests decode");
    bytes
}

/// Day of the embedded data.
#[must_use]
pub const fn date() -> Date {
    Date {
        year: 2026,
        month: 6,
        day: 1,
    }
}

/// One line of attribution, as the licence asks, for `--version` and documents.
#[must_use]
pub const fn attribution() -> &'static str {
    "IP geolocation by DB-IP (https://db-ip.com), CC BY 4.0"
}

/// The link that the licence asks for on every page that shows or uses results.
#[must_use]
pub const fn attribution_html() -> &'static str {
    "<a href='https://db-ip.com'>IP Geolocation by DB-IP</a>"
}

/// One line for `causeway --version`: what the data is, how old, how exact, and the attribution.
#[must_use]
pub fn version_line() -> String {
    format!(
        "geo: {NAME} {VERSION}, data of {}, coarse (countries); {}",
        date(),
        attribution()
    )
}
