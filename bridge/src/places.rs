//! The location databases of `[geo]`: opened at start, opened again when a file changes or on SIGHUP.

use crate::config::GeoConfig;
use geo::{Anchor, DatabaseError, DatabaseFile, Detail, Locator, LocatorSettings, LocatorSlot};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often the files are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Why there is no locator. At start the operator must act; at a reload the old data stays.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// A file is missing or cannot be read.
    #[error("geo.databases: cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is no usable database.
    #[error("geo.databases: {0}")]
    Database(#[from] DatabaseError),
}

/// The databases in use, and what it takes to open them again.
#[derive(Clone)]
pub struct Places {
    config: GeoConfig,
    slot: Arc<LocatorSlot>,
}

impl Places {
    /// Opens every database of `config`. Cost: reads and checks whole files; not for a thread that serves traffic.
    ///
    /// # Errors
    /// [`PlacesError`] names key and path of the first unusable file.
    pub fn open(config: GeoConfig) -> Result<Self, PlacesError> {
        let locator = Locator::open(read(&config)?, settings(&config))?;
        announce(&locator);
        Ok(Self {
            config,
            slot: Arc::new(LocatorSlot::new(locator)),
        })
    }

    /// What signalling asks.
    #[must_use]
    pub fn slot(&self) -> Arc<LocatorSlot> {
        self.slot.clone()
    }

    /// Opens everything again and puts it in place. Cost: as [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`]; the old data then stays in use.
    pub fn reload(&self) -> Result<(), PlacesError> {
        let locator = self.slot.reload(read(&self.config)?, settings(&self.config))?;
        announce(&locator);
        Ok(())
    }

    /// Reloads whenever a file has changed or `asked` says so, until that is dropped.
    pub async fn watch(self, mut asked: watch::Receiver<u64>) {
        let mut seen = self.stamps();
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        ticks.reset();
        loop {
            let by_order = tokio::select! {
                _ = ticks.tick() => false,
                changed = asked.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
            };
            let stamps = self.stamps();
            if !by_order && stamps == seen {
                continue;
            }
            seen = stamps;
            let places = self.clone();
            match tokio::task::spawn_blocking(move || places.reload()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "location data not reloaded; the old data stays in use")
                }
                Err(error) => tracing::error!(%error, "reloading location data failed"),
            }
        }
    }

    /// When each file was last written; a file that is gone has no time.
    fn stamps(&self) -> Vec<Option<SystemTime>> {
        let stamp = |path: &PathBuf| {
            std::fs::metadata(path)
                .and_then(|metadata| metadata.modified())
                .ok()
        };
        self.config.databases.iter().map(stamp).collect()
    }
}

fn read(config: &GeoConfig) -> Result<Vec<DatabaseFile>, PlacesError> {
    let file = |path: &PathBuf| {
        let bytes = std::fs::read(path).map_err(|source| PlacesError::Read {
            path: path.clone(),
            source,
        })?;
        Ok(DatabaseFile {
            name: path.display().to_string(),
            bytes,
        })
    };
    config.databases.iter().map(file).collect()
}

fn settings(config: &GeoConfig) -> LocatorSettings {
    LocatorSettings {
        databases: vec![geo::embedded::database()],
        overrides: config.networks.clone(),
        default: config
            .default_region
            .clone()
            .map_or(Anchor::Nowhere, Anchor::Region),
    }
}

fn announce(locator: &Locator) {
    for database in locator.loaded() {
        tracing::info!(name = database.name, built = %database.built, networks = database.networks, "location database");
    }
    if locator.detail() == Some(Detail::Coarse) {
        tracing::info!("location data is coarse (countries only); add a city database to geo.databases");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(databases: Vec<PathBuf>) -> GeoConfig {
        GeoConfig {
            databases,
            default_region: None,
            networks: Vec::new(),
            query_parameter: None,
            header: None,
        }
    }

    #[test]
    fn without_files_the_embedded_data_locates_a_public_address() {
        let places = Places::open(config(Vec::new())).unwrap();
        let place = places.slot().current().locate("133.11.0.1".parse().unwrap());
        assert_eq!(
            place.country.map(|code| code.as_str().to_owned()).as_deref(),
            Some("JP")
        );
    }

    #[test]
    fn a_missing_file_is_named_with_its_key() {
        let Err(error) = Places::open(config(vec!["/nowhere/city.mmdb".into()])) else {
            panic!("opened a file that does not exist");
        };
        let text = error.to_string();
        assert!(
            text.contains("geo.databases") && text.contains("/nowhere/city.mmdb"),
            "{text}"
        );
    }

    #[test]
    fn a_corrupt_file_is_refused_and_a_reload_keeps_the_old_data() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("city.mmdb");
        std::fs::write(&path, b"no database").unwrap();
        assert!(matches!(
            Places::open(config(vec![path.clone()])),
            Err(PlacesError::Database(_))
        ));
        let mut places = Places::open(config(Vec::new())).unwrap();
        places.config.databases.push(path);
        assert!(places.reload().is_err());
        assert!(places.slot().current().loaded().next().is_some());
    }
}
