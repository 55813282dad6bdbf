//! A delta that the base's schema level has no place for is refused, and nothing is left behind.

use crate::session::Session;

#[test]
fn array_metadata_is_refused_by_a_v1_3_3_base() {
    for threshold in ["2000", "20"] {
        let mut session = Session::new(40_100);
        let s = &mut session;
        let [base, delta, ops, out] = ["base", "delta", "ops.json", "out"].map(|name| s.path(name));
        let seed = s.seed().to_string();
        let data = [
            "--seed",
            &seed,
            "--space",
            "l2",
            "--dim",
            "4",
            "--records",
            "60",
            "--threshold",
        ];
        let mut arguments = vec!["make-base", "--out", &base];
        arguments.extend(data.iter().chain(&["2000"]));
        s.oracle("1.3.3", &arguments);
        let mut arguments = vec!["make-delta", "--out", &delta, "--ops", &ops];
        arguments.extend(data.iter().chain(&[threshold, "--rich-level", "array"]));
        s.oracle("1.5.9", &arguments);

        let (names, before) = (s.names(), s.bytes_of(&base));
        let merge = [
            "store", "merge", "--base", &base, "--delta", &delta, "--out", &out, "--json",
        ];
        let code = s.compactor_refuses(&merge);
        s.check(code == "CS-ARRAYS", &code);
        s.check(
            s.names() == names,
            &format!("{names:?} became {:?}", s.names()),
        );
        s.check_untouched(&base, &before);
    }
}
