//! Errors as run records and dead letters tell them. They are read on other machines, where a path of
//! this one's scratch space says nothing.

use std::path::Path;

use super::Batch;
use crate::RunError;
use crate::cycle::fetch;
use crate::cycle::room::RoomBefore;

impl Batch<'_> {
    /// Where the cycle works from now on.
    pub(in crate::cycle) fn works_in(&mut self, scratch: &Path) {
        self.scratch = Some(scratch.to_path_buf());
        self.room = RoomBefore::of(scratch);
    }

    /// Why the run `at` failed: its delta by its prefix, other files below the scratch space.
    pub(super) fn reason(&self, at: usize, error: &RunError) -> String {
        let mut reason = error.describe();
        if let Some(scratch) = &self.scratch {
            let first = self.entries[at].first;
            let same = (0..self.entries.len()).filter(|other| self.entries[*other].first == first);
            let prefix = self.entries[at].message.delta_prefix.trim_end_matches('/');
            // It was fetched for one of the runs that have it.
            for delta in same.map(|other| fetch::delta_dir(scratch, other)) {
                reason = reason.replace(&delta.display().to_string(), prefix);
            }
            reason = without(&reason, scratch);
        }
        without(&reason, self.context.scratch.path())
    }
}

fn without(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}
