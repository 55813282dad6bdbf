//! Settings: file, environment and flags become one typed value, or an error that says which key
//! is wrong and what was meant.

mod raw;
mod size;
mod unknown;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chroma_store::{FoldOptions, SchemaLevel, UnpackLimits};
use clap::Args;
use compactor_core::lease::LeaseTerm;
use compactor_core::ports::{Clock, Ids};
use compactor_core::retry::Backoff;
use compactor_daemon::{FirstSnapshot, Limits, Ports, Scratch, Settings};
use compactor_local::{LocalBackend, LocalOptions, RandomIds, SystemClock};

use crate::failure::Failure;

pub(crate) use raw::{LogFormat, RawSettings};

const ENVIRONMENT_PREFIX: &str = "CHROMA_COMPACTOR";

/// Flags that every command with settings has.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// The configuration file (TOML). Every key may also come from the environment:
    /// `CHROMA_COMPACTOR_QUEUE__VISIBILITY=5m` is `queue.visibility`.
    #[arg(long, value_name = "FILE", env = "CHROMA_COMPACTOR_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory of the embedded backends; the same as `storage.path`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl SettingsArgs {
    pub(crate) fn load(&self) -> Result<RawSettings, Failure> {
        let mut settings = load(self.config.as_deref())?;
        if let Some(data) = &self.data {
            settings.storage.path.clone_from(data);
        }
        Ok(settings)
    }
}

fn load(file: Option<&Path>) -> Result<RawSettings, Failure> {
    let mut builder = config::Config::builder();
    if let Some(path) = file {
        if !path.is_file() {
            let message = format!("{}: there is no such configuration file", path.display());
            return Err(Failure::configuration(message)
                .with_help("name an existing file, or leave --config out to use the defaults"));
        }
        builder = builder
            .add_source(config::File::from(path.to_path_buf()).format(config::FileFormat::Toml));
    }
    let environment = config::Environment::with_prefix(ENVIRONMENT_PREFIX)
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true);
    let merged = builder
        .add_source(environment)
        .build()
        .map_err(|error| Failure::configuration(error.to_string()))?;
    let mut ignored = Vec::new();
    let settings: RawSettings =
        serde_ignored::deserialize(merged, |key| ignored.push(key.to_string()))
            .map_err(|error| Failure::configuration(error.to_string()))?;
    // Names the file by its own variable, not a key of the file.
    ignored.retain(|key| key != "config");
    match ignored.first() {
        Some(key) => Err(unknown::failure(key, file)),
        None => Ok(settings),
    }
}

impl RawSettings {
    /// Checks what single values cannot tell.
    pub(crate) fn validate(&self) -> Result<Settings, Failure> {
        let lease = LeaseTerm::new(
            self.lease.term,
            self.lease.renew_every,
            self.lease.skew_margin,
            self.lease.swap_budget,
        )
        .map_err(|error| Failure::configuration(error.to_string()))?;
        for (key, value) in [
            ("worker.workers", self.worker.workers),
            ("worker.batch_runs", self.worker.batch_runs),
            ("queue.in_flight", self.queue.in_flight),
            ("limits.transfers", self.limits.transfers),
        ] {
            if value == 0 {
                return Err(Failure::configuration(format!("{key} must be at least 1")));
            }
        }
        if self.queue.max_receives == 0 {
            return Err(Failure::configuration(
                "queue.max_receives must be at least 1",
            ));
        }
        if self.queue.visibility < Duration::from_secs(1) {
            return Err(Failure::configuration(
                "queue.visibility must be at least 1s",
            ));
        }
        if self.fold.rebuild_above_deleted_percent > 100 {
            return Err(Failure::configuration(
                "fold.rebuild_above_deleted_percent must be at most 100",
            ));
        }
        if self.retry.attempts == 0 {
            return Err(Failure::configuration("retry.attempts must be at least 1"));
        }
        Ok(Settings {
            workers: self.worker.workers,
            batch_runs: self.worker.batch_runs,
            in_flight: self.queue.in_flight,
            visibility: self.queue.visibility,
            poll_wait: self.queue.poll_wait,
            lease,
            backoff: Backoff {
                first: self.retry.first,
                max: self.retry.max,
            },
            attempts: self.retry.attempts,
            rebases: self.snapshot.rebases,
            shutdown: self.worker.shutdown,
            merge: chroma_store::MergeOptions {
                metadata: self.merge.metadata,
                fold: FoldOptions {
                    when: self.fold.when,
                    threads: self.fold.threads,
                    rebuild_above_deleted_percent: self.fold.rebuild_above_deleted_percent,
                    ..FoldOptions::default()
                },
            },
            verify: self.snapshot.verify.into(),
            close_wait: self.snapshot.close_wait,
            limits: Limits {
                archive_bytes: self.limits.archive.bytes(),
                unpacked: UnpackLimits {
                    bytes: self.limits.delta.bytes(),
                    ratio: self.limits.ratio,
                    entries: self.limits.entries,
                },
                snapshot_bytes: self.limits.snapshot.bytes(),
                transfers: self.limits.transfers,
            },
            first: self.first_snapshot()?,
            created_by: concat!("chroma-compactor ", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    fn first_snapshot(&self) -> Result<FirstSnapshot, Failure> {
        if self.snapshot.first == "like-delta" {
            return Ok(FirstSnapshot::LikeDelta);
        }
        self.snapshot
            .first
            .parse::<SchemaLevel>()
            .map(FirstSnapshot::AtLevel)
            .map_err(|error| {
                Failure::configuration(format!("snapshot.first: {error}, or \"like-delta\""))
            })
    }

    /// Opens the embedded backends below `storage.path`.
    pub(crate) fn open_local(&self) -> Result<Ports, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let ids: Arc<dyn Ids> = Arc::new(RandomIds);
        let options = LocalOptions {
            max_receives: self.queue.max_receives,
        };
        let backend = LocalBackend::open(
            &self.storage.path,
            Arc::clone(&clock),
            Arc::clone(&ids),
            options,
        )?;
        Ok(Ports {
            objects: backend.objects,
            queue: backend.queue,
            leases: backend.leases,
            runs: backend.runs,
            clock,
            ids,
        })
    }

    /// Claims scratch space: `worker.scratch`, or a folder in the data directory.
    pub(crate) fn claim_scratch(&self) -> Result<Scratch, Failure> {
        let beside = || self.storage.path.join("scratch");
        let root = self.worker.scratch.clone().unwrap_or_else(beside);
        Scratch::claim(&root).map_err(Failure::io)
    }
}

#[cfg(test)]
mod tests;
