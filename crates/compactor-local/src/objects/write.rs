//! Writes and deletions of bodies.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compactor_core::ports::{
    Attributes, Condition, Fault, Ids, PortError, PortResult, PutOutcome, Uploaded,
};
use digest_io::HashReader;
use sha2::Sha256;
use tempfile::NamedTempFile;

use super::layout::Layout;
use super::sidecar::Sidecars;
use super::{folders, locks, safe_open, sidecar, tag};
use crate::access::{self, PRIVATE_FOLDER};
use crate::fault::io_error;
use crate::lock_file::Turn;

// Other writers prune empty folders. Each time takes a deletion of theirs, so this is never reached.
const FOLDER_ATTEMPTS: usize = 100;

/// The source of the content of a write.
pub(super) enum Source<'a> {
    Bytes(&'a [u8]),
    Reader(&'a mut dyn io::Read),
}

/// A new body, complete but not in place yet.
struct Filled {
    temporary: NamedTempFile,
    sha256: String,
}

/// A writer of one key.
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
    ) -> PortResult<Uploaded> {
        self.layout.check_root(self.operation, &self.key)?;
        // A put that is refused now need not copy its content first.
        if let Some(refused) = refusal(condition, self.current()?.as_ref()) {
            return Ok(refused);
        }
        let Filled { temporary, sha256 } = self.fill(source)?;
        let _turn = self.turn()?;
        let replaced = self.current()?;
        if let Some(refused) = refusal(condition, replaced.as_ref()) {
            return Ok(refused);
        }
        let new = tag::stamp(temporary.as_file(), replaced.as_ref(), &*self.ids)
            .and_then(|new| temporary.as_file().sync_all().map(|()| new))
            .map_err(|error| self.error(error))?;
        self.write_sidecars(replaced.as_ref(), &new, &sha256, metadata)?;
        if let Err(error) = self.put_in_place(temporary) {
            if error.fault != Fault::OutcomeUnknown {
                let _ = self.remove_stale(replaced.as_ref());
            }
            return Err(error);
        }
        // A stale sidecar is harmless: no body has its time any more.
        let _ = self.remove_stale(Some(&new));
        Ok(Uploaded {
            outcome: PutOutcome::Written(tag::of(&new)),
            sha256: Some(sha256),
        })
    }

    pub(super) fn upload(
        &self,
        from: &Path,
        condition: &Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        let file = File::open(from);
        let mut file = file.map_err(|error| PortError::of_file(self.operation, from, error))?;
        self.write(Source::Reader(&mut file), condition, metadata)
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
        self.remove_stale(None).map_err(|error| self.error(error))?;
        if let Some(parent) = self.body.parent() {
            folders::prune(parent, &self.layout.objects);
        }
        Ok(())
    }

    fn turn(&self) -> PortResult<Turn> {
        locks::turn(&self.layout.locks, &self.key).map_err(|error| self.error(error))
    }

    fn current(&self) -> PortResult<Option<Metadata>> {
        let found = safe_open::look(&self.layout.objects, &self.key);
        let found = found.map_err(|error| self.error(error))?;
        Ok(found.filter(Metadata::is_file))
    }

    fn fill(&self, source: Source<'_>) -> PortResult<Filled> {
        match source {
            Source::Bytes(mut bytes) => self.temporary_with(&mut bytes),
            Source::Reader(reader) => self.temporary_with(reader),
        }
    }

    fn temporary_with(&self, content: &mut dyn io::Read) -> PortResult<Filled> {
        let mut content = HashReader::<Sha256, _>::new(content);
        let (folder, mode) = (&self.layout.temporary, self.layout.access.of_objects());
        let mut copy = || {
            let mut temporary = NamedTempFile::new_in(folder)?;
            access::settle(temporary.as_file(), folder, mode)?;
            io::copy(&mut content, temporary.as_file_mut())?;
            // Not under the lock, because this takes long.
            temporary.as_file().sync_data()?;
            Ok(temporary)
        };
        let temporary = copy().map_err(|error| self.error(error))?;
        let sha256 = hex::encode(content.finalize());
        Ok(Filled { temporary, sha256 })
    }

    /// If the new or the replaced body has metadata, both get a sidecar. Otherwise the one without could be
    /// taken for a copy of the other, if their content is the same.
    fn write_sidecars(
        &self,
        replaced: Option<&Metadata>,
        new: &Metadata,
        sha256: &str,
        metadata: &Attributes,
    ) -> PortResult<()> {
        let found = Sidecars::list(&self.sidecars).map_err(|error| self.error(error))?;
        if metadata.is_empty() && found.is_empty() {
            return Ok(());
        }
        let late = match replaced {
            Some(body) if !found.has(body) => {
                let of_copy = safe_open::open(&self.layout.objects, &self.key)
                    .and_then(|open| match open {
                        Some((mut body, _)) => found.read_by_content(&mut body),
                        None => Ok(None),
                    })
                    .map_err(|error| self.error(error))?;
                Some((body, of_copy.unwrap_or_default()))
            }
            Some(_) | None => None,
        };
        let top = (self.layout.meta.as_path(), PRIVATE_FOLDER);
        self.in_folder(top, &self.sidecars, || {
            if let Some((body, metadata)) = &late {
                sidecar::write_late(&self.sidecars, body, metadata)?;
            }
            sidecar::write(&self.sidecars, new, sha256, metadata)
        })
    }

    fn remove_stale(&self, current: Option<&Metadata>) -> io::Result<()> {
        Sidecars::list(&self.sidecars)?.remove_stale(current)?;
        folders::prune(&self.sidecars, &self.layout.meta);
        Ok(())
    }

    fn put_in_place(&self, temporary: NamedTempFile) -> PortResult<()> {
        let folder = self.body.parent().unwrap_or(&self.layout.objects);
        // Not `persist`, which consumes the file: the rename may have to be repeated.
        let (_, path) = temporary.into_parts();
        let top = (&*self.layout.objects, self.layout.access.of_folders());
        self.in_folder(top, folder, || self.rename(&path))?;
        // The rename took the temporary file away; nothing is left to remove.
        let _ = path.keep();
        self.sync_folder(&self.body)
    }

    fn rename(&self, from: &Path) -> io::Result<()> {
        match std::fs::rename(from, &self.body) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                // A deletion that was killed may have left an empty folder.
                std::fs::remove_dir(&self.body).map_err(|_| error)?;
                std::fs::rename(from, &self.body)
            }
            result => result,
        }
    }

    /// Makes `folder`, which is below `top`, with `mode`, and does `work` in it. Repeats both if another
    /// process removes the folder in between.
    fn in_folder(
        &self,
        (top, mode): (&Path, u32),
        folder: &Path,
        work: impl Fn() -> io::Result<()>,
    ) -> PortResult<()> {
        let mut attempts = 0;
        loop {
            let result = folders::make(top, folder, mode).and_then(|()| work());
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

    /// Makes a change in the folder of `entry` survive a power cut. If this fails, the change may or may not
    /// survive.
    fn sync_folder(&self, entry: &Path) -> PortResult<()> {
        let folder = entry.parent().unwrap_or(&self.layout.objects);
        folders::sync(folder).map_err(|error| {
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

fn refusal(condition: &Condition, current: Option<&Metadata>) -> Option<Uploaded> {
    let outcome = match (condition, current) {
        (Condition::Always, _) | (Condition::IfAbsent, None) => None,
        (Condition::IfAbsent, Some(_)) => Some(PutOutcome::PreconditionFailed),
        (Condition::IfMatch(_), None) => Some(PutOutcome::Absent),
        (Condition::IfMatch(expected), Some(current)) => {
            (*expected != tag::of(current)).then_some(PutOutcome::PreconditionFailed)
        }
    };
    outcome.map(|outcome| Uploaded {
        outcome,
        sha256: None,
    })
}

#[cfg(test)]
mod tests {
    use compactor_core::fakes::SeededIds;
    use compactor_core::ports::WallTime;

    use super::super::read;
    use super::*;

    fn metadata(text: &str) -> Attributes {
        let pair = (!text.is_empty()).then(|| ("of".to_owned(), text.to_owned()));
        pair.into_iter().collect()
    }

    fn writer(layout: &Arc<Layout>) -> Writer {
        let ids = Arc::new(SeededIds::new(1));
        Writer::new("test", layout.clone(), ids, "a/k").unwrap()
    }

    fn put(writer: &Writer, (content, text): (&str, &str)) {
        let source = Source::Bytes(content.as_bytes());
        writer
            .write(source, &Condition::Always, &metadata(text))
            .unwrap();
    }

    /// Does what a write does until it is killed, before or after its rename.
    fn killed(writer: &Writer, (content, text): (&str, &str), renamed: bool) {
        let filled = writer.fill(Source::Bytes(content.as_bytes())).unwrap();
        let (file, replaced) = (filled.temporary.as_file(), writer.current().unwrap());
        let new = tag::stamp(file, replaced.as_ref(), &*writer.ids).unwrap();
        let (replaced, text) = (replaced.as_ref(), metadata(text));
        writer
            .write_sidecars(replaced, &new, &filled.sha256, &text)
            .unwrap();
        if renamed {
            writer.put_in_place(filled.temporary).unwrap();
        }
    }

    fn check(first: (&str, &str), second: (&str, &str), third: (&str, &str), renamed: bool) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::create(folder.path(), None, WallTime(0)).unwrap());
        let writer = writer(&layout);
        let assert_is = |(content, text): (&str, &str)| {
            let what = format!("{first:?} {second:?} {third:?}, renamed: {renamed}");
            let found = read::object(&layout, "a/k", 9).unwrap().unwrap();
            assert_eq!(found.body, content.as_bytes(), "{what}");
            assert_eq!(found.metadata, metadata(text), "{what}");
        };
        put(&writer, first);
        assert_is(first);
        killed(&writer, second, renamed);
        assert_is(if renamed { second } else { first });
        killed(&writer, third, !renamed);
        assert_is(if renamed { second } else { third });
        put(&writer, third);
        assert_is(third);
        writer.delete().unwrap();
        assert!(!layout.meta.join("a").exists());
    }

    #[test]
    fn object_body_never_has_the_metadata_of_another() {
        let bodies = [("x", ""), ("x", "one"), ("x", "two"), ("y", "two")];
        for first in bodies {
            for second in bodies {
                for third in bodies {
                    for renamed in [false, true] {
                        check(first, second, third, renamed);
                    }
                }
            }
        }
    }
}
