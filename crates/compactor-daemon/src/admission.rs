//! Which messages the daemon lets in: senders choose collections and prefixes. Plain decisions; nothing is read or
//! written here.

use compactor_core::keys::DeltaLocation;
use compactor_core::message::{CompactionMessage, InsertedRun, MessageError};
use compactor_core::{CollectionName, RunId};
use glob::Pattern;

use crate::{Error, Result};

/// Stands for the collection's name in [`Admission::prefixes`].
const COLLECTION: &str = "{c}";

/// Which collections and delta prefixes messages may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The collections that are merged, by name or pattern; all, if there is none.
    pub collections: Vec<Pattern>,
    /// Below which prefixes a collection's deltas may be; `{c}` is its name.
    pub prefixes: Vec<String>,
    /// Whether the daemon announces the collections of records of the table's stream.
    pub stream_records: bool,
    /// Most collections of one record.
    pub stream_collections: usize,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            collections: Vec::new(),
            prefixes: vec![format!("{COLLECTION}/delta/")],
            stream_records: true,
            stream_collections: 64,
        }
    }
}

impl Admission {
    /// Whether the run of a message is let in.
    ///
    /// # Errors
    /// Its collection or the place of its delta is not.
    pub fn of_run(&self, message: &CompactionMessage) -> Result<()> {
        self.of_delta(&message.collection, &message.location)
    }

    /// Whether a collection is let in.
    ///
    /// # Errors
    /// It is not.
    pub fn of_collection(&self, collection: &CollectionName) -> Result<()> {
        let mut patterns = self.collections.iter();
        let is_named = patterns.any(|pattern| pattern.matches(collection.as_str()));
        match self.collections.is_empty() || is_named {
            true => Ok(()),
            false => Err(Error::CollectionRefused {
                collection: collection.to_string(),
            }),
        }
    }

    /// Whether deltas of `collection` at `location` are let in.
    ///
    /// # Errors
    /// The collection or the place is not.
    pub fn of_delta(&self, collection: &CollectionName, location: &DeltaLocation) -> Result<()> {
        self.of_collection(collection)?;
        match self.folder_of(collection, location) {
            Some(_) => Ok(()),
            None => Err(Error::DeltaPlace {
                prefix: location.prefix.clone(),
                allowed: self.folders(collection).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The one of the collection's prefixes that `location` is below; not that folder itself, which would
    /// be every delta in it.
    pub(crate) fn folder_of(
        &self,
        collection: &CollectionName,
        location: &DeltaLocation,
    ) -> Option<String> {
        let place = &location.prefix;
        self.folders(collection)
            .find(|folder| place.starts_with(folder) && place.len() > folder.len())
    }

    fn folders(&self, collection: &CollectionName) -> impl Iterator<Item = String> {
        let prefixes = self.prefixes.iter();
        prefixes.map(|prefix| prefix.replace(COLLECTION, collection.as_str()))
    }

    /// Where `submit` puts the delta of a run: below the first of the prefixes.
    pub(crate) fn delta_prefix(&self, collection: &CollectionName, run: &RunId) -> String {
        let first = self.prefixes.first().map_or("", String::as_str);
        format!("{}{run}/", first.replace(COLLECTION, collection.as_str()))
    }

    /// Whether a record of the stream is acted on at all.
    ///
    /// # Errors
    /// It names too many collections.
    pub(crate) fn of_record(&self, run: &InsertedRun) -> Result<()> {
        match run.deltas.len() > self.stream_collections {
            true => Err(Error::TooManyCollections {
                found: run.deltas.len(),
                limit: self.stream_collections,
            }),
            false => Ok(()),
        }
    }

    /// Whether one collection of a record is let in.
    pub(crate) fn of_part(&self, collection: &CollectionName, prefix: &str) -> Result<()> {
        let location = DeltaLocation::parse(prefix).map_err(|source| MessageError::Prefix {
            collection: collection.clone(),
            source,
        })?;
        self.of_delta(collection, &location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(admission: &Admission, collection: &str, prefix: &str) -> &'static str {
        let outcome = admission.of_part(&collection.parse().unwrap(), prefix);
        outcome.map_or_else(|error| error.code(), |()| "taken")
    }

    #[test]
    fn a_delta_is_taken_from_its_own_collections_folder() {
        let admission = Admission::default();
        for (prefix, expected) in [
            ("words/delta/a/", "taken"),
            ("words/delta/a/b", "taken"),
            ("s3://other/words/delta/a", "taken"),
            ("lines/delta/a/", "CC-DELTA-PLACE"),
            ("words/deltas/a/", "CC-DELTA-PLACE"),
            ("intermediate/words/delta/a/", "CC-DELTA-PLACE"),
            ("words/delta/", "CC-MESSAGE-PREFIX"),
            ("words/snapshot/timestamped/x/", "CC-MESSAGE-PREFIX"),
        ] {
            assert_eq!(code(&admission, "words", prefix), expected, "{prefix}");
        }
        let wider = Admission {
            prefixes: vec!["intermediate/".to_owned(), "{c}/in/".to_owned()],
            ..Admission::default()
        };
        assert_eq!(code(&wider, "words", "intermediate/x/"), "taken");
        assert_eq!(code(&wider, "words", "words/in/x"), "taken");
        assert_eq!(code(&wider, "words", "words/in"), "CC-DELTA-PLACE");
        assert_eq!(code(&wider, "words", "words/delta/a"), "CC-DELTA-PLACE");
    }

    #[test]
    fn collections_are_let_in_by_name_or_pattern() {
        let admission = Admission {
            collections: ["words", "team-*"]
                .map(|one| Pattern::new(one).unwrap())
                .into(),
            ..Admission::default()
        };
        for (collection, expected) in [
            ("words", "taken"),
            ("team-a", "taken"),
            ("wordsmith", "CC-COLLECTION-REFUSED"),
            ("team", "CC-COLLECTION-REFUSED"),
        ] {
            let prefix = format!("{collection}/delta/a/");
            assert_eq!(code(&admission, collection, &prefix), expected);
        }
    }
}
