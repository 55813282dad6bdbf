//! Where a command's new directory is to be, and a hidden folder beside it to make it in, so that the
//! last step is one rename.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use chroma_store::StoreError;
use tempfile::TempDir;

use crate::error::CommandError;

/// The folder that a new directory is to be in.
#[derive(Debug)]
pub(super) struct OutputFolder(PathBuf);

impl OutputFolder {
    /// That of `out`, which is not there yet and is inside none of `inputs`.
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
                let message = format!(
                    "{}: there is no such folder for the output",
                    named.display()
                );
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

    /// The folder that `dir` is in.
    pub(super) fn around(dir: &Path) -> Self {
        let parent = dir.parent().unwrap_or(dir);
        let is_unnamed = parent.as_os_str().is_empty();
        Self(if is_unnamed { Path::new(".") } else { parent }.to_path_buf())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A hidden folder there, named after the command. It is removed when it is dropped. SQLite's
    /// temporary files are kept beside it.
    pub(super) fn scratch(&self, command: &str) -> Result<TempDir, CommandError> {
        let prefix = format!(".chroma-{command}-");
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(&self.0);
        let made = made.map_err(|error| {
            // Its text has the hidden name, which says nothing to anyone; its cause has not.
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
