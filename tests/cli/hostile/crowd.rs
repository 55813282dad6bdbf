//! A queue with 500 hostile messages and 500 good ones.

use compactor_testkit::cli::Workdir;
use compactor_testkit::fixture::directory;

use super::{dead_letters, deliver, drain, extension, message, part, send, stream_record};

use crate::COMPACTOR;

const EACH: usize = 500;
/// Length of a name in an archive, in bytes.
const LONG: u64 = 16 << 20;

#[test]
fn hostile_messages_hold_up_none_of_as_many_good_runs() {
    let place = Workdir::new(COMPACTOR);
    place.expects(&["CS-ARCHIVE-", "CC-MESSAGE-", "CC-DELTA-", "CC-RUN-DIFFERS"]);
    directory(&place, "first", "words", 1, 2);
    place
        .say("submit words=first --data d --run-id first")
        .succeeds();
    let name = extension(tar::EntryType::GNULongName, "", LONG);
    for at in 0..EACH {
        let (good, evil) = (format!("good-{at}"), format!("evil-{at}"));
        let own = format!("words/delta/{evil}/");
        match at % 10 {
            0 => deliver(&place, &evil, &name),
            1 => deliver(&place, &evil, b"no archive"),
            2 => send(&place, &stream_record(&evil, 1000), "words"),
            3 => send(
                &place,
                &message(&evil, "words/snapshot/timestamped/x/"),
                "words",
            ),
            4 => send(&place, &message(&evil, "lines/delta/x/"), "words"),
            5 => send(
                &place,
                &message(&evil, &format!("s3://private/{own}")),
                "words",
            ),
            6 => send(&place, &"{".repeat(100_000), "words"),
            7 => send(&place, &message(&"r".repeat(100_000), &own), "words"),
            8 => send(&place, &message("first", &own), "words"),
            _ => send(&place, &message(&evil, &own), "../../words"),
        }
        let dir = directory(&place, &good, "words", 2, 2);
        deliver(&place, &good, &super::pack(&dir));
        std::fs::remove_dir_all(dir).unwrap();
    }
    let summary = drain(&place, "").json();
    assert_eq!(summary["completed"], EACH + 1, "{summary}");
    for run in ["first", "good-0", "good-499"] {
        assert_eq!(part(&place, run)["state"], "COMPLETED", "{run}");
    }
    let mut codes = dead_letters(&place);
    assert_eq!(codes.len(), EACH);
    codes.sort();
    codes.dedup();
    assert_eq!(
        codes,
        [
            "CC-DELTA-BUCKET",
            "CC-DELTA-PLACE",
            "CC-MESSAGE-COLLECTION",
            "CC-MESSAGE-COLLECTIONS",
            "CC-MESSAGE-JSON",
            "CC-MESSAGE-PREFIX",
            "CC-MESSAGE-RUN-ID",
            "CC-RUN-DIFFERS",
            "CS-ARCHIVE-DAMAGED",
            "CS-ARCHIVE-LIMIT",
        ]
    );
}
