//! Which file an object becomes. Keys come from outside, so a name that leads out of the folder, or that
//! no file can have, is refused.

use std::path::{Path, PathBuf};

use compactor_core::keys::LONGEST_PART;

use crate::{Error, Result};

/// The path below `to` of the object `key`, which is below `prefix`.
///
/// # Errors
/// [`Error::ObjectName`]: the key is not below the prefix, or a part of it is empty, `.`, `..`, too long
/// for a file name, or contains a backslash or a NUL.
pub fn file_for_object(to: &Path, prefix: &str, key: &str) -> Result<PathBuf> {
    let refuse = || Error::ObjectName {
        key: key.to_owned(),
    };
    let relative = key.strip_prefix(prefix).ok_or_else(refuse)?;
    let is_safe = relative.split('/').all(|part| {
        let is_too_long = part.len() > LONGEST_PART;
        !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']) && !is_too_long
    });
    match is_safe {
        true => Ok(to.join(relative)),
        false => Err(refuse()),
    }
}
