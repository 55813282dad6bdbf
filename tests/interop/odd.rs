//! Damaged and unusual directories. Real chromadb must hold, find and write on with what this program
//! makes of them.

use crate::session::Session;

/// Directories of one version.
pub(crate) struct Odd {
    pub(crate) session: Session,
    version: &'static str,
    /// Each directory, with the file that lists what it must hold in the end.
    pub(crate) dirs: Vec<[String; 2]>,
    /// A delta with one record that every directory has. Damage of other records stays as it is.
    pub(crate) delta: String,
}

impl Odd {
    /// Makes a directory for each pair of kind and space.
    pub(crate) fn new(version: &'static str, kinds: &[(&str, &str)]) -> Self {
        let mut session = Session::new(90_000);
        let delta = session.path("delta");
        let mut dirs = Vec::new();
        let seed = session.seed().to_string();
        let mut steps = Vec::new();
        for (number, (kind, space)) in kinds.iter().chain(&[("last", "l2")]).enumerate() {
            let dir = match number == kinds.len() {
                true => delta.clone(),
                false => session.path(&format!("base{number}")),
            };
            let expected = session.path(&format!("expected{number}.json"));
            let arguments = [
                "make-odd",
                "--kind",
                kind,
                "--out",
                &dir,
                "--expected",
                &expected,
                "--seed",
                &seed,
                "--space",
                space,
            ];
            steps.push((version, arguments.map(str::to_owned).to_vec()));
            if number < kinds.len() {
                dirs.push([dir, expected]);
            }
        }
        session.oracle_all(&steps);
        Self {
            session,
            version,
            dirs,
            delta,
        }
    }

    /// Lets `version` migrate all that another one made.
    fn upgrade_to(&mut self, version: &'static str) {
        self.version = version;
        let dirs = self.dirs.iter().map(|[dir, _]| dir).chain([&self.delta]);
        let steps: Vec<_> = dirs
            .map(|dir| {
                let arguments = ["upgrade", "--dir", dir];
                (version, arguments.map(str::to_owned).to_vec())
            })
            .collect();
        self.session.oracle_all(&steps);
    }

    /// Merges a record that all have into copies, which take the directories' places.
    fn merge(&mut self, flush: &str) {
        let delta = self.delta.clone();
        self.merge_delta(&delta, flush);
    }

    fn merge_delta(&mut self, delta: &str, flush: &str) {
        for [dir, _] in &mut self.dirs {
            let out = format!("{dir}-merged");
            let arguments = [
                "store", "merge", "--json", "--base", dir, "--delta", delta, "--out", &out,
                "--flush", flush,
            ];
            self.session.compactor(&arguments);
            *dir = out;
        }
    }

    fn run(&mut self, command: &str) {
        for [dir, _] in &self.dirs {
            self.session.compactor(&["store", command, "--json", dir]);
        }
    }

    pub(crate) fn use_them(self) {
        self.use_with(&[]);
    }

    /// chromadb goes on with each; `more` are options of `use-odd`.
    fn use_with(mut self, more: &[&str]) {
        let steps: Vec<_> = self
            .dirs
            .iter()
            .map(|[dir, expected]| {
                let arguments = ["use-odd", "--dir", dir, "--expected", expected];
                let arguments = arguments.iter().chain(more);
                (self.version, arguments.map(ToString::to_string).collect())
            })
            .collect();
        self.session.oracle_all(&steps);
    }
}

#[test]
fn directories_with_absurdly_high_parameters_stay_usable() {
    for version in ["0.6.3", "1.5.9"] {
        let kinds = [
            "threshold-10^10",
            "threshold-maxsize",
            "m-5000",
            "m-40000",
            "ef-10^10",
        ];
        let mut odd = Odd::new(version, &kinds.map(|kind| (kind, "cosine")));
        odd.run("info");
        odd.merge("due");
        odd.merge("always");
        odd.use_them();
    }
}

/// chromadb itself gives back zeros and NaN for such vectors, so the test does not ask it.
#[test]
fn vectors_of_uncomputable_length_are_merged_and_rebuilt() {
    for version in ["0.6.3", "1.5.9"] {
        let mut odd = Odd::new(version, &[("lengths-extreme", "cosine")]);
        odd.run("info");
        odd.merge("due");
        odd.merge("always");
        odd.run("rebuild");
        let [dir, _] = odd.dirs[0].clone();
        let verify = ["store", "verify", "--full", "--json", &dir];
        let report = odd.session.compactor(&verify);
        let is_sound = report["problems"] == serde_json::json!([]);
        odd.session.check(is_sound, &format!("{report:#}"));
    }
}

/// 0.6.3 makes such a collection and writes to it, and then cannot open its index files.
#[test]
fn v0_6_3_records_written_with_negative_ef_are_salvaged() {
    let mut odd = Odd::new("0.6.3", &[("ef-negative", "cosine")]);
    let [dir, _] = &mut odd.dirs[0];
    let new = format!("{dir}-saved");
    let code = odd
        .session
        .compactor_refuses(&["store", "info", "--json", dir]);
    odd.session.check(code == "CS-CONFIGURATION", &code);
    let arguments = ["store", "repair", "--json", dir, "--salvage", &new];
    odd.session.compactor(&arguments);
    *dir = new;
    odd.use_them();
}

