//! Looks at and opens the file of a key, without following links, which lead out of the store, and
//! without blocking, as a FIFO would.

use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

/// The file or folder at a key. `None` if there is none, or if an object takes the place of a folder on
/// the way.
///
/// # Errors
/// An error of the kind `InvalidData` if it, or a folder on the way, is a symbolic link, FIFO, socket or
/// device; the text says which.
pub(super) fn look(objects: &Path, key: &str) -> io::Result<Option<Metadata>> {
    let mut path = objects.to_owned();
    let mut parts = key.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let found = match std::fs::symlink_metadata(&path) {
            Err(error) if is_absence(&error) => return Ok(None),
            found => found?,
        };
        let wanted = if parts.peek().is_some() {
            "folder"
        } else {
            "file"
        };
        refuse_odd(&path, found.file_type(), wanted)?;
        if parts.peek().is_none() {
            return Ok(Some(found));
        }
        if !found.is_dir() {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Opens the file of a key. `None` if there is none.
///
/// # Errors
/// As [`look`]; nothing is opened then.
pub(super) fn open(objects: &Path, key: &str) -> io::Result<Option<(File, Metadata)>> {
    match look(objects, key)? {
        Some(found) if found.is_file() => {}
        Some(_) | None => return Ok(None),
    }
    // Another process may put a link here from now on.
    let opened = open_below(objects, key).and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, file)) if metadata.is_file() => Ok(Some((file, metadata))),
        Ok((metadata, _)) => {
            refuse_odd(&objects.join(key), metadata.file_type(), "file")?;
            Ok(None)
        }
        Err(error) => {
            look(objects, key)?;
            match is_absence(&error) {
                true => Ok(None),
                false => Err(error),
            }
        }
    }
}

/// Opens folder after folder, so that no process can exchange a folder on the way for a link.
fn open_below(objects: &Path, key: &str) -> io::Result<File> {
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut inside = openat(CWD, objects, folder, Mode::empty())?;
    let (folders, name) = key.rsplit_once('/').unwrap_or(("", key));
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        inside = openat(&inside, part, folder | OFlags::NOFOLLOW, Mode::empty())?;
    }
    let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(&inside, name, file, Mode::empty())?.into())
}

/// Whether the error means that the key does not exist: there is no file, or an object takes the place of
/// a folder on the way.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Refuses everything that is neither a file nor a folder.
pub(super) fn refuse_odd(path: &Path, found: FileType, wanted: &str) -> io::Result<()> {
    let what = if found.is_file() || found.is_dir() {
        return Ok(());
    } else if found.is_symlink() {
        "a symbolic link"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    let text = format!("{} is {what}, not a {wanted}", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The link appears after `look`.
    #[test]
    fn link_that_appears_after_the_check_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (objects, outside) = (place.path().join("objects"), place.path().join("outside"));
        for folder in [&objects.join("a"), &outside] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("file"), "x").unwrap();
        }
        symlink(outside.join("file"), objects.join("a/link")).unwrap();
        symlink(&outside, objects.join("linked")).unwrap();
        rustix::fs::mkfifoat(CWD, objects.join("fifo"), Mode::RWXU).unwrap();
        assert!(
            open_below(&objects, "a/file")
                .unwrap()
                .metadata()
                .unwrap()
                .is_file()
        );
        assert!(open_below(&objects, "a/link").is_err());
        assert!(open_below(&objects, "linked/file").is_err());
        assert!(
            !open_below(&objects, "fifo")
                .unwrap()
                .metadata()
                .unwrap()
                .is_file()
        );
    }
}
