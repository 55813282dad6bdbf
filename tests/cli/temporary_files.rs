//! SQLite's temporary files, on a machine where only the folder that a command works in is writable.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use compactor_testkit::cli::{FAILURE, Said, Workdir};
use compactor_testkit::fixture::directory;
use compactor_testkit::not_run::not_run;
use rustix::process::geteuid;
use serde_json::Value;

use crate::COMPACTOR;

/// Enough that SQLite needs temporary files to undo a statement and to sort.
const RECORDS: usize = 14_000;

/// Makes every other folder for temporary files read-only, and starts the command in one of them.
const ELSEWHERE_READ_ONLY: &str = r#"
place=$1; shift
for folder in /tmp /var/tmp /usr/tmp; do
    if [ -d $folder ]; then
        mount --bind $folder $folder
        mount -o remount,bind,ro $folder
    fi
done
mount --bind "$place" "$place"
mount -o remount,bind,rw "$place"
cd /tmp
exec "$@"
"#;

/// Runs a command in a mount namespace of its own.
fn say_all<S: AsRef<OsStr>>(place: &Workdir, arguments: &[S], told: &[(&str, &str)]) -> Said {
    let plain = place.command(arguments);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-ec", ELSEWHERE_READ_ONLY, "sh"])
        .arg(place.path(""))
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_remove("TMPDIR")
        .env_remove("SQLITE_TMPDIR")
        .envs(told.iter().copied())
        .current_dir(place.path(""));
    Said::by(&mut command)
}

fn say_with(place: &Workdir, line: &str, told: &[(&str, &str)]) -> Said {
    let words: Vec<_> = line.split_whitespace().collect();
    say_all(place, &words, told)
}

fn say(place: &Workdir, line: &str) -> Said {
    say_with(place, line, &[])
}

/// Whether the tests may make mount namespaces. Reports it if they may not.
fn can_mount() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "mount", "--bind", "/tmp", "/tmp"]);
    let can = geteuid().is_root() && probe.output().is_ok_and(|done| done.status.success());
    if !can {
        not_run("read-only folders for temporary files; it needs root and the right to mount");
    }
    can
}

/// A working directory with a base and a delta of many records with long ids. Returns the paths of the
/// three too.
fn large() -> (Workdir, [String; 3]) {
    let place = Workdir::new(COMPACTOR);
    let [base, delta] = ["base", "delta"].map(|name| format!("{name}-{}", "x".repeat(200)));
    directory(&place, &base, "words", RECORDS, 2);
    directory(&place, &delta, "words", RECORDS, 2);
    let at = place.path("").display().to_string();
    (place, [at, base, delta])
}

#[test]
fn offline_command_writes_temporary_files_only_to_its_own_folder() {
    if !can_mount() {
        return;
    }
    let (place, [at, base, delta]) = large();
    say(&place, &format!("store create {at}/new --collection words")).succeeds();
    let merge = format!("store merge --base {at}/{base} --delta {at}/{delta} --out {at}/out");
    say(&place, &merge).succeeds();
    for command in ["flush", "rebuild", "vacuum", "repair --vacuum --yes"] {
        let (name, options) = command.split_once(' ').unwrap_or((command, ""));
        say(&place, &format!("store {name} {at}/out {options}")).succeeds();
    }
    assert_eq!(place.names_in("out").len(), 2, "the database and the index");
    // A command that only reads has no folder for temporary files unless a variable names one.
    let verify = format!("store verify {at}/out --full");
    let said = say(&place, &verify).fails(FAILURE, "CS-SQLITE");
    said.naming(&["SQLITE_TMPDIR"]);
    std::fs::create_dir(place.path("told")).unwrap();
    let told = format!("{at}/told");
    say_with(&place, &verify, &[("SQLITE_TMPDIR", &told)]).succeeds();
}

#[test]
fn daemon_writes_temporary_files_only_to_its_data_directory() {
    if !can_mount() {
        return;
    }
    let (place, [at, base, delta]) = large();
    for delta in [base, delta] {
        let submit = format!("submit words={delta} --data d");
        place.say(&submit).succeeds();
    }
    say(&place, &format!("doctor --data {at}/d")).succeeds();
    let said = say(&place, &format!("run --drain --data {at}/d")).succeeds();
    assert!(said.stdout.starts_with("2 runs completed"), "{said}");
    assert_eq!(place.names_in("d/scratch"), [""; 0]);
}

/// SQLite takes no path that is not UTF-8, so it looks for another folder, and finds none.
#[test]
fn doctor_finds_that_temporary_files_have_no_place() {
    if !can_mount() {
        return;
    }
    let place = Workdir::new(COMPACTOR);
    let data = OsStr::from_bytes(b"data-\xff");
    std::fs::create_dir(place.path(data)).unwrap();
    let mut arguments = ["doctor", "--json", "--data"].map(OsString::from).to_vec();
    arguments.push(place.path(data).into_os_string());
    let said = say_all(&place, &arguments, &[]).exits(FAILURE);
    let findings: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(findings[0]["check"], "working space", "{said}");
    assert_eq!(findings[0]["verdict"], "bad", "{said}");
    let found = findings[0]["found"].as_str().unwrap();
    assert!(found.contains("temporary files"), "{said}");
}
