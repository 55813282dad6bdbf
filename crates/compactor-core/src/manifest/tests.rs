use super::*;

fn run(id: &str) -> AppliedRun {
    AppliedRun {
        run_id: id.parse().unwrap(),
        added: 3,
        updated: 1,
        deleted: 0,
        merged: 4,
        ignored: 2,
    }
}

fn file(path: &str) -> FileEntry {
    FileEntry {
        path: path.to_owned(),
        size: 1,
        sha256: "0a".repeat(32),
    }
}

fn manifest() -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        collection: "lines".parse().unwrap(),
        version: "20261121_000212_517191_74bfc63c".parse().unwrap(),
        parent: Some(Parent {
            version: "20251115_171818".parse().unwrap(),
            etag: "\"9e107d9d372bb6826bd81d3542a419d6\"".to_owned(),
        }),
        fence: Fence(7),
        nonce: Uuid::nil(),
        created_at: WallTime::parse_iso("2026-11-21T00:02:12.517191+00:00").unwrap(),
        created_by: "chroma-compactor 0.1.0".to_owned(),
        layout: Layout::Files,
        runs: vec![run("r2")],
        applied_runs: vec!["r1".parse().unwrap(), "r2".parse().unwrap()],
        applied_deltas: std::collections::BTreeMap::new(),
        archive: None,
        files: vec![file("aa/header.bin"), file("chroma.sqlite3")],
        rows: Rows {
            records: 4,
            dimension: Some(384),
            space: "l2".to_owned(),
            schema_level: "1.5".to_owned(),
        },
    }
}

fn code_of(change: impl FnOnce(&mut Manifest)) -> &'static str {
    let good = manifest();
    let mut changed = good.clone();
    change(&mut changed);
    match changed.validate(&good.collection, &good.version) {
        Ok(()) => "valid",
        Err(error) => error.code(),
    }
}

#[test]
fn stored_form_of_a_manifest_never_changes() {
    let json: serde_json::Value = serde_json::from_str(&manifest().to_json()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "format_version": 1,
            "collection": "lines",
            "version": "20261121_000212_517191_74bfc63c",
            "parent": {
                "version": "20251115_171818",
                "etag": "\"9e107d9d372bb6826bd81d3542a419d6\""
            },
            "fence": 7,
            "nonce": "00000000-0000-0000-0000-000000000000",
            "created_at": "2026-11-21T00:02:12.517191+00:00",
            "created_by": "chroma-compactor 0.1.0",
            "layout": "files",
            "runs": [{"run_id": "r2", "added": 3, "updated": 1, "deleted": 0, "merged": 4, "ignored": 2}],
            "applied_runs": ["r1", "r2"],
            "files": [
                {"path": "aa/header.bin", "size": 1, "sha256": "0a".repeat(32)},
                {"path": "chroma.sqlite3", "size": 1, "sha256": "0a".repeat(32)}
            ],
            "rows": {"records": 4, "dimension": 384, "space": "l2", "schema_level": "1.5"}
        })
    );
    assert_eq!(
        Manifest::parse(manifest().to_json().as_bytes()).unwrap(),
        manifest()
    );
}

