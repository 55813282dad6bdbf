//! The folder that a command's new directory goes into. The command makes the directory in a hidden folder
//! there, so that its last step is one rename.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use chroma_store::StoreError;
use tempfile::TempDir;

use crate::error::CommandError;

/// The folder that a new directory goes into.
#[derive(Debug)]
pub(super) struct OutputFolder(PathBuf);

impl OutputFolder {
    /// The folder of the new directory `out`.
    ///
    /// # Errors
    /// `out` exists, its folder does not, or `out` is inside one of `inputs`.
    pub(super) fn of<'a>(
        out: &Path,
        inputs: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, CommandError> {
        if out.symlink_metadata().is_ok() {
            let path = out.to_path_buf();
            return Err(StoreError::AlreadyExists { path }.into());
        }
        let named = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent = match fs_err::canonicalize(named) {
            Ok(parent) => parent,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let message = format!("{}: no such folder for the output", named.display());
                return Err(CommandError::io(Error::other(message)));
            }
            Err(error) => return Err(CommandError::io(error)),
        };
        let mut inputs = inputs.into_iter();
        let around = inputs.find(|input| {
            let input = input.canonicalize();
            input.is_ok_and(|input| parent.starts_with(input))
        });
        match around {
            None => Ok(Self(named.to_path_buf())),
            Some(input) => {
                let (out, input) = (out.display(), input.display());
                let message = format!("the output {out} is inside {input}");
                Err(CommandError::usage(message).with_help("choose a folder beside it"))
            }
        }
    }

    /// The folder that the existing or new directory `dir` is in.
    pub(super) fn around(dir: &Path) -> Self {
        let parent = dir.parent().unwrap_or(dir);
        let is_unnamed = parent.as_os_str().is_empty();
        Self(if is_unnamed { Path::new(".") } else { parent }.to_path_buf())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a hidden folder there, named after the command, which is removed when dropped. Tells SQLite to
    /// keep its temporary files beside it.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(super) fn scratch(&self, command: &str) -> Result<TempDir, CommandError> {
        let prefix = format!(".chroma-{command}-");
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(&self.0);
        let made = made.map_err(|error| {
            // The error's own text has the hidden name, which means nothing to the user. Its cause does not.
            let mut reason: &dyn std::error::Error = &error;
            while let Some(cause) = reason.source() {
                reason = cause;
            }
            let message = format!("cannot write to the folder {}: {reason}", self.0.display());
            CommandError::io(Error::other(message))
        })?;
        chroma_store::keep_temporary_files_in(&self.0);
        Ok(made)
    }
}
