//! `store vacuum DIR`: gives the free pages of the database back to the disk.

use std::path::PathBuf;
use std::process::ExitCode;

use chroma_store::{CloseOptions, OpenOptions, Store, VerifyLevel};
use clap::Args;

use crate::cli::interrupt::Interrupt;
use crate::error::CommandError;
use crate::output::{self, Progress};

#[derive(Debug, Args)]
pub(crate) struct Vacuum {
    /// The Chroma directory, the one with chroma.sqlite3. Its disk needs room for a copy of the database.
    dir: PathBuf,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Vacuum {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let progress = Progress::new(4, self.json);
        chroma_store::refuse_open_elsewhere(&self.dir)?;
        chroma_store::keep_temporary_files_in(&self.dir);
        progress.step("verifying");
        let options = OpenOptions {
            roll_back: true,
            ..OpenOptions::default()
        };
        // A damaged database must not be rewritten.
        chroma_store::survey(&self.dir, VerifyLevel::Full)?
            .report
            .into_sound(&self.dir)?;
        Interrupt::listen()?.remove_all(chroma_store::vacuum_leftovers(&self.dir))?;
        let mut store = Store::open(&self.dir, options)?;
        let before = store.database_size()?;
        progress.step("vacuuming");
        store.vacuum()?;
        let after = store.database_size()?;
        progress.step("closing");
        let closed = store.close(&CloseOptions::default())?;
        progress.step("verifying");
        closed.verify(VerifyLevel::Full)?;
        drop(progress);
        if self.json {
            output::json(&serde_json::json!({"dir": self.dir, "before": before, "after": after}))?;
        } else {
            output::line(&format!(
                "{}: {} bytes before, {} % of them free; {} bytes now",
                self.dir.display(),
                before.bytes,
                before.free_percent(),
                after.bytes
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