#[test]
fn additional_manifest_field_is_ignored_and_another_format_refused() {
    let mut json: serde_json::Value = serde_json::from_str(&manifest().to_json()).unwrap();
    json["colour"] = "green".into();
    assert_eq!(
        Manifest::parse(json.to_string().as_bytes()).unwrap(),
        manifest()
    );
    let error = Manifest::parse(br#"{"format_version": 2}"#).unwrap_err();
    assert_eq!(error.code(), "CC-MANIFEST-FORMAT");
    for bad in ["", "[]", "{}", r#"{"format_version": 1}"#, "\u{0}"] {
        let error = Manifest::parse(bad.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "CC-MANIFEST-UNREADABLE", "{bad:?}");
    }
}

/// The manifest has the fields that docs/protocol.md reserves, and unplanned ones at every level.
#[test]
fn reader_of_format_1_ignores_fields_that_a_later_daemon_adds() {
    let mut known = manifest();
    known.archive = Some(ArchiveEntry {
        size: 9,
        sha256: "0a".repeat(32),
    });
    let mut json: serde_json::Value = serde_json::from_str(&known.to_json()).unwrap();
    json["page_deltas"] = serde_json::json!({
        "chroma.sqlite3": {"page": 4096, "ranges": [[0, 1], [7, 2]]}
    });
    json["order"] = serde_json::json!({
        "horizon": "2026-10-22T00:02:12.517191+00:00",
        "applied": 3, "stale": 1, "parked": 0
    });
    json["rolled_back"] = serde_json::json!(["r0"]);
    json["verified"] = serde_json::json!({"incremental": "20251115_171818"});
    let sha256 = "0b".repeat(32);
    json["files"][0]["parts"] = serde_json::json!([{"size": 1, "sha256": sha256}]);
    for object in ["parent", "archive", "rows"] {
        json[object]["unplanned"] = 1.into();
    }
    for entry in ["files", "runs"] {
        json[entry][0]["unplanned"] = serde_json::json!({"nested": [null]});
    }

    let read = Manifest::parse(json.to_string().as_bytes()).unwrap();
    read.validate(&known.collection, &known.version).unwrap();
    assert_eq!(read, known);

    json["verified"] = "full".into();
    let read = Manifest::parse(json.to_string().as_bytes()).unwrap();
    assert_eq!(read, known);
}

#[test]
fn good_manifest_is_valid_and_each_error_has_its_code() {
    assert_eq!(code_of(|_| {}), "valid");
    assert_eq!(code_of(|m| m.parent = None), "valid");
    assert_eq!(code_of(|m| m.format_version = 2), "CC-MANIFEST-FORMAT");
    assert_eq!(
        code_of(|m| m.collection = "words".parse().unwrap()),
        "CC-MANIFEST-COLLECTION"
    );
    assert_eq!(
        code_of(|m| m.version = "20251115_171818".parse().unwrap()),
        "CC-MANIFEST-VERSION"
    );
    assert_eq!(
        code_of(|m| m.parent.as_mut().unwrap().version = m.version.clone()),
        "CC-MANIFEST-ORDER"
    );
    assert_eq!(code_of(|m| m.files.clear()), "CC-MANIFEST-EMPTY");
    assert_eq!(code_of(|m| m.files.reverse()), "CC-MANIFEST-FILES");
    assert_eq!(
        code_of(|m| m.files[0].path = "chroma.sqlite3".to_owned()),
        "CC-MANIFEST-FILES"
    );
    assert_eq!(
        code_of(|m| m.files = vec![file("a"), file("a/b")]),
        "CC-MANIFEST-FILES",
        "a file cannot be a folder too"
    );
    assert_eq!(
        code_of(|m| m.applied_runs.truncate(1)),
        "CC-MANIFEST-LINEAGE"
    );
    assert_eq!(
        code_of(|m| m.applied_runs.push("r1".parse().unwrap())),
        "CC-MANIFEST-LINEAGE"
    );
    for digest in [
        "",
        "0A",
        &"0A".repeat(32),
        &"0g".repeat(32),
        &"0a".repeat(33),
    ] {
        assert_eq!(
            code_of(|m| m.files[0].sha256 = digest.to_owned()),
            "CC-MANIFEST-DIGEST"
        );
    }
}

#[test]
fn file_path_that_leads_out_of_the_snapshot_is_refused() {
    for path in [
        "",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "a\0",
        "a\nb",
        "manifest.json",
        ".snapshot_hash",
    ] {
        assert_eq!(
            code_of(|m| m.files = vec![file(path)]),
            "CC-MANIFEST-PATH",
            "{path:?}"
        );
    }
}

#[test]
fn lineage_keeps_the_newest_runs_each_once() {
    let first = Manifest::extend_lineage(None, &[run("r1"), run("r2"), run("r1")]);
    assert_eq!(
        first.iter().map(RunId::as_str).collect::<Vec<_>>(),
        ["r2", "r1"]
    );

    let mut parent = manifest();
    parent.applied_runs = (0..LINEAGE_LIMIT)
        .map(|n| format!("p{n}").parse().unwrap())
        .collect();
    let child = Manifest::extend_lineage(Some(&parent), &[run("new"), run("p5")]);
    assert_eq!(child.len(), LINEAGE_LIMIT);
    assert_eq!(child.last().unwrap().as_str(), "p5");
    assert_eq!(
        child[0].as_str(),
        "p1",
        "only the oldest falls out: p5 moved, new came"
    );
}

#[test]
fn manifest_contains_the_runs_of_its_lineage() {
    let manifest = manifest();
    let [r1, r2, r3] = ["r1", "r2", "r3"].map(|id| id.parse::<RunId>().unwrap());
    assert!(manifest.contains_run(&r1));
    assert!(manifest.contains_all([&r1, &r2]));
    assert!(!manifest.contains_all([&r1, &r3]));
}
