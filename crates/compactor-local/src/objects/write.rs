//! Writing and deleting bodies.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compactor_core::ports::{
    Attributes, Condition, ETag, Fault, Ids, PortError, PortResult, PutOutcome, Uploaded,
};
use digest_io::HashReader;
use sha2::Sha256;
use tempfile::NamedTempFile;

use super::layout::Layout;
use super::read::is_absence;
use super::{locks, sidecar, tag};
use crate::fault::{io_error, local_file_error};

// Others prune empty folders; each time costs them a deletion, so this is never reached.
const FOLDER_ATTEMPTS: usize = 100;

/// Where the content of a write comes from.
pub(super) enum Source<'a> {
    Bytes(&'a [u8]),
    Reader(&'a mut dyn io::Read),
}

/// Writes one key.
pub(super) struct Writer {
    operation: &'static str,
    layout: Arc<Layout>,
    ids: Arc<dyn Ids>,
    key: String,
    body: PathBuf,
    sidecars: PathBuf,
}

impl Writer {
    pub(super) fn new(
        operation: &'static str,
        layout: Arc<Layout>,
        ids: Arc<dyn Ids>,
        key: &str,
    ) -> PortResult<Self> {
        let (body, sidecars) = (
            layout.body(operation, key)?,
            layout.sidecars(operation, key)?,
        );
        Ok(Self {
            operation,
            layout,
            ids,
            key: key.to_owned(),
            body,
            sidecars,
        })
    }

    pub(super) fn write(
        &self,
        source: Source<'_>,
        condition: &Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        self.layout.check_root(self.operation, &self.key)?;
        // A put that is refused already need not copy anything first.
        if let Some(refusal) = refusal(condition, self.current()?.as_ref()) {
            return Ok(refusal);
        }
        let temporary = self.fill(source)?;
        let _turn = self.turn()?;
        let replaced = self.current()?;
        if let Some(refusal) = refusal(condition, replaced.as_ref()) {
            return Ok(refusal);
        }
        let etag = tag::stamp(temporary.as_file(), replaced.as_ref(), &*self.ids)
            .and_then(|etag| temporary.as_file().sync_all().map(|()| etag))
            .map_err(|error| self.error(error))?;
        self.write_sidecar(&etag, metadata)?;
        if let Err(error) = self.put_in_place(temporary) {
            if error.fault != Fault::OutcomeUnknown {
                let _ =
                    sidecar::remove_stale(&self.sidecars, replaced.as_ref().map(tag::of).as_ref());
                prune(&self.sidecars, &self.layout.meta);
            }
            return Err(error);
        }
        // A stale sidecar does no harm: no body has its tag any more.
        let _ = sidecar::remove_stale(&self.sidecars, Some(&etag));
        prune(&self.sidecars, &self.layout.meta);
        Ok(PutOutcome::Written(etag))
    }

    pub(super) fn upload(
        &self,
        from: &Path,
        condition: &Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        let file = File::open(from);
        let file = file.map_err(|error| local_file_error(self.operation, from, error))?;
        let mut reader = HashReader::<Sha256, _>::new(file);
        let outcome = self.write(Source::Reader(&mut reader), condition, metadata)?;
        let is_read = matches!(outcome, PutOutcome::Written(_));
        Ok(Uploaded {
            outcome,
            sha256: is_read.then(|| hex::encode(reader.finalize())),
        })
    }

    pub(super) fn delete(&self) -> PortResult<()> {
        let _turn = self.turn()?;
        match self.current()? {
            None => self.layout.check_root(self.operation, &self.key)?,
            Some(_) => {
                fs_err::remove_file(&self.body).map_err(|error| self.error(error))?;
                self.sync_folder(&self.body)?;
            }
        }
        sidecar::remove_stale(&self.sidecars, None).map_err(|error| self.error(error))?;
        prune(&self.sidecars, &self.layout.meta);
        if let Some(parent) = self.body.parent() {
            prune(parent, &self.layout.objects);
        }
        Ok(())
    }

    fn turn(&self) -> PortResult<locks::Turn> {
        locks::turn(&self.layout.locks, &self.key).map_err(|error| self.error(error))
    }

    fn current(&self) -> PortResult<Option<Metadata>> {
        match std::fs::symlink_metadata(&self.body) {
            Ok(metadata) => Ok(Some(metadata).filter(Metadata::is_file)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    fn fill(&self, source: Source<'_>) -> PortResult<NamedTempFile> {
        match source {
            Source::Bytes(mut bytes) => self.temporary_with(&mut bytes),
            Source::Reader(reader) => self.temporary_with(reader),
        }
    }

    fn temporary_with(&self, content: &mut (impl io::Read + ?Sized)) -> PortResult<NamedTempFile> {
        let mut copy = || {
            let mut temporary = tempfile::Builder::new()
                // As any new file, readable for whom the umask lets; not for the owner alone.
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(&self.layout.temporary)?;
            io::copy(content, temporary.as_file_mut())?;
            // Here and not under the lock, for this is what takes long.
            temporary.as_file().sync_data()?;
            Ok(temporary)
        };
        copy().map_err(|error| self.error(error))
    }

    fn write_sidecar(&self, etag: &ETag, metadata: &Attributes) -> PortResult<()> {
        if metadata.is_empty() {
            return Ok(());
        }
        self.in_folder(&self.layout.meta, &self.sidecars, || {
            sidecar::write(&self.sidecars, etag, metadata)
        })
    }

    fn put_in_place(&self, temporary: NamedTempFile) -> PortResult<()> {
        let folder = self.body.parent().unwrap_or(&self.layout.objects);
        // Renamed by hand: `persist` consumes the file, and the rename may have to be repeated.
        let (_, path) = temporary.into_parts();
        self.in_folder(&self.layout.objects, folder, || self.rename(&path))?;
        // It is gone from where it was; nothing is left to remove.
        let _ = path.keep();
        self.sync_folder(&self.body)
    }

    fn rename(&self, from: &Path) -> io::Result<()> {
        match std::fs::rename(from, &self.body) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                // An empty folder may be left of a deletion that was killed.
                std::fs::remove_dir(&self.body).map_err(|_| error)?;
                std::fs::rename(from, &self.body)
            }
            result => result,
        }
    }

    /// Does `work` in `folder`, which is made first, as often as others remove the folder between
    /// the two.
    fn in_folder(
        &self,
        top: &Path,
        folder: &Path,
        work: impl Fn() -> io::Result<()>,
    ) -> PortResult<()> {
        let mut attempts = 0;
        loop {
            let result = make_folder(top, folder).and_then(|()| work());
            match result {
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && attempts < FOLDER_ATTEMPTS =>
                {
                    self.layout.check_root(self.operation, &self.key)?;
                    attempts += 1;
                }
                result => return result.map_err(|error| self.error(error)),
            }
        }
    }

    /// After this the change of the folder survives a power cut. Without it, nobody knows.
    fn sync_folder(&self, entry: &Path) -> PortResult<()> {
        let folder = entry.parent().unwrap_or(&self.layout.objects);
        sync(folder).map_err(|error| {
            let mut error = self.error(error);
            error.fault = Fault::OutcomeUnknown;
            error
        })
    }

    fn error(&self, error: io::Error) -> PortError {
        match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                let reason = "a part of this key is itself an object; a directory cannot hold both";
                PortError::new(self.operation, self.key.clone(), Fault::Invalid, reason)
                    .with_source(error)
            }
            io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => {
                let reason = "this key is a part of other keys; a directory cannot hold both";
                PortError::new(self.operation, self.key.clone(), Fault::Invalid, reason)
                    .with_source(error)
            }
            _ => io_error(self.operation, &self.key, error),
        }
    }
}

