//! Any bytes as a manifest give a manifest that survives a round trip, or an error.

use compactor_core::Manifest;

/// Takes the whole input as a manifest.
pub fn check(input: &[u8]) {
    let manifest = match Manifest::parse(input) {
        Ok(manifest) => manifest,
        Err(error) => return assert!(error.code().starts_with("CC-")),
    };
    let again = Manifest::parse(manifest.to_json().as_bytes()).expect("what we wrote ourselves");
    assert_eq!(again, manifest);
    if manifest
        .validate(&manifest.collection, &manifest.version)
        .is_ok()
    {
        for file in &manifest.files {
            let mut parts = file.path.split('/');
            assert!(
                parts.all(|part| !matches!(part, "" | "." | "..")),
                "{}",
                file.path
            );
        }
        assert!(manifest.contains_all(manifest.runs.iter().map(|run| &run.run_id)));
    }
}
