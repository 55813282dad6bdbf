//! `store merge --base DIR --delta DIR... --out DIR`: merges deltas into a copy of a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chroma_store::{
    AppliedAs, CloseOptions, FlushOptions, FlushWhen, FullName, MergeOptions, MergeReport,
    MetadataMode, Remedy, StoreError, VerifyLevel,
};
use clap::{Args, ValueEnum};
use compactor_snapshots::{Base, Mend, MergeJob, MergeSettings, Source, Target};

use super::output_folder::OutputFolder;
use super::selection::Selection;
use crate::cli::interrupt::Interrupt;
use crate::error::CommandError;
use crate::output::{self, Progress, Table};

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The Chroma directory to start from. It is only read.
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// The deltas to merge into it, in this order: for the same record, the later one wins. They are only
    /// read.
    #[arg(long, value_name = "DIR", required = true, num_args = 1..)]
    delta: Vec<PathBuf>,
    /// The new directory. It must not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// What an upsert does to metadata keys of the record that it does not name.
    #[arg(long, value_enum, default_value_t = Metadata::Merge)]
    metadata: Metadata,
    /// When to flush: to move vectors from Chroma's log into the index files.
    #[arg(long, alias = "fold", value_enum, default_value_t = When::Due)]
    flush: When,
    /// Vacuum the new database if more than PERCENT of its pages are free. 100 means never.
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(..=100))]
    vacuum_above: u8,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Metadata {
    /// Keep them, as chromadb does.
    Merge,
    /// Remove them from the record.
    Replace,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// If at least as many vectors wait as the collection's sync threshold says, as chromadb does.
    Due,
    /// Whenever a vector waits.
    Always,
    /// Never: every reader indexes the waiting vectors when it opens the directory.
    Never,
}

impl From<When> for FlushWhen {
    fn from(when: When) -> Self {
        match when {
            When::Due => Self::Due,
            When::Always => Self::Always,
            When::Never => Self::Never,
        }
    }
}

