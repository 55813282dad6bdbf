//! Paths that cannot be written: commands fail with a code and a cause, and leave no half-made files.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use compactor_testkit::cli::{FAILURE, Said, Workdir};
use compactor_testkit::fixture::{OTHER_TEXT, directory, tamper, words};
use compactor_testkit::not_run::not_run;
use rustix::process::geteuid;

use crate::COMPACTOR;

/// A small file system; unmounted when dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts a file system at `name`. Returns `None`, and reports it, without the right to mount.
    pub(crate) fn at(place: &Workdir, name: &str, size: &str) -> Option<Self> {
        let target = place.path(name);
        std::fs::create_dir_all(&target).unwrap();
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&target);
        let done = geteuid().is_root() && mount.output().is_ok_and(|done| done.status.success());
        if !done {
            not_run("a full or read-only disk; it needs root and the right to mount");
        }
        done.then_some(Self(target))
    }

    /// Fills the remaining space.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("fill")).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![7; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("fill")).unwrap();
    }

    fn make_read_only(&self) {
        self.remount("ro");
    }

    /// Resizes the file system, so that `kibibytes` of space are free.
    pub(crate) fn leave(&self, kibibytes: u64) {
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
        self.remount(&format!("size={}k", used.div_ceil(1 << 10) + kibibytes));
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Checks that a command exited with 1, printed an error code and a help line, and no result.
#[track_caller]
fn fails(said: Said) -> Said {
    let said = said.exits(FAILURE);
    assert_eq!(said.stdout, "", "{said}");
    let code = |line: &str| line.starts_with("CS-") || line.starts_with("CC-");
    assert!(said.stderr.lines().any(|line| code(line.trim())), "{said}");
    assert!(said.stderr.contains("\n  help: "), "{said}");
    said
}

/// Checks as [`fails`] does, and that the error reports a full disk.
#[track_caller]
fn is_full(said: Said) {
    let said = fails(said);
    let told = ["No space left", "disk is full", "CS-NO-SPACE"];
    assert!(told.iter().any(|told| said.stderr.contains(told)), "{said}");
}

#[test]
fn command_fails_where_a_file_takes_the_place_of_a_folder() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    place.write("file", "text");
    for data in ["file", "file/below"] {
        for command in ["run", "run --drain", "submit words=dir"] {
            let line = format!("{command} --data {data}");
            let said = place.say(&line).fails(FAILURE, "CC-LOCAL-DIRECTORY");
            said.naming(&[data, "Not a directory"]);
        }
        let said = place.say(&format!("quickstart --dir {data}"));
        said.fails(FAILURE, "CC-LOCAL-DIRECTORY").naming(&[data]);
        fails(place.say(&format!("store create {data} --collection words")));
    }
    let merge = "store merge --base dir --delta dir --out";
    place
        .say(&format!("{merge} file"))
        .fails(FAILURE, "CS-EXISTS");
    place
        .say(&format!("{merge} file/out"))
        .fails(FAILURE, "CC-IO");
    assert_eq!(std::fs::read_to_string(place.path("file")).unwrap(), "text");
    assert_eq!(place.names_in("."), ["dir", "file"]);
}

/// Runs every command that writes, with the folder `bad` as its target, and checks what each says.
#[track_caller]
fn all_fail(place: &Workdir, bad: &str, say: impl Fn(&str) -> Said, check: impl Fn(Said)) {
    let before = place.names_in(bad);
    for line in [
        format!("store create {bad}/new --collection words"),
        format!("store merge --base dir --delta dir --out {bad}/out"),
    ] {
        check(say(&line));
        assert_eq!(place.names_in(bad), before, "left behind by {line}");
    }
    for line in [
        format!("submit words=dir --data {bad}/data"),
        format!("run --data {bad}/data"),
        format!("quickstart --dir {bad}/look"),
    ] {
        check(say(&line));
    }
}

#[test]
fn read_only_disk_fails_only_commands_that_write() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let Some(mounted) = Mounted::at(&place, "ro", "2m") else {
        return;
    };
    words(&place, "ro/dir");
    mounted.make_read_only();
    all_fail(
        &place,
        "ro",
        |line| place.say(line),
        |said| {
            fails(said).naming(&["Read-only file system"]);
        },
    );
    // Commands that only read succeed.
    place.say("store info ro/dir").succeeds();
    place.say("store verify ro/dir --full").succeeds();
    place
        .say("store merge --base ro/dir --delta ro/dir --out out")
        .succeeds();
    place.say("submit words=ro/dir --data data").succeeds();
}

