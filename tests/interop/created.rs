//! Empty directories made by `store create`: every chromadb that can open a level uses them as
//! its own, in each space, and what it leaves is sound.

use crate::case::{collections, has_errors};
use crate::session::Session;

/// The levels that the versions leave a directory at.
const LEVELS: [(&str, &str); 4] = [
    ("0.6.3", "L06"),
    ("1.0.21", "L10"),
    ("1.3.3", "L13"),
    ("1.5.9", "L15"),
];

#[test]
fn created_l06_directory_is_usable_by_v0_6_3_and_later() {
    check(60_100, "L06", &LEVELS);
}

#[test]
fn created_l10_directory_is_usable_by_v1_0_21_and_later() {
    check(60_200, "L10", &LEVELS[1..]);
}

#[test]
fn created_l13_directory_is_usable_by_v1_3_3_and_later() {
    check(60_300, "L13", &LEVELS[2..]);
}

#[test]
fn created_l15_directory_is_usable_by_v1_5_9() {
    check(60_400, "L15", &LEVELS[3..]);
}

/// 1.3 ignores the migration that it does not know.
#[test]
fn created_l15_directory_is_usable_by_v1_3_3() {
    check(60_500, "L15", &[("1.3.3", "L15")]);
}

fn check(seed: u64, level: &str, versions: &[(&str, &str)]) {
    let mut session = Session::new(seed);
    let s = &mut session;
    let seed = s.seed().to_string();
    for (version, left_at) in versions {
        let spaces = ["l2", "ip", "cosine"];
        let dirs = spaces.map(|space| s.path(&format!("{level}-{version}-{space}")));
        let mut uses = Vec::new();
        for (space, dir) in spaces.iter().zip(&dirs) {
            let made = s.compactor(&[
                "store",
                "create",
                dir,
                "--collection",
                "words",
                "--space",
                space,
                "--level",
                level,
                "--json",
            ]);
            s.check(made["schema_level"] == level, &format!("{made:#}"));
            uses.push(format!("{space}={dir}"));
        }
        let mut arguments = vec!["use-created", "--collection", "words", "--seed", &seed];
        arguments.extend(uses.iter().flat_map(|used| ["--dir", used]));
        let left = s.oracle(version, &arguments);
        for (space, dir) in spaces.iter().zip(&dirs) {
            let info = s.compactor(&["store", "info", dir, "--json"]);
            s.check(!has_errors(&info), &format!("{version}: {info:#}"));
            s.check(
                info["schema_level"] == *left_at,
                &format!("{version}: {info:#}"),
            );
            let found = collections(&info)
                .find(|found| found["name"] == "words")
                .unwrap();
            s.check(
                found["config"]["space"] == *space,
                &format!("{version}: {found:#}"),
            );
            s.check(
                found["records"] == left["records"],
                &format!("{left}, {found:#}"),
            );
            s.check(found["vectors"]["indexed"] != 0, &format!("{found:#}"));
        }
    }
}
