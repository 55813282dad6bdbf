//! Names of collections. They are unique within a database, and names of databases within a tenant.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::{StoreError, StoreResult};

pub(crate) const DEFAULT_TENANT: &str = "default_tenant";
pub(crate) const DEFAULT_DATABASE: &str = "default_database";

/// The full name of a collection. A delta is merged into the collection of the same full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FullName {
    /// The name of the tenant that owns the database.
    pub tenant: String,
    /// The name of the database that has the collection.
    pub database: String,
    /// The collection's own name.
    pub name: String,
}

impl FullName {
    /// Whether tenant and database are `default_tenant` and `default_database`, which clients use
    /// unless they name others.
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

/// Names a collection of a directory. Parts that are `None` match any name, as long as exactly one
/// collection fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which<'a> {
    /// The collection's own name.
    pub name: &'a str,
    /// The name of its database; `None` for any.
    pub database: Option<&'a str>,
    /// The name of its tenant; `None` for any.
    pub tenant: Option<&'a str>,
}

impl Which<'_> {
    /// Picks the fitting name from `all`, the names of the collections in the directory `dir`.
    ///
    /// # Errors
    /// No name fits (`CollectionMissing`), or several do (`CollectionAmbiguous`).
    pub fn among<'n>(&self, all: &'n [FullName], dir: &Path) -> StoreResult<&'n FullName> {
        self.named(all, |name| name, dir)
    }

    /// Picks the fitting item from `all`; `name` gives the name of an item.
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
