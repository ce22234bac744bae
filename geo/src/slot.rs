//! The locator in use, replaceable while others read it.

use std::sync::{Arc, PoisonError, RwLock};

use crate::database::DatabaseError;
use crate::locate::{DatabaseFile, Locator, LocatorSettings};

/// Holds the current [`Locator`]. A replacement is built and checked **first** and swapped in only when it is
/// good, so a failed reload leaves the old data in place. Readers keep the one they took.
#[derive(Debug)]
pub struct LocatorSlot {
    current: RwLock<Arc<Locator>>,
}

impl LocatorSlot {
    /// Starts with `locator`.
    #[must_use]
    pub fn new(locator: Locator) -> Self {
        Self {
            current: RwLock::new(Arc::new(locator)),
        }
    }

    /// The locator in use now. One lock for the length of a pointer copy.
    #[must_use]
    pub fn current(&self) -> Arc<Locator> {
        // A poisoned lock still holds a whole Arc: the swap below cannot be seen half done.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens `files`, and when all are good puts the new locator in place of the old one and returns it.
    ///
    /// The opening happens outside the lock: readers never wait for it.
    ///
    /// # Errors
    /// As [`Locator::open`]; the old locator stays in use.
    pub fn reload(
        &self,
        files: Vec<DatabaseFile>,
        settings: LocatorSettings,
    ) -> Result<Arc<Locator>, DatabaseError> {
        let fresh = Arc::new(Locator::open(files, settings)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }
}
