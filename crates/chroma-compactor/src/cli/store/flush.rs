//! `store flush DIR` and `store rebuild DIR`: change the index files of a directory in place.

use std::path::PathBuf;
use std::process::ExitCode;

use chroma_store::{
    CloseOptions, ClosedStore, Engine, FlushOptions, FlushReport, FlushWhen, FullName, OpenOptions,
    Store, StoreError, VerifyLevel,
};
use clap::{Args, ValueEnum};

use super::selection::Selection;
use crate::cli::interrupt::Interrupt;
use crate::error::CommandError;
use crate::output::{self, Progress, Table};

/// The arguments of both commands.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The Chroma directory, the one with chroma.sqlite3.
    dir: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// Use COUNT threads; 0 means one for each core. With 1, equal directories get equal index files.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    threads: usize,
    /// Vacuum the database if more than PERCENT of its pages are free. 100 means never.
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(..=100))]
    vacuum_above: u8,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Flush {
    #[command(flatten)]
    pub(super) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    #[command(flatten)]
    pub(super) place: Place,
    /// The implementation that builds the graphs.
    #[arg(long, value_enum, default_value_t = EngineName::Native)]
    engine: EngineName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EngineName {
    /// This program's own.
    Native,
    /// The library hnsw_rs, for comparison; slower, on one thread.
    HnswRs,
}

impl From<EngineName> for Engine {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Native => Self::Native,
            EngineName::HnswRs => Self::HnswRs,
        }
    }
}

impl Flush {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        self.place.change(None)
    }
}

impl Rebuild {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        self.place.change(Some(self.engine.into()))
    }
}

/// Advises the user when a rebuild lacks vectors to rebuild from.
fn no_vectors(error: StoreError) -> CommandError {
    let of_index = error.is_index_damage();
    let error = CommandError::from(error);
    match of_index {
        true => error.with_help(
            "neither the index files nor the log have all vectors: close the client that wrote the directory and copy it again from its source, or save what can still be read: `chroma-compactor store repair DIR --salvage NEW`",
        ),
        false => error,
    }
}

/// Verifies the directory, except for the damaged index files of `others`: collections that the user did not
/// name, and whose index files were damaged before.
fn verify_but_for(closed: &ClosedStore, others: &[&FullName]) -> Result<(), CommandError> {
    if others.is_empty() {
        closed.verify(VerifyLevel::Full)?;
        return Ok(());
    }
    let found = chroma_store::survey(closed.dir(), VerifyLevel::Full)?;
    found.report.into_sound(closed.dir())?;
    let mut damage = found.index_damage.into_iter();
    match damage.find(|damage| !others.contains(&&damage.collection)) {
        Some(damage) => Err(damage.error.into()),
        None => Ok(closed.still_closed()?),
    }
}

impl Place {
    fn change(self, rebuild: Option<Engine>) -> Result<ExitCode, CommandError> {
        let progress = Progress::new(4, self.json);
        chroma_store::refuse_open_elsewhere(&self.dir)?;
        chroma_store::keep_temporary_files_in(&self.dir);
        progress.step("verifying");
        let options = OpenOptions {
            roll_back: true,
            ..OpenOptions::default()
        };
        Interrupt::listen()?.say(format!(
            "interrupted: {} keeps the collections that were finished. It may have a SQLite journal or a file chroma.sqlite3.vacuum; run the command again, or open the directory once with chromadb, to roll the journal back",
            self.dir.display()
        ))?;
        // Nothing changes in a directory that has damage besides its index files.
        let found = match chroma_store::survey(&self.dir, VerifyLevel::Full) {
            Err(StoreError::HotJournal { .. }) => {
                drop(Store::open(&self.dir, options)?);
                chroma_store::survey(&self.dir, VerifyLevel::Full)?
            }
            found => found?,
        };
        found.report.into_indexable(&self.dir)?;
        let damaged: Vec<FullName> = found
            .index_damage
            .into_iter()
            .map(|damage| damage.collection)
            .collect();
        let mut store = Store::open(&self.dir, options)?;
        let flush = FlushOptions {
            when: FlushWhen::Always,
            threads: self.threads,
            read_back: true,
            ..FlushOptions::default()
        };
        let all: Vec<FullName> = store
            .collections()
            .iter()
            .map(|collection| collection.name.clone())
            .collect();
        // All names are checked before any work, since a finished flush stays.
        let names = self.selection.of(&all, &self.dir)?;
        // Damaged ones may fail, so they come first: then nothing has changed yet.
        let (first, rest): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| damaged.contains(name));
        let others: Vec<&FullName> = damaged
            .iter()
            .filter(|name| !first.contains(name))
            .collect();
        let names: Vec<FullName> = first.iter().cloned().chain(rest).collect();
        progress.step("indexing");
        let mut reports = Vec::new();
        for name in names {
            let report = match rebuild {
                Some(engine) => store.rebuild(&name, engine, flush).map_err(no_vectors)?,
                None => store.flush(&name, flush)?,
            };
            reports.push((name, report));
        }
        store.vacuum_above(self.vacuum_above)?;
        progress.step("closing");
        let closed = store.close(&CloseOptions::default())?;
        progress.step("verifying");
        verify_but_for(&closed, &others)?;
        drop(progress);
        self.print(&reports)?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, reports: &[(FullName, Option<FlushReport>)]) -> Result<(), CommandError> {
        if self.json {
            let collections: Vec<_> = reports
                .iter()
                .map(|(name, report)| {
                    serde_json::json!({
                        "name": name.name, "database": name.database, "tenant": name.tenant,
                        "flushed": report,
                    })
                })
                .collect();
            return output::json(&serde_json::json!({
                "dir": self.dir, "collections": collections,
            }));
        }
        let mut table = Table::new(["collection", "inserted", "unchanged", "removed", "indexed"]);
        for (name, report) in reports {
            let figure = |of: fn(&FlushReport) -> u64| {
                report.map_or_else(|| "-".to_owned(), |report| of(&report).to_string())
            };
            table.row([
                name.to_string(),
                figure(|report| report.inserted),
                figure(|report| report.unchanged),
                figure(|report| report.removed),
                figure(|report| report.indexed),
            ]);
        }
        output::lines(&table.render())?;
        output::line(&format!("indexed and verified: {}", self.dir.display()))
    }
}
