//! Text that would forge log lines, or send commands to a terminal.

use compactor_testkit::cli::Workdir;
use compactor_testkit::fixture::words;

use super::{deliver, drain, extension, message, part, send};

use crate::COMPACTOR;

const FORGED: &str = "x\n2026-01-01T00:00:00Z ERROR forged: everything is lost";
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}";

#[test]
fn hostile_names_forge_no_log_lines_and_no_escapes() {
    let place = Workdir::new(COMPACTOR);
    place.expects(&["CC-", "CS-"]);
    words(&place, "good");
    place
        .say("submit words=good --data d --run-id good")
        .succeeds();
    let name = format!("{FORGED}{ESCAPES}/../x");
    let archive = extension(tar::EntryType::GNULongName, "", 512);
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    tar.append(&header, &b""[..]).unwrap();
    let forged = tar.into_inner().unwrap().finish().unwrap();
    deliver(&place, "evil-1", &forged);
    deliver(&place, "evil-2", &archive);
    let bucket = format!("s3://{FORGED}{ESCAPES}/words/delta/x/");
    send(&place, &message("evil-3", &bucket), "words");
    let kind = message("evil-4", "x").replace("COMPACTION_RUN", &escaped_json(FORGED));
    send(&place, &kind, "words");
    send(
        &place,
        &message("evil-5", "words/delta/x/"),
        &format!("{FORGED}{ESCAPES}"),
    );
    let said = drain(&place, "");
    let forged = said
        .stderr
        .lines()
        .find(|line| line.starts_with("2026-01-01"));
    assert_eq!(forged, None, "{said}");
    assert!(
        said.stderr.contains("everything is lost"),
        "the log shows the name, on one line: {said}"
    );
    for run in ["evil-1", "evil-3"] {
        let part = part(&place, run);
        let error = part["error"].as_str().unwrap();
        assert!(!error.contains(char::is_control), "{error:?}");
        assert!(!error.contains('\u{202e}'), "{error:?}");
    }
    // `Said` checks every character of this.
    let listed = place.say("runs --data d").succeeds();
    assert!(
        listed
            .stdout
            .lines()
            .all(|line| !line.starts_with("2026-01-01")),
        "{listed}"
    );
}

/// `text` as it stands inside a JSON string.
fn escaped_json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted.trim_matches('"').to_owned()
}