fn refusal(condition: &Condition, current: Option<&Metadata>) -> Option<PutOutcome> {
    match (condition, current) {
        (Condition::Always, _) | (Condition::IfAbsent, None) => None,
        (Condition::IfAbsent, Some(_)) => Some(PutOutcome::PreconditionFailed),
        (Condition::IfMatch(_), None) => Some(PutOutcome::Absent),
        (Condition::IfMatch(expected), Some(current)) => {
            (*expected != tag::of(current)).then_some(PutOutcome::PreconditionFailed)
        }
    }
}

/// Makes `folder` and its parents up to `top`, each of which survives a power cut.
fn make_folder(top: &Path, folder: &Path) -> io::Result<()> {
    if folder == top || folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else {
        return Ok(());
    };
    make_folder(top, parent)?;
    match std::fs::create_dir(folder) {
        Ok(()) => sync(parent),
        // Somebody else was faster, or there is an object.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes `folder` and its parents below `top` as far as they are empty. Only ever removes what is
/// empty, so it cannot do harm, and leaves an empty folder at worst.
fn prune(folder: &Path, top: &Path) {
    let mut folder = folder;
    while folder != top && folder.starts_with(top) && std::fs::remove_dir(folder).is_ok() {
        match folder.parent() {
            Some(parent) => folder = parent,
            None => return,
        }
    }
}
