//! `store repair DIR --salvage NEW`: saves every record that can still be read.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chroma_store::{CloseOptions, Kind, Lost, NewIds, StoreError, VerifyLevel};
use compactor_core::ports::Ids as _;
use compactor_local::RandomIds;

use super::output_folder::OutputFolder;
use crate::cli::interrupt::Interrupt;
use crate::error::CommandError;
use crate::output::{self, Progress};

const NOTHING_SAVED: &str = "not even the list of collections can be read: copy the directory again from its source, or look for rows with `sqlite3 chroma.sqlite3 .recover`";

/// How many losses are printed. The list file has all of them.
const SHOWN: usize = 10;

/// Saves what can be read of `dir` into the new directory `new`, and lists the losses beside it.
///
/// # Errors
/// `new` or its list exists, or cannot be written; not even the collections of `dir` can be read.
pub(super) fn save(dir: &Path, new: &Path, json: bool) -> Result<ExitCode, CommandError> {
    let folder = OutputFolder::of(new, [dir])?;
    let list = listed_as(new);
    if list.symlink_metadata().is_ok() {
        return Err(StoreError::AlreadyExists { path: list }.into());
    }
    let interrupt = Interrupt::listen()?;
    let scratch = folder.scratch("salvage")?;
    let interrupted = interrupt.remove(scratch.path())?;
    let work = scratch.path().join("saved");
    let progress = Progress::new(2, json);
    let made = || -> Result<_, CommandError> {
        progress.step("reading");
        let ids = RandomIds;
        let salvaged = chroma_store::salvage(dir, &work, || NewIds {
            collection: ids.uuid(),
            vector_segment: ids.uuid(),
            metadata_segment: ids.uuid(),
        });
        let salvaged = salvaged.map_err(|error| match error.kind() {
            Kind::BadInput => CommandError::from(error).with_help(NOTHING_SAVED),
            _ => error.into(),
        })?;
        progress.step("verifying the result");
        let closed = salvaged.store.close(&CloseOptions::default())?;
        closed.verify(VerifyLevel::Full)?;
        Ok((salvaged.saved, salvaged.lost))
    };
    let (saved, lost) = interrupted.unless(made())?;
    interrupted.finish();
    if !lost.is_empty() {
        write_list(&list, &lost)?;
    }
    fs_err::rename(&work, new).map_err(CommandError::io)?;
    drop(progress);
    let kept = (!lost.is_empty()).then_some(list);
    if json {
        let saved: Vec<_> = saved
            .iter()
            .map(
                |(name, records)| serde_json::json!({"name": name.to_string(), "records": records}),
            )
            .collect();
        output::json(&serde_json::json!({
            "dir": dir, "new": new, "saved": saved, "lost": lost.len(), "list": kept,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, records) in &saved {
        output::line(&format!("{name}: {records} records saved"))?;
    }
    for one in lost.iter().take(SHOWN) {
        output::line(&format!("lost: {}", in_words(one)))?;
    }
    output::line(&match kept {
        Some(list) => format!(
            "saved and verified: {}; {} lists what was lost or replaced ({} lines)",
            new.display(),
            list.display(),
            lost.len()
        ),
        None => format!("saved and verified: {}; nothing was lost", new.display()),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn in_words(lost: &Lost) -> String {
    let parts = [&lost.collection, &lost.id];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    match parts.is_empty() {
        true => lost.reason.clone(),
        false => format!("{}: {}", parts.join(" "), lost.reason),
    }
}

fn listed_as(new: &Path) -> PathBuf {
    let mut name = new.as_os_str().to_owned();
    name.push(".lost.jsonl");
    PathBuf::from(name)
}

fn write_list(path: &Path, lost: &[Lost]) -> Result<(), CommandError> {
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(fs_err::File::create_new(path)?);
        for one in lost {
            serde_json::to_writer(&mut file, one)?;
            file.write_all(b"\n")?;
        }
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()
    };
    write().map_err(CommandError::io)
}
