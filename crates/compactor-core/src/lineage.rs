//! The name under which versions follow each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CollectionName, NameError};

/// The name of a sequence of versions: the key of its pointer, its lease and its objects.
///
/// A [`CollectionName`] is what Chroma calls a collection inside a directory. Today each collection has one
/// lineage, of the same name; code that needs the name as a key takes a `Lineage`, so that this can change in
/// one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(CollectionName);

impl Lineage {
    /// The name as text: safe as one segment of a key.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The collection whose versions these are.
    pub fn collection(&self) -> &CollectionName {
        &self.0
    }
}

impl From<&CollectionName> for Lineage {
    fn from(collection: &CollectionName) -> Self {
        Self(collection.clone())
    }
}

impl From<CollectionName> for Lineage {
    fn from(collection: CollectionName) -> Self {
        Self(collection)
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Lineage {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        name.parse().map(Self)
    }
}
