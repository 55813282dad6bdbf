//! Which other accounts of this machine may read the files of a data directory.
//!
//! Modes are set after a file is made: the umask changes the mode with which it is made, and may leave
//! too few rights or too many.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::open_error::OpenError;

/// The mode of folders that are for their owner alone.
pub(crate) const PRIVATE_FOLDER: u32 = 0o700;
/// The mode of files that are for their owner alone.
pub(crate) const PRIVATE_FILE: u32 = 0o600;

/// Which accounts besides the owner of a data directory may read its objects. No other account may write
/// to it, and everything but the objects is for the owner alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// No other account: folders have mode 0700, objects 0600.
    #[default]
    Owner,
    /// The group of the files: folders have mode 0750, objects 0640.
    Group,
    /// Every account of the machine: folders have mode 0755, objects 0644.
    All,
}

impl Access {
    /// The mode of the folders of objects, and of a data directory that the store itself makes.
    pub(crate) fn of_folders(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o750,
            Self::All => 0o755,
        }
    }

    /// The mode of objects.
    pub(crate) fn of_objects(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
            Self::All => 0o644,
        }
    }
}

impl Access {
    /// The access of an existing folder of objects; `Owner` if it does not exist.
    pub(crate) fn of_existing(objects: &Path) -> Self {
        match fs::metadata(objects).map_or(0, |found| found.mode()) {
            mode if mode & 0o005 != 0 => Self::All,
            mode if mode & 0o050 != 0 => Self::Group,
            _ => Self::Owner,
        }
    }
}

/// Adds to the root the rights that readers of the objects below it need. Takes none away.
pub(crate) fn open_root(root: &Path, access: Access) -> io::Result<()> {
    let found = fs::metadata(root)?;
    let mode = found.mode() & 0o7777;
    let wanted = mode | access.of_folders();
    match mode == wanted || !is_ours(&found) {
        true => Ok(()),
        false => fs::set_permissions(root, Permissions::from_mode(wanted)),
    }
}

/// Gives everything below the folder of the objects the mode that a new file or folder would get. Leaves
/// links alone, and passes over what another process removes meanwhile.
pub(crate) fn spread(objects: &Path, access: Access) -> io::Result<()> {
    let mut folders = vec![objects.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let Ok(found) = fs::symlink_metadata(&path) else {
                continue;
            };
            let mode = match (found.is_dir(), found.is_file()) {
                (true, _) => access.of_folders(),
                (_, true) => access.of_objects(),
                _ => continue,
            };
            if is_ours(&found) && found.mode() & 0o777 != mode {
                match fs::set_permissions(&path, Permissions::from_mode(mode)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    set => set?,
                }
            }
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// Makes a folder for this user alone, with all its parents. If the folder exists, checks that no other
/// account can write to it. Follows a symbolic link at the path itself.
///
/// # Errors
/// [`OpenError::Writable`] if other accounts can write to the folder, [`OpenError::Directory`] if the path
/// is no folder or the folder cannot be made.
pub fn own_folder(path: &Path) -> Result<(), OpenError> {
    own_root(path, PRIVATE_FOLDER)
}

/// As [`own_folder`], with `mode` for the folder and the parents that it makes.
pub(crate) fn own_root(path: &Path, mode: u32) -> Result<(), OpenError> {
    let place = claim_with_parents(path, mode).map_err(|source| unusable(path, source))?;
    match place {
        Place::Made(_) => Ok(()),
        // Its owner may have set that mode on purpose, and not for this program alone.
        Place::Found(found) => refuse_writable(path, &found),
    }
}

/// Makes one of the folders of a data directory, or corrects its mode.
pub(crate) fn keep_folder(root: &Path, path: &Path, mode: u32) -> Result<(), OpenError> {
    let failed = |source| unusable(path, source);
    match claim(path, mode).map_err(failed)? {
        Place::Made(made) => hand_over(&made, root).map_err(failed),
        Place::Found(found) if is_ours(&found) => {
            // Only the owner can have put a link here, so it is followed.
            set_mode_of_folder(path, &found, mode, OFlags::empty()).map_err(failed)
        }
        Place::Found(found) => refuse_writable(path, &found),
    }
}

/// The folder at a path.
enum Place {
    /// There was none; this one is new, and open.
    Made(File),
    /// It existed, or a link to it.
    Found(Metadata),
}

fn claim_with_parents(path: &Path, mode: u32) -> io::Result<Place> {
    match claim(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                claim_with_parents(parent, mode)?;
            }
            claim(path, mode)
        }
        result => result,
    }
}

fn claim(path: &Path, mode: u32) -> io::Result<Place> {
    match folder_at(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match make_folder(path, mode) {
            // Another process made it first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                folder_at(path).map(Place::Found)
            }
            result => result.map(Place::Made),
        },
        result => result.map(Place::Found),
    }
}

fn folder_at(path: &Path) -> io::Result<Metadata> {
    let found = fs::metadata(path)?;
    match found.is_dir() {
        true => Ok(found),
        false => Err(Errno::NOTDIR.into()),
    }
}

fn unusable(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    OpenError::Directory { path, source }
}

