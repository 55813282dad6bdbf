//! `quickstart` runs twice, and real chromadb runs the Python lines that it prints.

use std::path::Path;
use std::process::Command;

use compactor_testkit::cli::{Said, Workdir};
use compactor_testkit::python::interpreter;
use serde_json::Value;

use crate::COMPACTOR;

const BAKERY: &str = "fresh bread and butter from the bakery";

fn quickstart(place: &Workdir, dir: &str) -> Said {
    place.call(["quickstart", "--dir", dir])
}

/// The Python lines at the end of the output.
fn python_lines(said: &Said) -> Vec<&str> {
    let lines = said.stdout.lines();
    let lines: Vec<_> = lines
        .skip_while(|line| !line.starts_with("import "))
        .collect();
    assert_eq!(lines.len(), 3, "{said}");
    lines
}

/// Runs the Python lines of the output in the folder `from`, and returns what they print.
fn run_python(said: &Said, from: &Path) -> String {
    let output = Command::new(interpreter("1.5.9"))
        .args(["-B", "-c", &python_lines(said).join("\n")])
        .current_dir(from)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}\n{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn repeated_quickstart_succeeds() {
    let place = Workdir::new(COMPACTOR);
    for _ in 0..2 {
        let said = quickstart(&place, "look").succeeds();
        assert_eq!(said.stdout.matches("COMPLETED").count(), 6, "{said}");
        for part in [
            "\nlines: version ",
            ", 12 records, verified",
            "\nwords: version ",
        ] {
            assert!(said.stdout.contains(part), "{part}: {said}");
        }
        assert_eq!(said.stderr, "", "{said}");
        python_lines(&said);
    }
    let runs = place.say("runs --data look/store --json").json();
    assert_eq!(runs.as_array().unwrap().len(), 6);
    assert_eq!(place.names_in("look"), ["readers", "store"]);
}

#[test]
fn python_lines_of_quickstart_print_documents() {
    // The Python lines must quote the second path.
    for dir in ["look", "über's \"first\" look\\n", "deep/er"] {
        let place = Workdir::new(COMPACTOR);
        let first = quickstart(&place, dir).succeeds();
        let printed = run_python(&first, &place.path(""));
        assert!(printed.contains(BAKERY), "{printed}");
        // chromadb has opened the directory by now, and the next quickstart must still succeed.
        let second = quickstart(&place, dir).succeeds();
        let printed = run_python(&second, Path::new("/"));
        assert!(printed.contains(BAKERY), "{printed}");
        assert_eq!(
            printed.matches("', '").count(),
            2,
            "three documents: {printed}"
        );
        assert!(run_python(&first, Path::new("/")).contains(BAKERY));
    }
}

#[test]
fn quickstart_prints_its_own_runs_and_snapshots_as_json() {
    let place = Workdir::new(COMPACTOR);
    for times in 1..=2 {
        let said = place.say("quickstart --dir look --json");
        assert_eq!(said.stderr, "", "{said}");
        let value = said.json();
        let runs = value["runs"].as_array().unwrap();
        assert_eq!(
            runs.len(),
            3,
            "only this time's, at time {times}: {value:#}"
        );
        for part in runs
            .iter()
            .flat_map(|run| run["parts"].as_object().unwrap().values())
        {
            assert_eq!(part["state"], "COMPLETED", "{value:#}");
        }
        let snapshots = value["snapshots"].as_array().unwrap();
        let count = |name: &str| {
            let found = snapshots
                .iter()
                .find(|found| found["collection"] == name)
                .unwrap();
            found["records"].as_u64().unwrap()
        };
        assert_eq!((count("lines"), count("words")), (12, 58));
        for snapshot in snapshots {
            let dir = snapshot["dir"].as_str().unwrap();
            let report = place
                .call(["store", "verify", dir, "--full", "--json"])
                .json();
            assert_eq!(report["problems"], Value::Array(Vec::new()));
        }
    }
}

#[test]
fn quickstart_without_a_directory_writes_below_data() {
    let place = Workdir::new(COMPACTOR);
    place.say("quickstart").succeeds();
    assert_eq!(place.names_in("."), ["data"]);
    assert_eq!(place.names_in("data"), ["quickstart"]);
    place.say("runs --data data/quickstart/store").succeeds();
}
