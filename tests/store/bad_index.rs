//! Spoilt index files of chromadb. Each gives an error that names the file; none gives a crash, a
//! runaway allocation or a wrong verdict.

use std::path::{Path, PathBuf};

use chroma_store::{VerifyLevel, verify};
use compactor_testkit::python::for_oracle;

use crate::directory::bytes_of;

/// Builds a directory whose vectors are in index files, with the chromadb of this version.
fn indexed(root: &Path, version: &str) -> PathBuf {
    let out = root.join("indexed");
    let status = for_oracle(version)
        .args([
            "-m",
            "oracle",
            "make-base",
            "--seed",
            "5",
            "--space",
            "cosine",
            "--dim",
            "8",
        ])
        .args([
            "--records",
            "150",
            "--threshold",
            "20",
            "--collections",
            "words",
        ])
        .args([
            "--out".as_ref(),
            out.as_os_str(),
            "--ids-out".as_ref(),
            root.join("ids.json").as_os_str(),
        ])
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    out
}

fn index_file(dir: &Path, name: &str) -> PathBuf {
    let found = bytes_of(dir).into_keys().find(|path| path.ends_with(name));
    found.unwrap_or_else(|| panic!("there is a {name}"))
}

type Spoil = fn(&mut Vec<u8>);

const CASES: &[(&str, &str, Spoil)] = &[
    ("header.bin", "CS-TRUNCATED", |bytes| bytes.truncate(60)),
    ("header.bin", "CS-INDEX-FILE", |bytes| bytes.push(0)),
    ("header.bin", "CS-INDEX-FILE", |bytes| bytes[0] = 2),
    ("header.bin", "CS-TRUNCATED", |bytes| {
        bytes[13] = 0x80;
        bytes[21] = 0x40;
    }),
    ("header.bin", "CS-INDEX-FILE", |bytes| {
        bytes[20..28].fill(0xFF);
    }),
    ("header.bin", "CS-INDEX-FILE", |bytes| {
        bytes[28..36].fill(0xFF);
    }),
    ("header.bin", "CS-INDEX-FILE", |bytes| bytes[36] ^= 4),
    ("header.bin", "CS-INDEX-FILE", |bytes| {
        bytes[56..60].fill(0xFF);
    }),
    ("header.bin", "CS-INDEX-FILE", |bytes| bytes[60..68].fill(0)),
    ("data_level0.bin", "CS-TRUNCATED", |bytes| {
        bytes.truncate(1000);
    }),
    ("data_level0.bin", "CS-INDEX-FILE", |bytes| {
        bytes[0..2].fill(0xFF);
    }),
    ("data_level0.bin", "CS-INDEX-FILE", |bytes| {
        bytes[4..8].fill(0xFF);
    }),
    ("data_level0.bin", "CS-INDEX-FILE", |bytes| {
        bytes[132..136].copy_from_slice(&f32::NAN.to_le_bytes());
    }),
    ("data_level0.bin", "CS-INDEX-FILE", |bytes| {
        bytes[164..172].fill(0xFF);
    }),
    // The label of the second record becomes that of the first.
    ("data_level0.bin", "CS-INDEX-FILE", |bytes| {
        bytes.copy_within(164..172, 172 + 164);
    }),
    // Undeleting a record, or deleting one: the graph and the id maps disagree.
    ("data_level0.bin", "I3", |bytes| bytes[2] ^= 1),
    ("length.bin", "CS-TRUNCATED", |bytes| bytes.truncate(40)),
    ("length.bin", "CS-INDEX-FILE", |bytes| {
        bytes[0..4].copy_from_slice(&f32::NAN.to_le_bytes());
    }),
    ("link_lists.bin", "CS-TRUNCATED", Vec::clear),
    ("link_lists.bin", "CS-TRUNCATED", |bytes| {
        bytes.truncate(bytes.len() - 3);
    }),
    ("link_lists.bin", "CS-INDEX-FILE", |bytes| {
        bytes[0..4].copy_from_slice(&7_u32.to_le_bytes());
    }),
    ("link_lists.bin", "CS-INDEX-FILE", |bytes| {
        bytes[0..4].fill(0xF0);
    }),
    ("link_lists.bin", "CS-INDEX-FILE", |bytes| {
        bytes.extend([0; 4]);
    }),
    ("index_metadata.pickle", "CS-INDEX-FILE", |bytes| {
        bytes.truncate(bytes.len() / 2);
    }),
    ("index_metadata.pickle", "CS-INDEX-FILE", |bytes| {
        *bytes = b"cos\nsystem\n(S'exit 1'\ntR.".to_vec();
    }),
    // Nested too deeply for the stack.
    ("index_metadata.pickle", "CS-INDEX-FILE", |bytes| {
        *bytes = [
            b"\x80\x02".to_vec(),
            vec![b']'; 2_000_000],
            vec![b'a'; 1_999_999],
            b".".to_vec(),
        ]
        .concat();
    }),
    ("index_metadata.pickle", "CS-INDEX-FILE", Vec::clear),
];

#[test]
fn spoilt_index_file_is_found_and_named() {
    for version in ["1.5.9", "0.6.3"] {
        let root = tempfile::tempdir().unwrap();
        let dir = indexed(root.path(), version);
        let report = verify(&dir, VerifyLevel::Full).unwrap();
        assert!(report.is_sound(), "{version}: {:?}", report.problems);
        for (number, (name, code, spoil)) in CASES.iter().enumerate() {
            let path = index_file(&dir, name);
            let sound = std::fs::read(&path).unwrap();
            let mut bytes = sound.clone();
            spoil(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            let what = format!("{version}: case {number}, {name}");
            match verify(&dir, VerifyLevel::Full) {
                Err(error) => {
                    assert_eq!(error.code(), *code, "{what}: {error}");
                    let text = error.to_string();
                    let named = ["header.bin", "data_level0.bin", "link_lists.bin", name];
                    assert!(
                        named.iter().any(|file| text.contains(file)),
                        "{what}: {text}"
                    );
                }
                Ok(report) => {
                    assert!(!report.is_sound(), "{what}: nothing was found");
                    let found = report.problems.iter().any(|p| p.to_string().contains(code));
                    assert!(found, "{what}: {:?}", report.problems);
                }
            }
            std::fs::write(&path, sound).unwrap();
        }
    }
}

#[test]
fn missing_index_file_is_found_by_full_verification() {
    let root = tempfile::tempdir().unwrap();
    let dir = indexed(root.path(), "1.3.3");
    for name in [
        "header.bin",
        "data_level0.bin",
        "length.bin",
        "link_lists.bin",
        "index_metadata.pickle",
    ] {
        let path = index_file(&dir, name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let unsound = verify(&dir, VerifyLevel::Full).map_or(true, |report| !report.is_sound());
        assert!(unsound, "{name}");
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(verify(&dir, VerifyLevel::Full).unwrap().is_sound());
}
