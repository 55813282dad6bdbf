use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::fault::Origin;
use super::*;

fn load(file: Option<&Path>) -> Result<RawSettings, CommandError> {
    load_with(file, &[]).map(|(settings, _)| settings)
}

fn load_with(
    file: Option<&Path>,
    variables: &[(&str, &str)],
) -> Result<(RawSettings, Provenance), CommandError> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let read = sources::read(file, variables).map_err(fault::into_error)?;
    match read.faults.is_empty() {
        true => Ok((read.settings, read.provenance)),
        false => Err(fault::into_error(read.faults)),
    }
}

fn load_text(text: &str) -> Result<RawSettings, CommandError> {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    load(Some(file.path()))
}

#[test]
fn default_file_has_the_default_settings() {
    let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
        .join("../../config/default.toml");
    let from_file = load(Some(&path)).unwrap();
    assert_eq!(from_file, RawSettings::default());
    from_file.validate().unwrap();
}

#[test]
fn misspelt_key_is_refused_with_the_right_one() {
    let error = load_text("[queue]\nvisibilty = \"5m\"\n").unwrap_err();
    assert!(error.to_string().contains("queue.visibilty"), "{error}");
    assert!(
        format!("{error:?}").contains("did you mean `queue.visibility`?"),
        "{error:?}"
    );
}

#[test]
fn duration_or_size_without_a_unit_is_refused() {
    for text in [
        "[queue]\nvisibility = \"5\"",
        "[limits]\ndelta = \"5\"",
        "[limits]\ndelta = 5",
    ] {
        assert!(load_text(text).is_err(), "{text}");
    }
}