impl Merge {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let inputs = std::iter::once(&self.base).chain(&self.delta);
        let folder = OutputFolder::of(&self.out, inputs.map(PathBuf::as_path))?;
        let interrupt = Interrupt::listen()?;
        let scratch = folder.scratch("merge")?;
        let interrupted = interrupt.remove(scratch.path())?;
        let work = scratch.path().join("merged");
        let progress = Progress::new(4, self.json);
        let reports = interrupted.unless(self.merge_into(&work, &progress))?;
        interrupted.finish();
        fs_err::rename(&work, &self.out).map_err(CommandError::io)?;
        fs_err::File::open(folder.path())
            .and_then(|parent| parent.sync_all())
            .map_err(CommandError::io)?;
        drop(progress);
        self.print(&reports)?;
        Ok(ExitCode::SUCCESS)
    }

    fn merge_into(
        &self,
        work: &Path,
        progress: &Progress,
    ) -> Result<Vec<MergeReport>, CommandError> {
        progress.step("checking and copying the base");
        let found = chroma_store::survey(&self.base, VerifyLevel::Full)?;
        let base = found.report.into_base(&self.base)?;
        chroma_store::copy_directory(&self.base, work)?;
        progress.step("merging");
        let plan = self.plan()?;
        let nothing = || {
            CommandError::usage("nothing to merge: the deltas have no collections")
                .with_help("`store info` shows what a directory holds")
        };
        if plan.is_empty() {
            return Err(nothing());
        }
        let mut mends = Vec::new();
        if base.asking_for(Remedy::FullText).next().is_some() {
            mends.push(Mend::FullText);
        }
        let torn = base.asking_for(Remedy::Index);
        let torn: BTreeSet<_> = torn
            .filter_map(|problem| problem.collection.clone())
            .chain(
                found
                    .index_damage
                    .iter()
                    .map(|damage| damage.collection.to_string()),
            )
            .collect();
        let all = chroma_store::collection_names(work)?.into_iter();
        mends.extend(
            all.filter(|name| torn.contains(&name.to_string()))
                .map(Mend::Index),
        );
        let job = MergeJob {
            dir: work.to_path_buf(),
            base: Base::Copy,
            mends,
            sources: plan
                .into_iter()
                .map(|(collection, deltas)| {
                    let sources = deltas.into_iter().map(Source::Delta);
                    (Target::Full(collection), sources.collect())
                })
                .collect(),
            settings: self.settings(),
        };
        let (_, merged) = job.merge().map_err(|error| {
            CommandError::from(self.name_the_base(error)).naming(work, &self.base)
        })?;
        let mut merged = merged.ok_or_else(nothing)?;
        // Offline there is one user: all deltas or none.
        let outcomes = merged.reports.iter_mut().map(|report| &mut report.outcomes);
        for outcomes in outcomes {
            if let Some(at) = outcomes.iter().position(|outcome| outcome.result.is_err())
                && let Err(error) = outcomes.swap_remove(at).result
            {
                return Err(error.into());
            }
        }
        let reports = std::mem::take(&mut merged.reports);
        merged.vacuum()?;
        progress.step("closing");
        let closed = merged.close()?;
        progress.step("verifying");
        closed.verify()?;
        Ok(reports)
    }

    fn settings(&self) -> MergeSettings {
        MergeSettings {
            merge: MergeOptions {
                metadata: match self.metadata {
                    Metadata::Merge => MetadataMode::Merge,
                    Metadata::Replace => MetadataMode::Replace,
                },
                flush: FlushOptions {
                    when: self.flush.into(),
                    ..FlushOptions::default()
                },
                // The user's own files.
                longest_value: None,
            },
            vacuum_above: self.vacuum_above,
            verify: VerifyLevel::Full,
            close_wait: CloseOptions::default().wait,
        }
    }

    /// Which deltas go into which collection.
    fn plan(&self) -> Result<BTreeMap<FullName, Vec<PathBuf>>, CommandError> {
        let mut plan: BTreeMap<FullName, Vec<PathBuf>> = BTreeMap::new();
        for dir in &self.delta {
            let all = chroma_store::collection_names(dir)?;
            for name in self.selection.of(&all, dir)? {
                plan.entry(name).or_default().push(dir.clone());
            }
        }
        Ok(plan)
    }

    /// Names the base in an error in place of the working copy, which the user does not know.
    fn name_the_base(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::CollectionMissing {
                name, available, ..
            } => StoreError::CollectionMissing {
                path: self.base.clone(),
                name,
                available,
            },
            other => other,
        }
    }

    fn print(&self, reports: &[MergeReport]) -> Result<(), CommandError> {
        if self.json {
            return output::json(&to_json(&self.out, reports));
        }
        let mut table = Table::new([
            "collection",
            "delta",
            "applied",
            "added",
            "updated",
            "deleted",
            "ignored",
        ]);
        for report in reports {
            for outcome in &report.outcomes {
                let Ok((applied_as, effects)) = &outcome.result else {
                    continue;
                };
                table.row([
                    report.collection.to_string(),
                    outcome.dir.display().to_string(),
                    name_of(*applied_as).to_owned(),
                    effects.added.to_string(),
                    effects.updated.to_string(),
                    effects.deleted.to_string(),
                    effects.ignored.to_string(),
                ]);
            }
        }
        output::lines(&table.render())?;
        for outcome in reports.iter().flat_map(|report| &report.outcomes) {
            if let Some(space) = outcome.other_space {
                output::line(&format!(
                    "{}: its space is {space}; its vectors are indexed in the space of the base",
                    outcome.dir.display()
                ))?;
            }
            if let Ok((_, effects)) = &outcome.result
                && effects.changed_nothing()
            {
                output::line(&format!(
                    "{}: changed nothing: all its operations update or delete records that the base lacks",
                    outcome.dir.display()
                ))?;
            }
        }
        for report in reports {
            let index = match report.flushed {
                Some(flushed) => format!("{} vectors indexed", flushed.indexed),
                None => "new vectors wait in the log".to_owned(),
            };
            output::line(&format!(
                "{}: {} records before, {} after; {index}",
                report.collection, report.records_before, report.records_after
            ))?;
        }
        output::line(&format!("merged and verified: {}", self.out.display()))
    }
}

fn name_of(applied_as: AppliedAs) -> &'static str {
    match applied_as {
        AppliedAs::OperationLog => "operations",
        AppliedAs::State => "state",
    }
}

fn to_json(out: &Path, reports: &[MergeReport]) -> serde_json::Value {
    let collections: Vec<_> = reports
        .iter()
        .map(|report| {
            let deltas: Vec<_> = report
                .outcomes
                .iter()
                .filter_map(|outcome| {
                    let (applied_as, effects) = outcome.result.as_ref().ok()?;
                    Some(serde_json::json!({
                        "dir": outcome.dir, "applied": name_of(*applied_as), "effects": effects,
                        "other_space": outcome.other_space,
                    }))
                })
                .collect();
            serde_json::json!({
                "name": report.collection.to_string(),
                "records_before": report.records_before,
                "records_after": report.records_after,
                "flushed": report.flushed,
                "deltas": deltas,
            })
        })
        .collect();
    serde_json::json!({"out": out, "collections": collections})
}
