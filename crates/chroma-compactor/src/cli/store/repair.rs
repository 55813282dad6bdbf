//! `store repair DIR`: says what is wrong with a directory and how to repair it. With `--yes` it repairs a
//! copy, and swaps the copy in when it is sound.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chroma_store::{
    CloseOptions, ClosedStore, DATABASE_NAME, Open, OpenOptions, Orphan, Parameters, Problem,
    Remedy, Severity, Space, Store, StoreError, Survey, VerifyLevel,
};
use clap::Args;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;

use super::output_folder::OutputFolder;
use super::salvage;
use super::verify::print_problems;
use crate::cli::interrupt::Interrupt;
use crate::error::CommandError;
use crate::output::{self, Progress};

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The Chroma directory, the one with chroma.sqlite3.
    dir: PathBuf,
    /// Repair the directory, and keep the original as DIR.before-repair.
    #[arg(long)]
    yes: bool,
    /// Vacuum the database as well.
    #[arg(long)]
    vacuum: bool,
    /// Leave folders and files that no segment names out of the repaired directory. DIR.before-repair has
    /// them.
    #[arg(long)]
    remove_orphans: bool,
    /// Rebuild every graph with N links for each element (HNSW's M).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=32_767))]
    m: Option<u32>,
    /// Rebuild every graph with a candidate list of N elements (HNSW's ef_construction).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ef_construction: Option<u32>,
    /// Rebuild every graph in this distance space: l2, cosine or ip.
    #[arg(long)]
    space: Option<Space>,
    /// Repair nothing: save every record that can still be read into the new directory NEW, and list what
    /// was lost in NEW.lost.jsonl. Leaves DIR unchanged. Exits with 0 even if something was lost.
    #[arg(long, value_name = "NEW", conflicts_with_all = ["yes", "vacuum", "remove_orphans", "m", "ef_construction", "space"])]
    salvage: Option<PathBuf>,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A repair, and the collection that it is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Step {
    remedy: Remedy,
    collection: Option<String>,
}

/// The outcome of a repair.
struct Repaired {
    /// The path of the original now.
    before: PathBuf,
    /// Repairs that turned out to be needed only after others were done.
    later: BTreeSet<Step>,
}