fn refuse_writable(path: &Path, found: &Metadata) -> Result<(), OpenError> {
    let (mode, user) = (found.mode() & 0o7777, geteuid());
    let detail = if mode & 0o002 != 0 {
        format!("every account can (mode {mode:04o})")
    } else if mode & 0o020 != 0 {
        format!("its group can (mode {mode:04o})")
    } else if !user.is_root() && found.uid() != 0 && found.uid() != user.as_raw() {
        format!("it belongs to user {}", found.uid())
    } else {
        return Ok(());
    };
    let path = path.to_owned();
    Err(OpenError::Writable { path, detail })
}

/// Makes one folder with this mode, and opens it.
pub(crate) fn make_folder(path: &Path, mode: u32) -> io::Result<File> {
    DirBuilder::new().mode(mode).create(path)?;
    let made = open_folder(path, OFlags::NOFOLLOW)?;
    set_mode(&made, mode)?;
    Ok(made)
}

/// Corrects the mode of the folder that was found at `path`, if this process may.
pub(crate) fn set_mode_of_folder(
    path: &Path,
    found: &Metadata,
    mode: u32,
    flags: OFlags,
) -> io::Result<()> {
    if found.mode() & 0o777 == mode || !is_ours(found) {
        return Ok(());
    }
    set_mode(&open_folder(path, flags)?, mode)
}

/// Opens or makes a file for the owner alone, and removes the rights of all others. Does not follow links
/// and does not block.
pub(crate) fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options
        .create(true)
        .mode(PRIVATE_FILE)
        .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK));
    let options = fs_err::OpenOptions::from_options(options.clone());
    let file = options.open(path)?.into_file();
    settle(&file, path.parent().unwrap_or(path), PRIVATE_FILE)?;
    Ok(file)
}

/// Gives a file that was made in the folder `inside` its mode and its owner.
pub(crate) fn settle(file: &File, inside: &Path, mode: u32) -> io::Result<()> {
    hand_over(file, inside)?;
    set_mode(file, mode)
}

/// Gives what root makes in a folder of another user to that user. Otherwise one command that root runs
/// would leave files that the daemon of that user cannot read.
pub(crate) fn hand_over(made: &File, inside: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(inside)?;
    if owner.uid() != 0 && made.metadata()?.uid() != owner.uid() {
        // Root in a container may lack the right; the file then stays root's.
        let _ = fchown(made, Some(owner.uid()), Some(owner.gid()));
    }
    Ok(())
}

/// Sets the mode of an open file or folder, if this process may. The setgid bit of a folder stays.
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let found = file.metadata()?;
    if found.mode() & 0o777 == mode || !is_ours(&found) {
        return Ok(());
    }
    let kept = if found.is_dir() {
        found.mode() & 0o3000
    } else {
        0
    };
    file.set_permissions(Permissions::from_mode(mode | kept))
}

/// Removes the rights of all others from a file, if it exists, without opening it: closing the file would
/// free the locks that SQLite has on it elsewhere in this process.
pub(crate) fn narrow_unopened(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.mode() & 0o077 == 0 || !is_ours(&found) => Ok(()),
        Ok(_) => fs::set_permissions(path, Permissions::from_mode(PRIVATE_FILE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether this process may change the mode of the file.
pub(crate) fn is_ours(found: &Metadata) -> bool {
    let user = geteuid();
    user.is_root() || found.uid() == user.as_raw()
}

fn open_folder(path: &Path, more: OFlags) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(flags(OFlags::DIRECTORY | more))
        .open(path)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn new_folder_is_for_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        for _ in 0..2 {
            own_folder(&folder).unwrap();
            assert_eq!([mode(&folder), mode(&place.path().join("a"))], [0o700; 2]);
        }
    }

    #[test]
    fn folder_that_others_can_write_to_is_refused_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data");
        fs::create_dir(&folder).unwrap();
        for (allowed, said) in [
            (0o755, None),
            (0o750, None),
            (0o775, Some("its group can (mode 0775)")),
            (0o757, Some("every account can (mode 0757)")),
            (0o1777, Some("every account can (mode 1777)")),
        ] {
            fs::set_permissions(&folder, Permissions::from_mode(allowed)).unwrap();
            let error = own_folder(&folder).err();
            assert_eq!(error.is_some(), said.is_some(), "{allowed:o}: {error:?}");
            if let (Some(error), Some(said)) = (error, said) {
                assert_eq!(error.code(), "CC-LOCAL-WRITABLE");
                let text = error.to_string();
                assert!(text.contains(said) && text.contains("data"), "{text}");
            }
            assert_eq!(mode(&folder), allowed);
        }
    }

    #[test]
    fn link_to_a_folder_is_followed_and_a_path_to_no_folder_refused() {
        let place = tempfile::tempdir().unwrap();
        let [file, link, lost] = ["file", "link", "lost"].map(|name| place.path().join(name));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        std::os::unix::fs::symlink("nowhere", &lost).unwrap();
        own_folder(&link).unwrap();
        for path in [&file, &file.join("below"), &lost] {
            let error = own_folder(path).unwrap_err();
            assert_eq!(error.code(), "CC-LOCAL-DIRECTORY", "{path:?}");
        }
    }

    #[test]
    fn setgid_bit_of_a_folder_stays() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o2775)).unwrap();
        let folder = place.path().join("objects");
        keep_folder(place.path(), &folder, 0o750).unwrap();
        let inherited = mode(&folder) & 0o2000;
        keep_folder(place.path(), &folder, 0o700).unwrap();
        assert_eq!(mode(&folder), 0o700 | inherited);
    }
}
