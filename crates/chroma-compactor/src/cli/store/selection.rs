//! The arguments that select collections of a directory.

use std::collections::BTreeSet;
use std::path::Path;

use chroma_store::{FullName, StoreError, Which};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Only the collection with this name; repeat the option for several. Default: all.
    #[arg(long, value_name = "NAME")]
    collection: Vec<String>,
    #[command(flatten)]
    scope: Scope,
}

/// The tenant and the database to look in: collections of different databases can have the same name.
#[derive(Debug, Args)]
pub(super) struct Scope {
    /// Only collections of the database with this name.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Only collections of the tenant with this name.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

impl Scope {
    /// The collection `name` in this scope.
    pub(super) fn which<'a>(&'a self, name: &'a str) -> Which<'a> {
        Which {
            name,
            database: self.database.as_deref(),
            tenant: self.tenant.as_deref(),
        }
    }

    fn holds(&self, name: &FullName) -> bool {
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        same(&self.database, &name.database) && same(&self.tenant, &name.tenant)
    }
}

impl Selection {
    /// The selected ones of `all`, the collections of the directory `dir`.
    ///
    /// # Errors
    /// A name fits no collection, or more than one; no collection is in the scope.
    pub(super) fn of(
        &self,
        all: &[FullName],
        dir: &Path,
    ) -> Result<BTreeSet<FullName>, StoreError> {
        if !self.collection.is_empty() {
            let named = self.collection.iter();
            return named
                .map(|name| self.scope.which(name).among(all, dir).cloned())
                .collect();
        }
        let there: BTreeSet<_> = all
            .iter()
            .filter(|name| self.scope.holds(name))
            .cloned()
            .collect();
        if there.is_empty() && !all.is_empty() {
            return Err(StoreError::CollectionMissing {
                path: dir.to_path_buf(),
                name: self.scope.which("*").to_string(),
                available: all.iter().map(ToString::to_string).collect(),
            });
        }
        Ok(there)
    }
}
