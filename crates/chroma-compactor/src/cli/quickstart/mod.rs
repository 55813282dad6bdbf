//! `quickstart`: submits, merges and reads sample data on this machine.

mod samples;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chroma_store::{CloseOptions, ClosedStore, VerifyLevel};
use clap::Args;
use compactor_core::{CollectionName, Lineage, RunRecord, RunState};
use compactor_daemon::{Admission, Daemon, Mode, Ports, Submission, submit};
use compactor_snapshots::{Limits, Observed, Observer, Scratch, SnapshotRepository};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::logging::start_logging;
use super::runs;
use super::runtime::block_on;
use super::signals::cancel_on_signal;
use crate::error::CommandError;
use crate::output::{self, Progress};
use crate::settings::{LOCAL_REGION, RawSettings};

/// How many runs one call submits.
const RUNS: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// Write everything into this directory. Another call with the same directory merges more runs into it.
    #[arg(long, value_name = "DIR", default_value = "data/quickstart")]
    dir: PathBuf,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A published snapshot that was downloaded as a reader would.
#[derive(Debug, Serialize)]
struct Reader {
    collection: CollectionName,
    version: String,
    records: u64,
    dir: PathBuf,
}

impl Quickstart {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let mut raw = RawSettings::default();
        raw.storage.path = self.dir.join("store");
        // The table reports what happened; only warnings are worth a log line.
        raw.log.filter = "warn".to_owned();
        start_logging(&raw)?;
        let progress = Arc::new(Progress::new(
            u64::try_from(RUNS * 4).unwrap_or(0),
            self.json,
        ));
        let (records, readers) = block_on(self.make(&raw, &progress))?;
        drop(progress);
        let done = records.iter().flat_map(|record| record.parts.values());
        let all_completed =
            done.clone().count() > 0 && done.clone().all(|part| part.state == RunState::Completed);
        if self.json {
            output::json(&serde_json::json!({"runs": records, "snapshots": readers}))?;
        } else {
            print(&records, &readers)?;
        }
        Ok(if all_completed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn make(
        &self,
        raw: &RawSettings,
        progress: &Arc<Progress>,
    ) -> Result<(Vec<RunRecord>, Vec<Reader>), CommandError> {
        let settings = raw.validate()?;
        let limits = settings.limits;
        let ports = raw.open().await?;
        let scratch = raw.claim_scratch()?;
        let mut keys = Vec::new();
        for number in 0..RUNS {
            progress.step("making and submitting sample deltas");
            keys.push(
                self.submit_sample(&ports, &scratch, &limits, number)
                    .await?,
            );
        }
        let (stop, settling) = (CancellationToken::new(), TaskTracker::new());
        cancel_on_signal(stop.clone(), settling.clone())?;
        let observer = Arc::new(ProgressBar {
            progress: Arc::clone(progress),
            at: AtomicU64::new(0),
        });
        Daemon::new(ports.clone(), settings, scratch, stop)
            .with_observer(observer)
            .with_settling(settling)
            .run(Mode::Drain)
            .await?;
        progress.step("reading the published snapshots");
        let mut readers = Vec::new();
        for collection in samples::COLLECTIONS {
            let collection = parse(collection)?;
            readers.push(self.read(&ports, collection, &limits).await?);
        }
        let records = ports.runs.list(RUNS).await?;
        let submitted = records
            .into_iter()
            .filter(|record| keys.contains(&record.key.run_id.to_string()));
        Ok((submitted.collect(), readers))
    }

    async fn submit_sample(
        &self,
        ports: &Ports,
        scratch: &Scratch,
        limits: &Limits,
        number: usize,
    ) -> Result<String, CommandError> {
        let folder = scratch.folder("sample").map_err(CommandError::io)?;
        let mut deltas = BTreeMap::new();
        for name in samples::COLLECTIONS {
            let dir = folder.path().join(name);
            samples::write_delta(&dir, name, number, ports.ids.as_ref())?;
            deltas.insert(parse(name)?, dir);
        }
        let submission = Submission {
            run_id: None,
            deltas,
            region: LOCAL_REGION.to_owned(),
            limits: *limits,
            admission: Admission::default(),
            embedding_functions: Vec::new(),
        };
        Ok(submit(ports, submission).await?.run_id.to_string())
    }

    /// Downloads the published snapshot into a folder of its own: chromadb changes a directory when it opens
    /// it.
    async fn read(
        &self,
        ports: &Ports,
        collection: CollectionName,
        limits: &Limits,
    ) -> Result<Reader, CommandError> {
        let repository = SnapshotRepository::new(Arc::clone(&ports.objects));
        let published = repository
            .resolve(&Lineage::from(&collection))
            .await?
            .ok_or_else(|| {
                CommandError::usage(format!("nothing is published for `{collection}`")).with_help(
                    "read the errors of the runs: chroma-compactor runs --data DIR/store",
                )
            })?;
        let dir = self
            .dir
            .join("readers")
            .join(format!("{collection}-{}", published.version));
        replace_folder(&dir)?;
        repository.fetch(&published, &dir, limits).await?;
        let report =
            ClosedStore::prove(&dir, &CloseOptions::default())?.verify(VerifyLevel::Full)?;
        let dir = fs_err::canonicalize(&dir).map_err(CommandError::io)?;
        Ok(Reader {
            records: report
                .collection(collection.as_str())
                .map_or(0, |found| found.records),
            version: published.version.to_string(),
            collection,
            dir,
        })
    }
}

fn parse(name: &str) -> Result<CollectionName, CommandError> {
    name.parse()
        .map_err(|error: compactor_core::NameError| CommandError::usage(error.to_string()))
}

fn replace_folder(dir: &Path) -> Result<(), CommandError> {
    match fs_err::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(CommandError::io(error));
        }
        _ => {}
    }
    fs_err::create_dir_all(dir).map_err(CommandError::io)
}

fn print(records: &[RunRecord], readers: &[Reader]) -> Result<(), CommandError> {
    output::lines(&runs::table(records))?;
    for reader in readers {
        output::lines(&format!(
            "\n{}: version {}, {} records, verified\n  {}",
            reader.collection,
            reader.version,
            reader.records,
            reader.dir.display()
        ))?;
    }
    if let Some(reader) = readers
        .iter()
        .find(|reader| reader.collection.as_str() == samples::QUERIED)
    {
        output::lines("\nQuery it (pip install chromadb):\n")?;
        for line in samples::python_lines(&reader.dir) {
            output::line(&line)?;
        }
    }
    Ok(())
}

/// Shows the cycle's steps.
struct ProgressBar {
    progress: Arc<Progress>,
    at: AtomicU64,
}

impl Observer for ProgressBar {
    fn observe(&self, observed: &Observed<'_>) {
        let at = self.at.fetch_add(1, Ordering::Relaxed);
        let (collection, step) = (observed.collection, observed.step.name());
        self.progress.say(&format!("{collection}: {step}"));
        // 24 steps, 12 for each of the two collections, advance the bar by 8.
        self.progress.at(RUNS as u64 + at / 3);
    }
}