#[test]
fn contradictory_settings_are_refused() {
    for text in [
        "[lease]\nterm = \"10s\"",
        "[worker]\nworkers = 0",
        "[snapshot]\nfirst = \"L99\"",
        "[queue]\nmax_receives = 0",
        "[queue]\nvisibility = \"1ms\"",
        "[retry]\nattempts = 0",
    ] {
        let settings = load_text(text).unwrap();
        assert!(settings.validate().is_err(), "{text}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn aws_and_localstack_files_are_valid() {
    for name in ["localstack.toml", "aws.example.toml"] {
        let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
            .join("../../config")
            .join(name);
        load(Some(&path)).unwrap().validate().unwrap();
    }
}

#[test]
fn variables_of_the_python_compactor_are_read() {
    let variables = [
        ("CHROMADB_BUCKET", "vectors"),
        ("LINES_QUEUE_URL", "https://sqs/lines"),
        ("WORDS_QUEUE_URL", "https://sqs/words"),
        ("DYNAMODB_TABLE_NAME", "table"),
        ("HEARTBEAT_INTERVAL_SECONDS", "30"),
        ("LOCK_DURATION_MINUTES", "3"),
        ("MAX_MESSAGES_PER_COMPACTION", "250"),
        ("ADDITIONAL_FETCH_VISIBILITY_TIMEOUT", "900"),
        ("LOG_LEVEL", "WARNING"),
        ("CHROMA_COMPACTOR_AWS__TABLE", "ours"),
    ];
    let (settings, provenance) = load_with(None, &variables).unwrap();
    assert_eq!(settings.aws.bucket, "vectors");
    assert_eq!(settings.aws.queues["lines"], "https://sqs/lines");
    assert_eq!(settings.aws.queues["words"], "https://sqs/words");
    assert_eq!(
        settings.aws.table, "ours",
        "the variables of this program override the others"
    );
    assert_eq!(settings.lease.renew_every, Duration::from_secs(30));
    assert_eq!(settings.lease.term, Duration::from_secs(180));
    assert_eq!(settings.worker.batch_runs, 250);
    assert_eq!(settings.queue.visibility, Duration::from_secs(900));
    assert_eq!(settings.log.filter, "warn");
    for (key, variable) in [
        ("aws.bucket", "CHROMADB_BUCKET"),
        ("aws.table", "CHROMA_COMPACTOR_AWS__TABLE"),
    ] {
        let origin = fault::Origin::Variable(variable.to_owned());
        assert_eq!(provenance.of(key), [&origin]);
    }
}

#[test]
fn request_to_write_to_chroma_cloud_is_refused() {
    let with = |value: &str| load_with(None, &[("CHROMA_CLOUD_ENABLED", value)]);
    let error = with("True").unwrap_err().to_string();
    assert!(error.contains("CHROMA_CLOUD_ENABLED"), "{error}");
    with("false").unwrap();
}

/// The build of README's first command has no adapters for AWS.
#[cfg(not(feature = "aws"))]
#[tokio::test]
async fn aws_without_its_adapters_is_refused_with_how_to_install_them() {
    let settings = load_text("[storage]\nbackend = \"aws\"\n").unwrap();
    let refusals = [settings.validate().err(), settings.open().await.err()];
    for refusal in refusals {
        let refusal = format!("{:?}", refusal.unwrap());
        assert!(
            refusal.contains("without the adapters for AWS"),
            "{refusal}"
        );
        assert!(refusal.contains("cargo install --path"), "{refusal}");
    }
}

/// Covers every key of the settings, so new keys as well.
#[test]
fn setting_error_names_the_key_and_no_rust_type() {
    let defaults = serde_json::to_value(RawSettings::default()).unwrap();
    for (key, _) in leaves(&defaults) {
        let (section, name) = key.split_once('.').unwrap();
        let Err(error) = load_text(&format!("[{section}]\n{name} = \"s3\"\n")) else {
            continue;
        };
        let text = error.to_string();
        assert!(text.contains(&format!(".toml:2: {key}: ")), "{text}");
        for word in ["enum", "variant", "struct"] {
            assert!(!text.contains(word), "{text}");
        }
    }
    let text = load_text("[storage]\nbackend = \"s3\"\n").unwrap_err();
    let text = text.to_string();
    let expected = "storage.backend: \"s3\" is none of \"local\", \"aws\"";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn lists_and_tables_are_read_from_the_environment() {
    let (settings, provenance) = load_with(
        None,
        &[
            ("CHROMA_COMPACTOR_AWS__LOCK_IDS", "a-{c}, b-{c}"),
            ("CHROMA_COMPACTOR_AWS__QUEUES", "LOUD=https://sqs/loud?a=b"),
            ("CHROMA_COMPACTOR_AWS__QUEUES__MyWords", "https://sqs/mine"),
            ("CHROMA_COMPACTOR_AWS__QUEUES__LINES", "https://sqs/lines"),
            ("CHROMA_COMPACTOR_AWS__BUCKET", "007"),
            ("CHROMA_COMPACTOR_METRICS__EMF", "TRUE"),
            ("CHROMA_COMPACTOR_WORKER__WORKERS", "3"),
        ],
    )
    .unwrap();
    assert_eq!(settings.aws.lock_ids, ["a-{c}", "b-{c}"]);
    let queues = [
        ("LOUD", "https://sqs/loud?a=b"),
        ("MyWords", "https://sqs/mine"),
        ("lines", "https://sqs/lines"),
    ];
    let queues = queues.map(|(name, url)| (name.to_owned(), url.to_owned()));
    assert_eq!(settings.aws.queues, queues.into());
    assert_eq!(settings.aws.bucket, "007", "a text is no number");
    assert!(settings.metrics.emf);
    assert_eq!(settings.worker.workers, 3);
    assert_eq!(provenance.of("aws.queues").len(), 3);
}

#[test]
fn former_section_name_sets_the_same_keys() {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    let text = "[fold]\nbacklog = 7\nthreads = 3\n[flush]\nthreads = 4\n";
    file.write_all(text.as_bytes()).unwrap();
    let variables = [("CHROMA_COMPACTOR_FOLD__WHEN", "never")];
    let (settings, provenance) = load_with(Some(file.path()), &variables).unwrap();
    assert_eq!(settings.flush.backlog, 7);
    assert_eq!(settings.flush.threads, 4, "the new name counts");
    let places = provenance.of("flush.threads");
    let [Origin::File { line, .. }] = places[..] else {
        panic!("{places:?}");
    };
    assert_eq!(*line, 5, "and its line is named");
    assert_eq!(settings.flush.when, chroma_store::FlushWhen::Never);
    let text = load_text("[fold]\nbacklogs = 7\n").unwrap_err().to_string();
    let expected = ".toml:2: unknown key `flush.backlogs`";
    assert!(text.contains(expected), "{text}");
}