impl Repair {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        if let Some(new) = &self.salvage {
            return salvage::save(&self.dir, new, self.json);
        }
        if self.yes {
            chroma_store::keep_temporary_files_in(OutputFolder::around(&self.dir).path());
        }
        let progress = Progress::new(5, self.json);
        progress.step("verifying");
        let survey = chroma_store::survey(&self.dir, VerifyLevel::Full)?;
        let problems = survey.problems();
        let steps = self.steps(&problems);
        let hopeless = problems.iter().any(is_hopeless);
        let to_do = !steps.is_empty() || self.vacuum || !self.parameters().is_empty();
        let repaired = if self.yes && to_do && !hopeless {
            Some(self.repair(&steps, &survey, &progress)?)
        } else {
            None
        };
        drop(progress);
        self.print(&problems, &steps, repaired.as_ref(), hopeless)?;
        Ok(if repaired.is_some() || (!to_do && !hopeless) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            space: self.space,
            max_neighbors: self.m,
            ef_construction: self.ef_construction,
        }
    }

    /// The repairs that the problems ask for. Their order is the one in which they build on each other.
    fn steps(&self, problems: &[Problem]) -> BTreeSet<Step> {
        let steps = problems.iter().filter_map(|problem| {
            Some(Step {
                remedy: problem.remedy?,
                collection: problem.collection.clone(),
            })
        });
        steps
            .filter(|step| step.remedy != Remedy::Orphans || self.remove_orphans)
            .collect()
    }

    /// Repairs a copy and swaps it in.
    fn repair(
        &self,
        steps: &BTreeSet<Step>,
        survey: &Survey,
        progress: &Progress,
    ) -> Result<Repaired, CommandError> {
        let dir = fs_err::canonicalize(&self.dir).map_err(CommandError::io)?;
        let before = kept_as(&dir);
        if before.symlink_metadata().is_ok() {
            return Err(
                CommandError::from(StoreError::AlreadyExists { path: before }).with_help(
                    "an earlier repair has kept it: remove or rename it, then repair again",
                ),
            );
        }
        refuse_mount_point(&dir)?;
        chroma_store::refuse_open_elsewhere(&dir)?;
        let original = ClosedStore::prove(&dir, &CloseOptions::default())?;
        let interrupt = Interrupt::listen()?;
        let scratch = OutputFolder::around(&dir).scratch("repair")?;
        let interrupted = interrupt.remove(scratch.path())?;
        let work = scratch.path().join("repaired");
        let made = self.make(&dir, &work, steps, progress);
        let later = interrupted.unless(made.map_err(|error| error.naming(&work, &dir)))?;
        give_owners(&dir, &work)?;
        original.still_closed()?;
        chroma_store::refuse_open_elsewhere(&dir)?;
        progress.step("swapping");
        // During the swap the scratch folder holds the original for a moment.
        interrupted.finish();
        swap(&dir, &work, &before)?;
        if !self.remove_orphans {
            for Orphan { name, .. } in &survey.orphans {
                fs_err::rename(before.join(name), dir.join(name)).map_err(CommandError::io)?;
            }
        }
        Ok(Repaired { before, later })
    }

    /// Makes the repaired copy `work`. Returns the steps that turned out to be needed on the way.
    fn make(
        &self,
        dir: &Path,
        work: &Path,
        steps: &BTreeSet<Step>,
        progress: &Progress,
    ) -> Result<BTreeSet<Step>, CommandError> {
        progress.step("copying");
        chroma_store::copy_directory(dir, work)?;
        progress.step("repairing");
        let mut taken = steps.clone();
        let mut store = take_steps(work, &taken)?;
        // One repair may uncover the next problem: a collection without a database hides all of its own.
        for _ in 0..ROUNDS {
            store.close(&CloseOptions::default())?;
            let problems = chroma_store::survey(work, VerifyLevel::Full)?.problems();
            let more: BTreeSet<Step> = self.steps(&problems).difference(&taken).cloned().collect();
            store = take_steps(work, &more)?;
            if more.is_empty() {
                break;
            }
            taken.extend(more);
        }
        if !self.parameters().is_empty() {
            let all = store.collections().iter();
            let names: Vec<_> = all.map(|collection| collection.name.clone()).collect();
            for name in &names {
                store.set_parameters(name, self.parameters())?;
            }
        }
        if self.vacuum {
            store.vacuum()?;
        }
        let closed = store.close(&CloseOptions::default())?;
        progress.step("verifying the result");
        closed
            .verify(VerifyLevel::Full)
            .map_err(|error| CommandError::from(error).with_help(NOT_REPAIRED))?;
        Ok(taken.difference(steps).cloned().collect())
    }

    fn print(
        &self,
        problems: &[Problem],
        steps: &BTreeSet<Step>,
        repaired: Option<&Repaired>,
        hopeless: bool,
    ) -> Result<(), CommandError> {
        let before = repaired.map(|repaired| repaired.before.as_path());
        let later = repaired.map(|repaired| &repaired.later);
        if self.json {
            return output::json(&serde_json::json!({
                "dir": self.dir, "problems": problems, "steps": steps, "vacuum": self.vacuum,
                "parameters": {
                    "space": self.space, "m": self.m, "ef_construction": self.ef_construction,
                },
                "mended": before.is_some(), "before": before, "later": later,
            }));
        }
        print_problems(problems)?;
        if hopeless {
            for problem in problems.iter().filter(|problem| is_hopeless(problem)) {
                output::line(&format!("cannot be repaired: {problem}"))?;
            }
        }
        for step in steps.iter().filter(|_| !hopeless) {
            let of = match &step.collection {
                Some(name) => format!(" (collection {name})"),
                None => String::new(),
            };
            output::line(&format!("to do: {}{of}", in_words(step.remedy)))?;
        }
        for step in later.into_iter().flatten() {
            output::line(&format!("done as well: {}", in_words(step.remedy)))?;
        }
        if !self.parameters().is_empty() {
            output::line("to do: set the parameters and rebuild all index files")?;
        }
        if self.vacuum {
            output::line("to do: vacuum the database")?;
        }
        let dir = self.dir.display();
        output::line(&match before {
            Some(before) => format!(
                "repaired and verified: {dir}; the original is now {} (a shell whose working directory it was has to enter {dir} again)",
                before.display()
            ),
            None if hopeless => format!(
                "{dir}: nothing was changed, because not all of this can be repaired: copy the directory again from its source, or save what can still be read with --salvage NEW"
            ),
            None if steps.is_empty() && !self.vacuum && self.parameters().is_empty() => {
                format!("{dir}: nothing to repair")
            }
            None => {
                format!("{dir}: nothing was changed; add --yes to repair a copy and swap it in")
            }
        })
    }
}

/// How often a repaired copy is checked for further problems.
const ROUNDS: usize = 3;

/// Takes the steps in the directory `work`, and returns it open.
fn take_steps(work: &Path, steps: &BTreeSet<Step>) -> Result<Store<Open>, CommandError> {
    let not_repaired = |error: StoreError| CommandError::from(error).with_help(NOT_REPAIRED);
    if steps.iter().any(|step| step.remedy == Remedy::Reindex) {
        chroma_store::replace_sqlite_indexes(work).map_err(not_repaired)?;
    }
    let mut store = Store::open(work, OpenOptions::scratch())?;
    for step in steps {
        let named = |name: &str| step.collection.as_deref() == Some(name);
        let mut all = store.collections().iter();
        let collection = all.find(|one| named(&one.name.to_string()));
        let collection = collection.map(|one| one.name.clone());
        store
            .mend(step.remedy, collection.as_ref())
            .map_err(not_repaired)?;
    }
    Ok(store)
}

