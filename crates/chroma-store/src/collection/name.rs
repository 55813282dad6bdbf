//! Names of collections. Chroma has them unique within a database, and databases within a tenant.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::{StoreError, StoreResult};

pub(crate) const DEFAULT_TENANT: &str = "default_tenant";
pub(crate) const DEFAULT_DATABASE: &str = "default_database";

/// The full name of a collection; deltas and snapshots are matched by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FullName {
    /// The tenant that has the database.
    pub tenant: String,
    /// The database that has the collection.
    pub database: String,
    /// The collection's own name.
    pub name: String,
}

impl FullName {
    /// Whether tenant and database are those that clients use when none are given.
    pub fn is_in_default_database(&self) -> bool {
        self.tenant == DEFAULT_TENANT && self.database == DEFAULT_DATABASE
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_in_default_database() {
            write!(f, "{}/{}/", self.tenant, self.database)?;
        }
        f.write_str(&self.name)
    }
}

/// Which collection is meant; what is not given may be anything, as long as only one fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which<'a> {
    /// The collection's own name.
    pub name: &'a str,
    /// The name of its database.
    pub database: Option<&'a str>,
    /// Its tenant.
    pub tenant: Option<&'a str>,
}

impl Which<'_> {
    /// The one of `all` names that is meant; `all` is what the directory `dir` has.
    ///
    /// # Errors
    /// It is none of them, or could be more than one.
    pub fn among<'n>(&self, all: &'n [FullName], dir: &Path) -> StoreResult<&'n FullName> {
        self.named(all, |name| name, dir)
    }

    /// The one of `all` that is meant.
    pub(super) fn named<'n, T>(
        &self,
        all: &'n [T],
        name: impl Fn(&T) -> &FullName,
        dir: &Path,
    ) -> StoreResult<&'n T> {
        let (fitting, others): (Vec<_>, Vec<_>) = all.iter().partition(|one| self.fits(name(one)));
        let names = |of: &[&T]| of.iter().map(|one| name(one).to_string()).collect();
        match fitting.as_slice() {
            [one] => Ok(one),
            [] => Err(StoreError::CollectionMissing {
                path: dir.to_path_buf(),
                name: self.to_string(),
                available: names(&others),
            }),
            several => Err(StoreError::CollectionAmbiguous {
                path: dir.to_path_buf(),
                name: self.to_string(),
                fitting: names(several),
            }),
        }
    }

    fn fits(&self, full: &FullName) -> bool {
        let same = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
        full.name == self.name
            && same(self.database, &full.database)
            && same(self.tenant, &full.tenant)
    }
}

impl<'a> From<&'a str> for Which<'a> {
    fn from(name: &'a str) -> Self {
        Self {
            name,
            database: None,
            tenant: None,
        }
    }
}

impl<'a> From<&'a FullName> for Which<'a> {
    fn from(full: &'a FullName) -> Self {
        Self {
            name: &full.name,
            database: Some(&full.database),
            tenant: Some(&full.tenant),
        }
    }
}

impl fmt::Display for Which<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_default =
            self.tenant == Some(DEFAULT_TENANT) && self.database == Some(DEFAULT_DATABASE);
        let parts = match is_default {
            true => [None, None, Some(self.name)],
            false => [self.tenant, self.database, Some(self.name)],
        };
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join("/"))
    }
}
