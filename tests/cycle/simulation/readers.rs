//! What readers may still be reading: what is published, the versions before it that are kept
//! whatever their age, and what the pointer moved past a moment ago.

use std::collections::BTreeMap;
use std::time::Duration;

use compactor_core::{CollectionName, Lineage, Version, keys};

use super::run::{AGE, VERSIONS};

#[derive(Debug, Default)]
pub(crate) struct Readers {
    /// Oldest first, with the true time at which the pointer moved there.
    published: BTreeMap<CollectionName, Vec<(Version, Duration)>>,
    /// How far a machine's clock was ever ahead. What a sweep takes for old may be younger by this
    /// much.
    ahead: Duration,
}

impl Readers {
    /// A machine's clock was set.
    pub(crate) fn clock_set(&mut self, seconds: i64) {
        let ahead = u64::try_from(seconds).unwrap_or(0);
        self.ahead = self.ahead.max(Duration::from_secs(ahead));
    }

    /// The pointer was written. It may name what it named before.
    pub(crate) fn published(
        &mut self,
        collection: &CollectionName,
        version: Version,
        now: Duration,
    ) {
        let history = self.published.entry(collection.clone()).or_default();
        if history.last().is_none_or(|(newest, _)| *newest != version) {
            history.push((version, now));
        }
    }

    /// An object was deleted. Returns whether its version was published and its age could be judged.
    pub(crate) fn deleted(&self, key: &str, now: Duration) -> Result<bool, String> {
        for (collection, history) in &self.published {
            let is_of = |(version, _): &(Version, Duration)| {
                key.starts_with(&keys::version_prefix(&Lineage::from(collection), version))
            };
            let Some(place) = history.iter().position(is_of) else {
                continue;
            };
            if history.len() - place <= VERSIONS {
                return Err(format!(
                    "{key} was deleted, and is of the newest {VERSIONS}"
                ));
            }
            let (_, moved) = &history[place + 1];
            let since = now - *moved;
            if since + self.ahead < AGE {
                return Err(format!(
                    "{key} was deleted {since:?} after the pointer moved past it"
                ));
            }
            return Ok(self.ahead < AGE);
        }
        Ok(false)
    }
}
