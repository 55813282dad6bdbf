//! Sidecars: files with the metadata of bodies, in a folder per key. A body without metadata has no
//! sidecar, unless the body before or after it has one.
//!
//! A sidecar's name identifies its body by size, modification time and SHA-256. No two bodies of a key
//! have the same time (`tag`), and most copies of the directory keep it; where a copy lost it, the
//! content identifies the body. Names by earlier builds have inode, size and time.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use compactor_core::ports::Attributes;
use digest_io::HashReader;
use sha2::Sha256;

use super::tag;
use crate::access::open_private;

const SUFFIX: &str = ".json";
const SHA256_LENGTH: usize = 64;

/// The body that a sidecar's name identifies.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    size: String,
    modified: String,
    /// `None` in names by earlier builds.
    sha256: Option<String>,
}

impl Name {
    fn of(body: &Metadata, sha256: Option<&str>) -> Self {
        Self {
            size: format!("{:x}", body.len()),
            modified: format!("{:x}", tag::modified(body).as_nanos()),
            sha256: sha256.map(str::to_owned),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('-').map(str::to_owned);
        let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
        let name = match third.len() {
            SHA256_LENGTH => Self {
                size: first,
                modified: second,
                sha256: Some(third),
            },
            _ => Self {
                size: second,
                modified: third,
                sha256: None,
            },
        };
        parts.next().is_none().then_some(name)
    }

    fn is_of(&self, body: &Metadata) -> bool {
        let of_body = Self::of(body, None);
        (&self.size, &self.modified) == (&of_body.size, &of_body.modified)
    }
}

/// All sidecars of a key, as one listing found them.
#[derive(Debug)]
pub(super) struct Sidecars(Vec<(PathBuf, Option<Name>)>);

impl Sidecars {
    /// Lists the sidecars in the folder of a key.
    pub(super) fn list(folder: &Path) -> io::Result<Self> {
        let entries = match fs_err::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    return Ok(Self(Vec::new()));
                }
                _ => return Err(error),
            },
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Folders hold the sidecars of longer keys.
            if entry.file_type()?.is_file() {
                let name = entry.file_name().to_str().and_then(Name::parse);
                found.push((entry.path(), name));
            }
        }
        Ok(Self(found))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one was written for exactly this body.
    pub(super) fn has(&self, body: &Metadata) -> bool {
        self.of(body).is_some()
    }

    /// The metadata that was written for exactly this body. `None` if there is none, or if it is gone since
    /// the listing, because the body was replaced.
    pub(super) fn read(&self, body: &Metadata) -> io::Result<Option<Attributes>> {
        self.of(body).map_or(Ok(None), read)
    }

    /// The metadata that was written for a body with this content, for bodies whose modification time a copy
    /// has lost. `None` if no sidecar or more than one has the content.
    pub(super) fn read_by_content(&self, body: &mut File) -> io::Result<Option<Attributes>> {
        let has_digest = |name: &Name| name.sha256.is_some();
        let names = || self.0.iter().filter_map(|(_, name)| name.as_ref());
        if !names().any(has_digest) {
            return Ok(None);
        }
        body.rewind()?;
        let mut reader = HashReader::<Sha256, _>::new(&mut *body);
        io::copy(&mut reader, &mut io::sink())?;
        let sha256 = Some(hex::encode(reader.finalize()));
        body.rewind()?;
        let of_content = |name: &Option<Name>| name.as_ref().is_some_and(|n| n.sha256 == sha256);
        let mut fitting = self.0.iter().filter(|(_, name)| of_content(name));
        match (fitting.next(), fitting.next()) {
            (Some((path, _)), None) => read(path),
            _ => Ok(None),
        }
    }

    fn of(&self, body: &Metadata) -> Option<&Path> {
        let is_of = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.is_of(body));
        let found = self.0.iter().find(|(_, name)| is_of(name));
        found.map(|(path, _)| path.as_path())
    }

    /// Removes all sidecars but that of the body in place.
    pub(super) fn remove_stale(&self, current: Option<&Metadata>) -> io::Result<()> {
        let keep = current.and_then(|body| self.of(body));
        let mut paths = self.0.iter().map(|(path, _)| path.as_path());
        paths.try_for_each(|path| match Some(path) == keep {
            true => Ok(()),
            false => fs_err::remove_file(path),
        })
    }
}

fn read(path: &Path) -> io::Result<Option<Attributes>> {
    match fs_err::read(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the sidecar of a body that is not in place yet. The folder must exist.
pub(super) fn write(
    folder: &Path,
    body: &Metadata,
    sha256: &str,
    metadata: &Attributes,
) -> io::Result<()> {
    let Name { size, modified, .. } = Name::of(body, None);
    put(folder, &format!("{size}-{modified}-{sha256}"), metadata)
}

/// Writes a sidecar for the body in place, which has none of its own. The name has the form of earlier
/// builds, because the SHA-256 is not known.
pub(super) fn write_late(folder: &Path, body: &Metadata, metadata: &Attributes) -> io::Result<()> {
    put(folder, &tag::of(body).0, metadata)
}

fn put(folder: &Path, name: &str, metadata: &Attributes) -> io::Result<()> {
    // Renamed once complete: a reader may look at it already.
    let unfinished = folder.join(format!("{name}.new"));
    let mut file = open_private(&unfinished, OpenOptions::new().write(true).truncate(true))?;
    serde_json::to_writer(&mut file, metadata)?;
    file.sync_all()?;
    fs_err::rename(unfinished, folder.join(format!("{name}{SUFFIX}")))?;
    fs_err::File::open(folder)?.sync_all()
}