/// Refuses a mount point, which cannot be swapped with the repaired copy.
fn refuse_mount_point(dir: &Path) -> Result<(), CommandError> {
    let table = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_mounted = |line: &str| {
        let place = line.split(' ').nth(4);
        place.is_some_and(|place| Path::new(&place.replace("\\040", " ")) == dir)
    };
    if !table.lines().any(is_mounted) {
        return Ok(());
    }
    let message = format!(
        "{} is a mount point, which cannot be replaced",
        dir.display()
    );
    Err(CommandError::usage(message).with_help(
        "copy its content into a folder, repair that, and copy it back; or mount the folder that holds the Chroma directory",
    ))
}

fn is_hopeless(problem: &Problem) -> bool {
    problem.severity == Severity::Error && problem.remedy.is_none()
}

const NOT_REPAIRED: &str = "nothing was changed: the directory lacks what a repair needs; copy it again from its source, or save the rest with --salvage NEW";

/// What a remedy does, for the plan.
fn in_words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Migrations => "write the migrations' text as Chroma has it",
        Remedy::Places => {
            "add the tenants and databases that collections name and that are missing"
        }
        Remedy::Reindex => "rebuild SQLite's indexes from their tables",
        Remedy::LogRows => "rewrite the metadata of the log's rows from the records",
        Remedy::Progress => {
            "set each segment's progress to what the log proves, and apply the operations after it"
        }
        Remedy::Dimension => "set the dimension to the one that the vectors have",
        Remedy::FullText => "rebuild the full-text index from the documents",
        Remedy::Flush => "build the index files from the log",
        Remedy::Index => "rebuild the index files from their vectors, or from a complete log",
        Remedy::JournalMode => "set SQLite's journal mode to DELETE",
        Remedy::Orphans => "leave out folders and files that no segment names",
    }
}

/// Gives every folder and file of a copy the owner and the permissions of its original. A new folder gets
/// those of the original directory, a new file those of its database.
fn give_owners(original: &Path, copy: &Path) -> Result<(), CommandError> {
    let mut folders = vec![(original.to_path_buf(), copy.to_path_buf())];
    while let Some((original_folder, folder)) = folders.pop() {
        let folder_model = match fs_err::metadata(&original_folder) {
            Ok(model) => model,
            Err(_) => fs_err::metadata(original).map_err(CommandError::io)?,
        };
        give_owner(&folder, &folder_model)?;
        for entry in fs_err::read_dir(&folder).map_err(CommandError::io)? {
            let entry = entry.map_err(CommandError::io)?;
            let of_original = original_folder.join(entry.file_name());
            if entry.file_type().map_err(CommandError::io)?.is_dir() {
                folders.push((of_original, entry.path()));
                continue;
            }
            let model = match fs_err::metadata(&of_original) {
                Ok(model) => model,
                Err(_) => {
                    fs_err::metadata(original.join(DATABASE_NAME)).map_err(CommandError::io)?
                }
            };
            give_owner(&entry.path(), &model)?;
        }
    }
    Ok(())
}

fn give_owner(path: &Path, model: &std::fs::Metadata) -> Result<(), CommandError> {
    // Only root can change owners. Any other account owns the copy already, so a failure changes nothing.
    let _ = std::os::unix::fs::chown(path, Some(model.uid()), Some(model.gid()));
    fs_err::set_permissions(path, model.permissions()).map_err(CommandError::io)
}

fn kept_as(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".before-repair");
    PathBuf::from(name)
}

/// Puts `work` in the place of `dir`, and renames `dir` to `before`.
fn swap(dir: &Path, work: &Path, before: &Path) -> Result<(), CommandError> {
    match renameat_with(CWD, work, CWD, dir, RenameFlags::EXCHANGE) {
        Ok(()) => fs_err::rename(work, before).map_err(|error| {
            // Swap back: the scratch folder is removed with its content.
            let _ = renameat_with(CWD, work, CWD, dir, RenameFlags::EXCHANGE);
            CommandError::io(error)
        }),
        // Not every file system can swap two folders.
        Err(_) => {
            fs_err::rename(dir, before).map_err(CommandError::io)?;
            fs_err::rename(work, dir).map_err(|error| {
                // Rename back. The error of the second rename is the one to report.
                let _ = fs_err::rename(before, dir);
                CommandError::io(error)
            })
        }
    }?;
    let parent = dir.parent().unwrap_or(dir);
    fs_err::File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(CommandError::io)
}
