//! What each command makes of each kind of damage. The table in `docs/repair.md` is the expectation.

use std::path::Path;

use compactor_testkit::workspace::root;
use serde_json::Value;

use crate::odd::Odd;

/// The columns of the table after the kind.
const COMMANDS: [&str; 5] = ["info", "verify", "base", "delta", "repair"];

/// The rows of the table: kind, and what each command is to do with it.
fn table() -> Vec<(String, Vec<String>)> {
    let path = root().join("docs/repair.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let kind = cells.next().unwrap().trim_matches('`').to_owned();
        // The second cell says in words what it is.
        (kind, cells.skip(1).map(str::to_owned).collect())
    })
    .collect()
}

fn has_errors(report: &Value) -> bool {
    let mut problems = report["problems"].as_array().unwrap().iter();
    problems.any(|problem| problem["severity"] == "error")
}

/// Runs a command: its JSON, or the code of its error.
fn outcome(odd: &mut Odd, arguments: &[&str]) -> Result<Value, String> {
    let output = odd.session.output(arguments);
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    match (json(&output.stdout), json(&output.stderr)) {
        (Some(told), _) => Ok(told),
        (None, Some(error)) => Err(error["error"]["code"].as_str().unwrap().to_owned()),
        (None, None) => odd.session.fail(&format!("{arguments:?}: {output:?}")),
    }
}

/// What `info`, `verify` and the merges say; and what came of the merge into it, if anything did.
fn looked_at(odd: &mut Odd, dir: &str) -> (Vec<String>, Option<String>) {
    let looks = [
        ["store", "info", "--json", dir].to_vec(),
        ["store", "verify", "--full", "--json", dir].to_vec(),
    ];
    let mut cells: Vec<String> = looks
        .iter()
        .map(|arguments| match outcome(odd, arguments) {
            Ok(report) if has_errors(&report) => "told".to_owned(),
            Ok(report) if report["problems"] == Value::Array(Vec::new()) => "sound".to_owned(),
            Ok(_) => "warned of".to_owned(),
            Err(code) => code,
        })
        .collect();
    let was_sound = ["sound", "warned of"].contains(&cells[1].as_str());
    let (one, as_base, as_delta) = (
        odd.delta.clone(),
        format!("{dir}-as-base"),
        format!("{dir}-as-delta"),
    );
    for (base, delta, out, mended) in [
        (dir, one.as_str(), &as_base, !was_sound),
        (&one, dir, &as_delta, false),
    ] {
        let arguments = [
            "store", "merge", "--json", "--base", base, "--delta", delta, "--out", out,
        ];
        cells.push(match outcome(odd, &arguments) {
            Ok(_) if mended => "mended".to_owned(),
            Ok(_) => "merged".to_owned(),
            Err(code) => code,
        });
    }
    let is_made = Path::new(&as_base).is_dir();
    (cells, is_made.then_some(as_base))
}

fn repaired(odd: &mut Odd, dir: &str) -> String {
    let before = odd.session.bytes_of(dir);
    // Without --yes it says as much and changes nothing.
    let told = outcome(odd, &["store", "repair", "--json", dir]);
    odd.session.check_untouched(dir, &before);
    let done = outcome(odd, &["store", "repair", "--yes", "--json", dir]);
    match (told, done) {
        (Ok(told), Ok(done)) => {
            odd.session.check(told["steps"] == done["steps"], dir);
            if done["mended"] == true {
                let kept = done["before"].as_str().unwrap().to_owned();
                let kept = odd.session.bytes_of(&kept);
                odd.session.check(kept.values().eq(before.values()), dir);
                return "mended".to_owned();
            }
            odd.session.check_untouched(dir, &before);
            match has_errors(&done) {
                true => "cannot".to_owned(),
                false => "nothing".to_owned(),
            }
        }
        (told, Err(code)) => {
            odd.session.check_untouched(dir, &before);
            // A plan that has something to do is one that can be done.
            odd.session
                .check(told == Err(code.clone()), &format!("{told:?}, then {code}"));
            code
        }
        (Err(code), Ok(done)) => odd.session.fail(&format!("{code}, then {done:#}")),
    }
}

/// Whether a cell of the table says so; what differs between versions it says as `0.x: …, 1.x: …`.
fn says(cell: &str, version: &str, found: &str) -> bool {
    let major = version.split('.').next().unwrap();
    match cell.split_once(", ") {
        None => cell == found,
        Some((old, new)) => {
            let (told, name) = if major == "0" {
                (old, "0.x: ")
            } else {
                (new, "1.x: ")
            };
            told.strip_prefix(name) == Some(found)
        }
    }
}

