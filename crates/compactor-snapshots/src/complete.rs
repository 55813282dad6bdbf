//! Whether a version is complete: every object that its manifest implies is there, with the right size.

use std::collections::BTreeMap;

use compactor_core::disposition::Resource;
use compactor_core::manifest::Layout;
use compactor_core::{Manifest, keys};

use crate::error::About as _;
use crate::{Error, Result, SnapshotRepository};

impl SnapshotRepository {
    /// Compares the objects of a version with its manifest, without reading them.
    ///
    /// # Errors
    /// [`Error::SnapshotFile`]: an object is missing or has another size. Or the store cannot be listed.
    pub(crate) async fn refuse_incomplete(&self, manifest: &Manifest) -> Result<()> {
        let (lineage, version) = (&manifest.lineage(), &manifest.version);
        let prefix = keys::version_prefix(lineage, version);
        let found = self.store().list_all(&prefix).await.about(Resource::Base)?;
        let found: BTreeMap<String, u64> = found
            .into_iter()
            .map(|info| (info.key, info.size))
            .collect();
        let mut expected = vec![(keys::snapshot_hash(lineage, version), None)];
        match manifest.layout {
            Layout::Archive => expected.push((keys::snapshot_archive(lineage, version), None)),
            Layout::Files => expected.extend(manifest.files.iter().map(|file| {
                let key = keys::file(lineage, version, &file.path);
                (key, Some(file.size))
            })),
        }
        let mut wrong = expected.into_iter().filter_map(|(key, size)| {
            let detail = match (found.get(&key), size) {
                (None, _) => "it is missing".to_owned(),
                (Some(found), Some(size)) if *found != size => {
                    format!("{found} bytes, the manifest says {size}")
                }
                (Some(_), _) => return None,
            };
            Some((key, detail))
        });
        let Some((key, mut detail)) = wrong.next() else {
            return Ok(());
        };
        let more = wrong.count();
        if more > 0 {
            detail.push_str(&format!(
                "; {more} more of the version are missing or differ"
            ));
        }
        Err(Error::SnapshotFile { key, detail })
    }
}