#[test]
fn v0_4_24_directories_upgraded_by_later_versions_stay_usable() {
    for version in ["0.6.3", "1.0.21", "1.5.9"] {
        let kinds = [("sound", "cosine"), ("threshold-maxsize", "l2")];
        let mut odd = Odd::new("0.4.24", &kinds);
        odd.upgrade_to(version);
        odd.merge("due");
        odd.merge("always");
        odd.run("rebuild");
        odd.use_them();
    }
}

#[test]
fn unreadable_index_files_are_rebuilt_from_a_whole_log() {
    for version in ["0.6.3", "1.5.9"] {
        let kinds = [
            ("length-cut", "cosine"),
            ("length-missing", "cosine"),
            ("label-twice", "l2"),
            ("level0-zeroed", "ip"),
            ("links-cut", "l2"),
            ("ids-torn", "cosine"),
            ("index-of-another", "l2"),
        ];
        let mut odd = Odd::new(version, &kinds);
        odd.run("rebuild");
        odd.use_them();
    }
}

#[test]
fn v0_6_3_missing_index_files_are_rebuilt_from_the_log() {
    let kinds = [("index-missing", "l2"), ("index-missing", "cosine")];
    let mut odd = Odd::new("0.6.3", &kinds);
    let report = odd
        .session
        .compactor_output_of(&["store", "verify", &odd.dirs[0][0]]);
    odd.session.check(report.contains("I6"), &report);
    odd.merge("due");
    odd.use_them();
    let mut odd = Odd::new("0.6.3", &kinds);
    odd.run("flush");
    odd.use_them();
}

#[test]
fn writes_behind_poisoned_progress_are_not_purged() {
    for version in ["0.5.23", "0.6.3", "1.5.9"] {
        let mut odd = Odd::new(version, &[("waiting-behind-progress", "l2"); 2]);
        for (command, [dir, _]) in ["flush", "rebuild"].iter().zip(&odd.dirs) {
            let before = odd.session.bytes_of(dir);
            let arguments = ["store", command, "--json", dir];
            let code = odd.session.compactor_refuses(&arguments);
            odd.session.check(code == "CS-INCONSISTENT", &code);
            odd.session.check_untouched(dir, &before);
        }
        let steps: Vec<_> = odd
            .dirs
            .iter()
            .map(|[dir, _]| {
                let arguments = ["reset-progress", "--dir", dir];
                (version, arguments.map(str::to_owned).to_vec())
            })
            .collect();
        odd.session.oracle_all(&steps);
        odd.use_them();
    }
}

#[test]
fn merge_mends_full_text_and_journal_mode() {
    for version in ["0.6.3", "1.5.9"] {
        let kinds = ["full-text-torn", "full-text-missing", "wal-mode"];
        let mut odd = Odd::new(version, &kinds.map(|kind| (kind, "l2")));
        odd.merge("due");
        odd.use_them();
    }
}

#[test]
fn delta_of_another_space_is_indexed_in_the_space_of_the_base() {
    for version in ["0.6.3", "1.5.9"] {
        let cosine = Odd::new(version, &[("sound", "cosine")]);
        let mut odd = Odd::new(version, &[("sound", "cosine")]);
        odd.merge("always");
        odd.use_them();
        let mut odd = Odd::new(version, &[("sound", "l2")]);
        odd.merge_delta(&cosine.dirs[0][0], "always");
        odd.use_them();
    }
}

#[test]
fn vacuumed_directory_is_unchanged_for_chromadb() {
    for version in ["0.6.3", "1.0.21", "1.5.9"] {
        let mut odd = Odd::new(version, &[("sound", "l2"), ("sound", "cosine")]);
        odd.run("flush");
        odd.run("vacuum");
        odd.use_them();
    }
}

#[test]
fn parameters_changed_by_repair_are_in_force_for_chromadb() {
    for (made_by, version, from, to) in [
        ("0.6.3", "0.6.3", "l2", "cosine"),
        ("1.0.21", "1.0.21", "cosine", "l2"),
        ("1.3.3", "1.3.3", "l2", "cosine"),
        ("1.5.9", "1.5.9", "cosine", "l2"),
        ("0.4.24", "1.5.9", "l2", "cosine"),
        ("0.6.3", "1.0.21", "cosine", "l2"),
    ] {
        let mut odd = Odd::new(made_by, &[("sound", from)]);
        odd.upgrade_to(version);
        let dir = odd.dirs[0][0].clone();
        let arguments = [
            "store",
            "repair",
            "--json",
            "--yes",
            "--space",
            to,
            "--m",
            "7",
            "--ef-construction",
            "50",
            &dir,
        ];
        let done = odd.session.compactor(&arguments);
        odd.session
            .check(done["mended"] == true, &format!("{done:#}"));
        odd.use_with(&["--space", to, "--m", "7"]);
    }
}
