//! Errors as run records and dead letters tell them. They are read on other machines, where a path of this
//! one's scratch space means nothing.

use std::path::Path;

use super::Settlement;
use crate::Error;
use crate::cycle::gather;

impl Settlement<'_> {
    /// Why the item `at` failed: its delta is named by its prefix, other files without the scratch space.
    pub(super) fn reason(&self, at: usize, error: &Error) -> String {
        let mut reason = error.describe();
        if let Some(scratch) = &self.scratch {
            let prefix = self.batch.items[at].work.source.prefix();
            let prefix = prefix.trim_end_matches('/');
            // It was fetched for one of the items that have it.
            for delta in self.batch.ever_members(at) {
                let dir = gather::delta_dir(scratch, delta);
                reason = reason.replace(&dir.display().to_string(), prefix);
            }
            reason = without(&reason, scratch);
        }
        without(&reason, self.context.scratch.path())
    }
}

fn without(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}