/// Only the working space is read-only.
#[test]
fn daemon_with_read_only_working_space_fails_and_keeps_the_run() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    place.say("submit words=dir --data d").succeeds();
    let Some(mounted) = Mounted::at(&place, "d/scratch", "8m") else {
        return;
    };
    mounted.make_read_only();
    for line in ["run --drain --data d", "run --data d"] {
        let said = place.say(line).fails(FAILURE, "CC-IO");
        said.naming(&["Read-only file system"]);
        // Unlike text, JSON does not break the path into lines.
        let said = place.say(&format!("{line} --json"));
        let said = said.fails_in_json(FAILURE, "CC-IO");
        said.naming(&["Read-only file system", "/d/scratch/"]);
    }
    let state = || {
        let runs = place.say("runs --data d --json").json();
        runs[0]["parts"]["words"]["state"].clone()
    };
    assert_eq!(state(), "PENDING");
    mounted.remount("rw");
    let said = place.say("run --drain --data d").succeeds();
    assert!(said.stdout.starts_with("1 runs completed"), "{said}");
    assert_eq!(state(), "COMPLETED");
    assert_eq!(place.names_in("d/scratch"), [""; 0]);
}

#[test]
fn folder_without_permission_fails_every_command_that_writes() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    std::fs::create_dir(place.path("locked")).unwrap();
    let allow = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(place.path("locked"), permissions).unwrap();
    };
    allow(0o555);
    let say = |line: &str| place.say_unprivileged(line);
    all_fail(&place, "locked", say, |said| {
        fails(said).naming(&["Permission denied"]);
    });
    allow(0o755);
}

#[test]
fn full_disk_fails_every_command_that_writes() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let Some(mounted) = Mounted::at(&place, "full", "2m") else {
        return;
    };
    mounted.fill();
    all_fail(&place, "full", |line| place.say(line), is_full);
    let said = place
        .say("store create full/new --collection words --json")
        .exits(FAILURE);
    assert!(
        said.stderr.contains("disk is full"),
        "the JSON error has the cause as well: {said}"
    );
}

/// The disk fills up at several points of the merge.
#[test]
fn merge_on_a_disk_that_fills_up_leaves_nothing_behind() {
    let place = Workdir::new(COMPACTOR);
    let size = size_of(&words(&place, "dir")) >> 10;
    let large = size_of(&directory(&place, "large", "words", 9000, 2)) >> 10;
    for more in [0, 12, 16, 20, 24, 28, 32, 48, 64, 256, large / 2] {
        let name = format!("full{more}");
        let Some(_mounted) = Mounted::at(&place, &name, &format!("{}k", size + more)) else {
            return;
        };
        for deltas in ["large", "large dir", "dir large"] {
            let line = format!("store merge --base dir --delta {deltas} --out {name}/out");
            is_full(place.say(&line));
            assert_eq!(place.names_in(&name), [""; 0], "{line}");
        }
    }
}

/// A vacuum checks for the room that a copy takes before it starts.
#[test]
fn vacuum_without_room_for_a_copy_changes_nothing() {
    let place = Workdir::new(COMPACTOR);
    let Some(mounted) = Mounted::at(&place, "full", "4m") else {
        return;
    };
    let file = words(&place, "dir").join("chroma.sqlite3");
    std::fs::create_dir(place.path("full/dir")).unwrap();
    std::fs::copy(file, place.path("full/dir/chroma.sqlite3")).unwrap();
    mounted.fill();
    let before = std::fs::read(place.path("full/dir/chroma.sqlite3")).unwrap();
    let said = place.say("store vacuum full/dir");
    said.fails(FAILURE, "CS-NO-SPACE").naming(&["full/dir"]);
    let after = std::fs::read(place.path("full/dir/chroma.sqlite3")).unwrap();
    assert_eq!(before, after);
    assert_eq!(place.names_in("full/dir"), ["chroma.sqlite3"]);
}

#[test]
fn daemon_on_a_full_disk_works_again_once_there_is_space() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    place.write("c.toml", "[retry]\nfirst = \"10ms\"\nmax = \"50ms\"\n");
    let Some(mounted) = Mounted::at(&place, "full", "4m") else {
        return;
    };
    place.say("submit words=dir --data full/d").succeeds();
    mounted.fill();
    fails(place.say("run --drain --config c.toml --data full/d"));
    mounted.free();
    let said = place
        .say("run --drain --config c.toml --data full/d")
        .succeeds();
    assert!(said.stdout.starts_with("1 runs completed"), "{said}");
}

fn size_of(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("chroma.sqlite3")).unwrap().len()
}

/// A repair checks for the room that a copy takes before it writes.
#[test]
fn repair_without_room_for_a_copy_changes_nothing() {
    let place = Workdir::new(COMPACTOR);
    let Some(_mounted) = Mounted::at(&place, "full", "1m") else {
        return;
    };
    let dir = words(&place, "full/dir");
    tamper(&dir, OTHER_TEXT);
    let filled = std::fs::read(dir.join("chroma.sqlite3")).unwrap();
    std::fs::write(
        place.path("full/else"),
        vec![1; (1 << 20) - filled.len() - filled.len() / 2],
    )
    .unwrap();
    let said = place.say("store repair full/dir --yes");
    said.fails(FAILURE, "CS-NO-SPACE").naming(&["are needed"]);
    assert_eq!(std::fs::read(dir.join("chroma.sqlite3")).unwrap(), filled);
    assert_eq!(place.names_in("full"), ["dir", "else"]);
}
