//! One interop case: a base, three deltas, our merge, and chromadb's own answer to compare with.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::session::Session;

/// How `store merge` reports a delta whose whole log it replayed.
pub(crate) const OPERATIONS: &str = "operations";
/// How `store merge` reports a delta whose log was purged: it merged the records.
pub(crate) const STATE: &str = "state";

const DELTAS: usize = 3;

/// What to make; see [`Case::above`] and [`Case::below`].
pub(crate) struct Case {
    pub(crate) seed: u64,
    /// The chromadb version that makes the base and the reference, and compares.
    pub(crate) base: &'static str,
    /// The chromadb version that makes the deltas.
    pub(crate) delta: &'static str,
    /// The oracle's command for the base.
    pub(crate) make_base: &'static str,
    pub(crate) space: &'static str,
    pub(crate) dim: u32,
    pub(crate) base_records: u32,
    pub(crate) delta_records: [u32; DELTAS],
    pub(crate) base_threshold: u32,
    pub(crate) delta_thresholds: [u32; DELTAS],
    pub(crate) collections: &'static str,
    pub(crate) array: bool,
    pub(crate) explicit_none: bool,
    pub(crate) cross_limit: u32,
    /// The ways in which the deltas must be applied, each at least once.
    pub(crate) applied: &'static [&'static str],
    /// Whether the base must have index files with deleted labels, or no index files.
    pub(crate) indexed: bool,
}

