//! Results on standard output: a command succeeds if its reader stops reading, and fails on a full disk.

use std::fs::File;

use compactor_testkit::cli::{FAILURE, Said, Workdir};
use compactor_testkit::fixture::words;

use crate::COMPACTOR;

const LINES: [&str; 5] = [
    "store info dir",
    "store info dir --json",
    "store verify dir --full",
    "runs --data d",
    "runs --data d --json",
];

fn place() -> Workdir {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    place.say("submit --data d words=dir").succeeds();
    place
}

#[test]
fn command_whose_reader_went_away_succeeds() {
    let place = place();
    for line in LINES.into_iter().chain(["--help", "--version"]) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said = Said::into(&mut place.command(line.split_whitespace()), writer);
        said.succeeds();
    }
}

#[test]
fn command_that_cannot_write_its_result_fails() {
    let place = place();
    for line in LINES {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = place.command(line.split_whitespace());
        let said = Said::into(&mut command, full);
        if line.ends_with("--json") {
            said.fails_in_json(FAILURE, "CC-IO")
                .naming(&["No space left"]);
        } else {
            said.fails(FAILURE, "CC-IO").naming(&["No space left"]);
        }
    }
}
