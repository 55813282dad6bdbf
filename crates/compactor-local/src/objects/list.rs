//! Listings: keys in byte order by plain prefix, although the store is a tree of folders. Links and
//! special files are left out, so that one of them does not make a listing fail.

use std::io;
use std::path::Path;

use compactor_core::ports::{ObjectInfo, Page, PortResult};

use super::layout::{Layout, is_segment};
use super::safe_open::{self, is_absence};
use super::tag;
use crate::fault::io_error;

const PAGE: usize = 1_000;

pub(super) fn objects(
    layout: &Layout,
    prefix: &str,
    after: Option<&str>,
) -> PortResult<Page<ObjectInfo>> {
    let mut walk = Walk {
        prefix,
        after,
        found: Vec::new(),
    };
    if let Some((folder, _)) = base(layout, prefix) {
        let key = prefix.rfind('/').map_or("", |at| &prefix[..=at]);
        walk.folder(&folder, key)
            .map_err(|error| io_error("list objects", prefix, error))?;
    }
    layout.check_root("list objects", prefix)?;
    Ok(page(walk.found, |info| info.key.clone()))
}

pub(super) fn folders(
    layout: &Layout,
    prefix: &str,
    after: Option<&str>,
) -> PortResult<Page<String>> {
    let failed = |error| io_error("list folders", prefix, error);
    let mut found = Vec::new();
    if let Some((folder, "")) = base(layout, prefix) {
        for entry in entries(&folder).map_err(failed)? {
            let Some(name) = entry.strip_suffix('/') else {
                continue;
            };
            if after.is_some_and(|after| name <= after) {
                continue;
            }
            // A folder without objects is a leftover, not a folder of keys.
            if holds_an_object(&folder.join(name)).map_err(failed)? {
                found.push(name.to_owned());
            }
        }
        // Entries come in the order of keys, in which `v1-x/` is before `v1/`.
        found.sort();
        found.truncate(PAGE + 1);
    }
    layout.check_root("list folders", prefix)?;
    Ok(page(found, Clone::clone))
}

/// The deepest folder that contains all keys with the prefix, and the rest of the prefix. `None` if no key
/// can have the prefix.
fn base<'a>(layout: &Layout, prefix: &'a str) -> Option<(std::path::PathBuf, &'a str)> {
    match prefix.rsplit_once('/') {
        None => Some((layout.objects.clone(), prefix)),
        Some((folder, rest)) if !prefix.contains('\0') && folder.split('/').all(is_segment) => {
            // A link on the way would lead out of the store.
            let found = safe_open::look(&layout.objects, folder);
            let is_odd = found.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
            (!is_odd).then(|| (layout.objects.join(folder), rest))
        }
        Some(_) => None,
    }
}

struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    found: Vec<ObjectInfo>,
}

impl Walk<'_> {
    /// Visits the folder whose keys all start with `key`, until one more key than a page is found.
    fn folder(&mut self, path: &Path, key: &str) -> io::Result<()> {
        for entry in entries(path)? {
            if self.found.len() > PAGE {
                return Ok(());
            }
            let child = format!("{key}{entry}");
            if let Some(name) = entry.strip_suffix('/') {
                let related = child.starts_with(self.prefix) || self.prefix.starts_with(&child);
                if related && !self.is_past(&child) {
                    self.folder(&path.join(name), &child)?;
                }
            } else if child.starts_with(self.prefix)
                && self.after.is_none_or(|after| *child > *after)
            {
                self.object(&path.join(&entry), child)?;
            }
        }
        Ok(())
    }

    /// Whether every key below `folder`, which ends in `/`, was on an earlier page.
    fn is_past(&self, folder: &str) -> bool {
        self.after
            .is_some_and(|after| folder < after && !after.starts_with(folder))
    }

    fn object(&mut self, path: &Path, key: String) -> io::Result<()> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let etag = tag::of(&metadata);
                self.found.push(ObjectInfo {
                    key,
                    size: metadata.len(),
                    etag,
                });
                Ok(())
            }
            // No object, or one that was just deleted.
            Ok(_) => Ok(()),
            Err(error) if is_absence(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The names of the files and folders in a folder, in the order of their keys; names of folders end in
/// `/`. Empty if the folder does not exist. Names that are not UTF-8 are left out: they are no keys.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let listing = match fs_err::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry?;
        let kind = entry.file_type()?;
        if let Ok(name) = entry.file_name().into_string() {
            if kind.is_dir() {
                names.push(name + "/");
            } else if kind.is_file() {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

fn holds_an_object(folder: &Path) -> io::Result<bool> {
    for entry in entries(folder)? {
        let holds = match entry.strip_suffix('/') {
            None => true,
            Some(name) => holds_an_object(&folder.join(name))?,
        };
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

fn page<T>(mut entries: Vec<T>, name: impl Fn(&T) -> String) -> Page<T> {
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let next = if more { entries.last().map(name) } else { None };
    Page { entries, next }
}
