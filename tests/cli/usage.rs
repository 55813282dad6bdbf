//! Help, the version, and the answers to wrong arguments.

use compactor_testkit::cli::{FAILURE, USAGE, Workdir};

use crate::COMPACTOR;

#[test]
fn program_without_arguments_shows_help_and_fails() {
    let said = Workdir::new(COMPACTOR).say("").exits(USAGE);
    assert_eq!(said.stdout, "");
    for command in ["quickstart", "run", "submit", "runs", "store"] {
        assert!(said.stderr.contains(&format!("\n  {command} ")), "{said}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let place = Workdir::new(COMPACTOR);
    let said = place.say("--version").succeeds();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(said.stdout, format!("chroma-compactor {version}\n"));
    for line in [
        "--help",
        "help",
        "run --help",
        "submit --help",
        "runs --help",
        "quickstart --help",
        "store --help",
        "store info --help",
        "store verify --help",
        "store merge --help",
        "store create --help",
        "help store merge",
    ] {
        let said = place.say(line).succeeds();
        assert!(said.stdout.contains("Usage: chroma-compactor"), "{said}");
        assert_eq!(said.stderr, "", "{said}");
    }
}

#[test]
fn misspelt_command_or_option_is_refused_with_a_similar_one() {
    let place = Workdir::new(COMPACTOR);
    for (line, suggestion) in [
        ("stor", "'store'"),
        ("store inf", "'info'"),
        ("store verfy .", "'verify'"),
        ("run --drian", "'--drain'"),
        ("runs --limt 3", "'--limit'"),
        ("store info --jsn .", "'--json'"),
        ("submit --dat d words=.", "'--data'"),
        ("store merge --base a --delta b --outt c", "'--out'"),
        (
            "store merge --base a --delta b --out c --metadata mrge",
            "'merge'",
        ),
    ] {
        let said = place
            .say(line)
            .exits(USAGE)
            .naming(&[suggestion, "similar"]);
        assert_eq!(said.stdout, "", "{said}");
    }
}

#[test]
fn wrong_argument_is_refused_with_what_is_allowed() {
    let place = Workdir::new(COMPACTOR);
    for (line, parts) in [
        (
            "store create d --collection words --space l3",
            &["l3", "cosine"][..],
        ),
        (
            "store create d --collection words --level L99",
            &["L99", "L06, L10, L13, L15"],
        ),
        (
            "store create d --collection wo/rds",
            &["wo/rds", "letters, digits"],
        ),
        (
            "store merge --base a --delta b --out c --metadata mine",
            &["merge", "replace"],
        ),
        ("runs --limit many", &["many"]),
        ("runs --limit 0", &["0 is not in 1.."]),
        ("submit", &["COLLECTION=DIR"]),
        ("store merge --base a --out c", &["--delta"]),
    ] {
        let said = place.say(line).exits(USAGE).naming(parts);
        assert_eq!(said.stdout, "", "{said}");
    }
    assert_eq!(place.names_in("."), [""; 0]);
}

#[test]
fn former_command_names_work_and_are_hidden_from_help() {
    let place = Workdir::new(COMPACTOR);
    let help = place.say("store flush --help").succeeds().stdout;
    assert_eq!(place.say("store fold --help").succeeds().stdout, help);
    // The command knows the option, and fails only because the directories are missing.
    place
        .say("store merge --base a --delta b --out c --fold never")
        .fails(FAILURE, "CS-NOT-CHROMA");
    let help = place.say("store --help").succeeds().stdout;
    assert!(!help.contains("fold"), "{help}");
}