fn every_kind(version: &'static str) {
    let table = table();
    // The lengths of vectors are read in cosine space alone, and so are those of what is left.
    let space = |kind: &str| {
        let of_lengths = ["length", "header", "pickle"];
        match of_lengths.iter().any(|part| kind.starts_with(part)) {
            true => "cosine",
            false => "l2",
        }
    };
    let kinds: Vec<(&str, &str)> = table
        .iter()
        .map(|(kind, _)| (kind.as_str(), space(kind)))
        .collect();
    let mut odd = Odd::new(version, &kinds);
    let (mut found, mut usable) = (Vec::new(), Vec::new());
    for (at, (kind, _)) in table.iter().enumerate() {
        let [dir, expected] = odd.dirs[at].clone();
        let (mut cells, merged) = looked_at(&mut odd, &dir);
        usable.extend(merged.map(|merged| [merged, expected.clone()]));
        cells.push(repaired(&mut odd, &dir));
        // What belongs to no collection harms no one, and only a salvage gets it back.
        let is_reachable = kind != "collection-row-missing";
        if is_reachable && ["mended", "nothing"].contains(&cells[4].as_str()) {
            usable.push([dir, expected]);
        }
        found.push((kind.clone(), cells));
    }
    assert_eq!(COMMANDS.len(), found[0].1.len());
    let wrong: Vec<String> = table
        .iter()
        .zip(&found)
        .filter(|((_, told), (_, found))| {
            let mut pairs = told.iter().zip(found);
            !pairs.all(|(told, found)| says(told, version, found))
        })
        .map(|(_, (kind, cells))| format!("| `{kind}` | … | {} |", cells.join(" | ")))
        .collect();
    odd.session.check(
        wrong.is_empty(),
        &format!("docs/repair.md and {version} differ:\n{}", wrong.join("\n")),
    );
    // chromadb must go on with what is mended or needed no repair.
    odd.dirs = usable;
    odd.use_them();
}

#[test]
fn v0_6_3_damage_of_every_kind_is_treated_as_documented() {
    every_kind("0.6.3");
}

#[test]
fn v1_5_9_damage_of_every_kind_is_treated_as_documented() {
    every_kind("1.5.9");
}

/// What a salvage of each kind saves, and how many losses it lists.
const SALVAGED: &[(&str, u64, u64)] = &[
    ("sound", 60, 0),
    ("ignored-adds", 60, 0),
    ("deletes-wait", 58, 1),
    ("open-journal", 60, 1),
    ("database-page-zeroed", 60, 0),
    ("full-text-torn", 60, 0),
    ("waiting-log-purged", 65, 0),
    ("level0-zeroed", 60, 1),
    ("label-twice", 60, 1),
    ("configuration-broken", 60, 1),
    ("header-missing", 60, 1),
    ("header-zeroed", 60, 1),
    ("folders-swapped", 60, 3),
    ("dimension-wrong", 60, 0),
    ("dimension-wrong-purged", 60, 0),
    ("progress-deleted", 60, 0),
    ("progress-deleted-purged", 60, 0),
    ("progress-dropped", 60, 1),
    ("vector-segment-missing", 60, 0),
    ("metadata-segment-missing", 60, 0),
    ("database-row-missing", 60, 0),
    ("sqlite-index-zeroed", 60, 0),
    ("sqlite-key-zeroed", 60, 0),
    ("length-missing", 60, 1),
    ("documents-lost", 60, 0),
    ("value-not-text", 60, 1),
    ("index-of-another", 60, 1),
    ("no-dimension", 60, 0),
    ("log-emptied", 60, 0),
    ("wal-mode", 60, 0),
    ("lengths-zeroed", 60, 1),
    ("log-row-broken", 60, 0),
    ("pickle-longer", 60, 1),
    ("pickle-byte", 60, 1),
    ("rows-lost", 60, 1),
    ("migrations-missing", 60, 0),
    ("table-missing", 60, 0),
    ("level0-dented", 56, 5),
    ("add-ignored-index-lost", 0, 61),
    ("level0-cut", 24, 37),
    ("vectors-lost", 1, 59),
];

#[test]
fn salvage_saves_readable_records_and_lists_lost_ones() {
    for version in ["0.6.3", "1.5.9"] {
        let kinds: Vec<_> = SALVAGED
            .iter()
            .map(|(kind, _, _)| match kind.starts_with("length") {
                true => (*kind, "cosine"),
                false => (*kind, "l2"),
            })
            .collect();
        let mut odd = Odd::new(version, &kinds);
        let mut whole = Vec::new();
        for (at, (kind, saved, lost)) in SALVAGED.iter().copied().enumerate() {
            let [dir, expected] = odd.dirs[at].clone();
            let (before, new) = (odd.session.bytes_of(&dir), format!("{dir}-saved"));
            let arguments = ["store", "repair", "--json", &dir, "--salvage", &new];
            let told = odd.session.compactor(&arguments);
            odd.session.check_untouched(&dir, &before);
            let mut collections = told["saved"].as_array().unwrap().iter();
            let own = collections.find(|one| one["name"] == "odd").unwrap();
            odd.session.check(
                (&own["records"], &told["lost"]) == (&saved.into(), &lost.into()),
                &format!("{kind}: {told:#}"),
            );
            let list = std::fs::read_to_string(format!("{new}.lost.jsonl")).unwrap_or_default();
            odd.session.check(
                list.lines().count() as u64 == lost,
                &format!("{kind}: {list}"),
            );
            if saved < 58 {
                // With a vector the record can be added again.
                let one: Value = serde_json::from_str(list.lines().last().unwrap()).unwrap();
                let text = one["left"]["chroma:document"].as_str().unwrap_or_default();
                odd.session.check(text.starts_with("text"), &list);
            } else {
                whole.push([new, expected]);
            }
        }
        odd.dirs = whole;
        odd.use_them();
    }
}