impl Case {
    /// A sync threshold that the data does not reach: nothing is in index files, all logs are
    /// whole.
    pub(crate) fn above(seed: u64, versions: [&'static str; 2], space: &'static str) -> Self {
        let [delta, base] = versions;
        Self {
            seed,
            base,
            delta,
            make_base: "make-base",
            space,
            dim: 8,
            base_records: 240,
            delta_records: [120, 90, 60],
            base_threshold: 900,
            delta_thresholds: [900; DELTAS],
            collections: "words",
            array: false,
            explicit_none: false,
            cross_limit: 3000,
            applied: &[OPERATIONS],
            indexed: false,
        }
    }

    /// A sync threshold far below the data: index files with deleted labels, purged logs.
    pub(crate) fn below(seed: u64, versions: [&'static str; 2], space: &'static str) -> Self {
        Self {
            base_threshold: 40,
            delta_thresholds: [30; DELTAS],
            applied: &[STATE],
            indexed: true,
            ..Self::above(seed, versions, space)
        }
    }

    /// Makes everything, merges, and compares.
    pub(crate) fn run(self) {
        let mut session = Session::new(self.seed);
        let s = &mut session;
        let seed = s.seed();
        let [base, ids, out, reference] =
            ["base", "ids.json", "merged", "reference"].map(|name| s.path(name));

        let deltas: Vec<_> = (0..DELTAS)
            .map(|at| [format!("delta{at}"), format!("ops{at}.json")].map(|name| s.path(&name)))
            .collect();
        let files = [self.make_base, "--out", &base, "--ids-out", &ids];
        let data = self.data(seed, self.base_records, self.base_threshold);
        let mut steps = vec![(self.base, [strings(files), data].concat())];
        for (at, [dir, ops]) in deltas.iter().enumerate() {
            let files = ["make-delta", "--out", dir, "--ops", ops, "--base-ids", &ids];
            let data = self.data(
                seed + 1 + at as u64,
                self.delta_records[at],
                self.delta_thresholds[at],
            );
            steps.push((self.delta, [strings(files), data].concat()));
        }
        let mut arguments = strings(["make-reference", "--base", &base, "--out", &reference]);
        arguments.extend(deltas.iter().flat_map(|[_, ops]| strings(["--ops", ops])));
        steps.push((self.base, arguments));
        let told = s.oracle_all(&steps);
        let (live, expected) = (&told[0]["live"], &told[steps.len() - 1]["count"]);
        self.check_base(s, &base);

        let inputs = || std::iter::once(&base).chain(deltas.iter().map(|[dir, _]| dir));
        let before: Vec<_> = inputs().map(|dir| s.bytes_of(dir)).collect();
        let mut arguments = vec!["store", "merge", "--json", "--base", &base, "--out", &out];
        arguments.extend(deltas.iter().flat_map(|[dir, _]| ["--delta", dir]));
        let merged = s.compactor(&arguments);
        for (dir, before) in inputs().zip(&before) {
            s.check_untouched(dir, before);
        }
        self.check_report(s, &merged, [live, expected], &deltas);

        let verified = s.compactor(&["store", "verify", &out, "--full", "--json"]);
        s.check(!has_errors(&verified), &format!("not sound: {verified:#}"));
        let (dim, seed) = (self.dim.to_string(), seed.to_string());
        let cross_limit = self.cross_limit.to_string();
        s.oracle(
            self.base,
            &[
                "check",
                "--merged",
                &out,
                "--reference",
                &reference,
                "--seed",
                &seed,
                "--space",
                self.space,
                "--dim",
                &dim,
                "--cross-limit",
                &cross_limit,
            ],
        );
    }

    /// Options of the oracle's commands that invent records.
    fn data(&self, seed: u64, records: u32, threshold: u32) -> Vec<String> {
        let mut options: Vec<String> = [
            ("--seed", seed.to_string()),
            ("--space", self.space.to_owned()),
            ("--dim", self.dim.to_string()),
            ("--records", records.to_string()),
            ("--threshold", threshold.to_string()),
            ("--collections", self.collections.to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        if self.array {
            options.extend(["--rich-level".to_owned(), "array".to_owned()]);
        }
        if self.explicit_none {
            options.push("--explicit-none".to_owned());
        }
        options
    }

    /// Fails unless the base has the index files that the case is about.
    fn check_base(&self, session: &mut Session, base: &str) {
        let info = session.compactor(&["store", "info", base, "--json"]);
        let places: Vec<_> = collections(&info).map(|found| &found["vectors"]).collect();
        let as_wanted = if self.indexed {
            places
                .iter()
                .any(|found| found["indexed"] != 0 && found["indexed_deleted"] != 0)
        } else {
            places.iter().all(|found| found["indexed"] == 0)
        };
        session.check(as_wanted, &format!("not the wanted base: {info:#}"));
    }

    /// Fails unless the merge reports the counts that the oracle knows, and applied each delta as the
    /// state of its log demands.
    fn check_report(
        &self,
        session: &Session,
        merged: &Value,
        [before, after]: [&Value; 2],
        deltas: &[[String; 2]],
    ) {
        let mut seen = BTreeSet::new();
        for found in collections(merged) {
            let name = found["name"].as_str().unwrap();
            let live = before[name]
                .as_u64()
                .or(before[name].as_array().map(|i| i.len() as u64));
            session.check(
                found["records_before"].as_u64() == live,
                &format!("{found:#}"),
            );
            session.check(
                found["records_after"] == after[name],
                &format!("{found:#}, {after}"),
            );
            let reports = found["deltas"].as_array().unwrap();
            session.check(reports.len() == deltas.len(), &format!("{found:#}"));
            for (report, [dir, ops]) in reports.iter().zip(deltas) {
                session.check(report["dir"] == dir.as_str(), &format!("{found:#}"));
                let text = std::fs::read_to_string(ops).unwrap();
                let ops: Value = serde_json::from_str(&text).unwrap();
                let purged = ops["collections"][name]["purged"].as_bool().unwrap();
                let expected = if purged { STATE } else { OPERATIONS };
                let told = format!("{name}: {expected} expected, {report}");
                session.check(report["applied"] == expected, &told);
                seen.insert(expected);
            }
        }
        let wanted: BTreeSet<_> = self.applied.iter().copied().collect();
        session.check(
            seen == wanted,
            &format!("applied as {seen:?}, the case is about {wanted:?}"),
        );
    }
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// The collections in JSON of the binary.
pub(crate) fn collections(value: &Value) -> impl Iterator<Item = &Value> {
    value["collections"].as_array().unwrap().iter()
}

/// Whether a report of the binary has problems of severity error.
pub(crate) fn has_errors(report: &Value) -> bool {
    let problems = report["problems"].as_array().unwrap();
    problems
        .iter()
        .any(|problem| problem["severity"] == "error")
}
