//! Output on a terminal: colours unless `NO_COLOR` is set, lines that fit, and no control characters from
//! data.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use compactor_testkit::cli::Workdir;
use compactor_testkit::fixture::{tamper, words};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::COMPACTOR;

const COLUMNS: u16 = 60;
const ESCAPE: char = '\u{1b}';

/// Runs the command with a terminal as its standard error, and returns what it writes there.
fn on_terminal(command: &mut Command) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    // Variables of the test run would decide about colours.
    for name in ["CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(name);
    }
    command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal);
    let mut child = command.spawn().unwrap();
    // Our copy of the terminal would keep `master` from reaching its end.
    command.stderr(Stdio::null());
    let mut said = Vec::new();
    // This fails once the last writer has closed the terminal.
    let _ = File::from(master).read_to_end(&mut said);
    child.wait().unwrap();
    String::from_utf8(said).unwrap()
}

fn command(place: &Workdir, line: &str) -> Command {
    let mut command = place.command(line.split_whitespace());
    command.env_remove("NO_COLOR");
    command
}

/// `text` without its escape sequences.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ESCAPE => {
                letters.find(char::is_ascii_alphabetic);
            }
            letter => plain.push(letter),
        }
    }
    plain
}

const FAILS: &str = "run --drain --config missing.toml";

#[test]
fn error_lines_fit_the_width_of_the_terminal() {
    let place = Workdir::new(COMPACTOR);
    let said = on_terminal(&mut command(&place, FAILS));
    assert!(said.contains("CC-CONFIG"), "{said}");
    let said = plain(&said);
    let longest = said
        .lines()
        .map(|line| line.trim_end().chars().count())
        .max();
    let longest = longest.unwrap();
    assert!(longest <= usize::from(COLUMNS), "{longest}: {said}");
    assert!(longest > usize::from(COLUMNS) / 2, "{said}");
}

#[test]
fn errors_and_logs_have_colours_unless_no_color_is_set() {
    let place = Workdir::new(COMPACTOR);
    std::fs::create_dir(place.path("d")).unwrap();
    for (line, part) in [(FAILS, "CC-CONFIG"), ("run --drain --data d", "started")] {
        let colourful = on_terminal(&mut command(&place, line));
        assert!(colourful.contains(part), "{colourful}");
        assert!(colourful.contains(ESCAPE), "{colourful}");
        let said = on_terminal(command(&place, line).env("NO_COLOR", "1"));
        assert!(said.contains(part), "{said}");
        assert!(!said.contains(ESCAPE), "{said}");
    }
}

/// `Said` checks that the output of every command is free of control characters.
#[test]
fn control_characters_of_a_directory_never_reach_the_terminal() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    let bad = "char(27) || '[31m' || char(7) || char(155) || char(13) || char(10) || 'sound'";
    tamper(
        &dir,
        &format!(
            "UPDATE collections SET name = 'words' || {bad};
             UPDATE embeddings SET embedding_id = embedding_id || {bad};
             UPDATE embeddings_queue SET id = id || {bad};
             UPDATE embedding_metadata SET string_value = string_value || {bad};"
        ),
    );
    let shown = r"\u{1b}[31m\u{7}\u{9b}\r\nsound";
    let said = place.say("store info dir");
    assert!(said.stdout.contains(&format!("words{shown}")), "{said}");
    let name = "words\u{1b}[31m\u{7}\u{9b}\r\nsound";
    let id = "dir-1\u{1b}[31m\u{7}\u{9b}\r\nsound";
    let said = place.call(["store", "query", "dir", "--collection", name, "--like", id]);
    assert!(said.stdout.contains(&format!("dir-1{shown}")), "{said}");
    assert!(
        said.stdout.contains(r"document 1 in dir\u{1b}[31m"),
        "{said}"
    );
    // An error keeps its own line breaks.
    let said = place.call([
        "store",
        "query",
        "dir",
        "--collection",
        name,
        "--like",
        "\u{1b}c",
    ]);
    assert!(said.stderr.contains(r"\u{1b}c"), "{said}");
    // Problems that name the collection.
    tamper(&dir, "UPDATE collections SET dimension = 3");
    let said = place.say("store verify dir --full");
    assert!(said.stdout.contains(shown), "{said}");
}
