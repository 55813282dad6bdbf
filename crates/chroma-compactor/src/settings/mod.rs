//! Settings: file, environment and flags become one typed value, or an error that says which key
//! is wrong and what was meant.

mod backends;
mod raw;
mod size;
mod sources;
mod unknown;

use std::path::PathBuf;
use std::time::Duration;

use chroma_store::{FoldOptions, SchemaLevel, UnpackLimits};
use clap::Args;
use compactor_core::lease::LeaseTerm;
use compactor_core::retention::RetentionPolicy;
use compactor_core::retry::Backoff;
use compactor_daemon::{FirstSnapshot, Limits, Scratch, Settings};

use crate::failure::Failure;

pub(crate) use backends::{LOCAL_REGION, Opened};
pub(crate) use raw::{LogFormat, RawSettings};
pub(crate) use sources::{Provenance, leaves};

/// Versions are kept for at least so many leases.
const LEASES_OF_RETENTION: u32 = 10;

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
        Ok(self.load_with_sources()?.0)
    }

    /// The settings, and where those come from that are not defaults.
    pub(crate) fn load_with_sources(&self) -> Result<(RawSettings, Provenance), Failure> {
        let (mut settings, mut provenance) = sources::load(self.config.as_deref(), variables())?;
        if let Some(data) = &self.data {
            settings.storage.path.clone_from(data);
            provenance.insert("storage.path".to_owned(), "flag --data".to_owned());
        }
        Ok((settings, provenance))
    }
}

/// The environment, without what is no text: nobody means that for us.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
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
            ("log.buffer", self.log.buffer),
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
        if self.metrics.every < Duration::from_secs(1) {
            return Err(Failure::configuration("metrics.every must be at least 1s"));
        }
        if self.metrics.namespace.is_empty() {
            return Err(Failure::configuration(
                "metrics.namespace must not be empty",
            ));
        }
        self.check_aws()?;
        if self.fold.rebuild_above_deleted_percent > 100 {
            return Err(Failure::configuration(
                "fold.rebuild_above_deleted_percent must be at most 100",
            ));
        }
        if self.fold.vacuum_above_free_percent > 100 {
            return Err(Failure::configuration(
                "fold.vacuum_above_free_percent must be at most 100",
            ));
        }
        if self.snapshot.max_shrink > 100 {
            return Err(Failure::configuration(
                "snapshot.max_shrink must be at most 100",
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
            unhandled: self.queue.unhandled,
            lease,
            backoff: Backoff {
                first: self.retry.first,
                max: self.retry.max,
            },
            attempts: self.retry.attempts,
            rebases: self.snapshot.rebases,
            max_shrink: self.snapshot.max_shrink,
            shutdown: self.worker.shutdown,
            merge: chroma_store::MergeOptions {
                metadata: self.merge.metadata,
                fold: FoldOptions {
                    when: self.fold.when,
                    threads: self.fold.threads,
                    rebuild_above_deleted_percent: self.fold.rebuild_above_deleted_percent,
                    vacuum_above_free_percent: self.fold.vacuum_above_free_percent,
                    ..FoldOptions::default()
                },
            },
            fold_backlog: self.fold.backlog,
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
            layout: self.snapshot.layout,
            first: self.first_snapshot()?,
            retention: self.retention()?,
            clean_up_every: self.retention.every,
            created_by: concat!("chroma-compactor ", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    /// A version must outlive whoever may still be downloading it, or be about to publish on it.
    fn retention(&self) -> Result<RetentionPolicy, Failure> {
        let policy = RetentionPolicy {
            versions: self.retention.versions,
            age: self.retention.age,
        };
        self.check_retention(policy)?;
        Ok(policy)
    }

    /// The floors of [`RawSettings::retention`], for a policy from wherever.
    pub(crate) fn check_retention(&self, policy: RetentionPolicy) -> Result<(), Failure> {
        let least = self.lease.term * LEASES_OF_RETENTION;
        if policy.age < least {
            let least = humantime::format_duration(least);
            return Err(Failure::configuration(format!(
                "retention.age must be at least {least}, ten times lease.term"
            )));
        }
        if policy.versions == 0 {
            return Err(Failure::configuration(
                "retention.versions must be at least 1",
            ));
        }
        Ok(())
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

    /// Claims scratch space: `worker.scratch`, or a folder in the data directory.
    pub(crate) fn claim_scratch(&self) -> Result<Scratch, Failure> {
        let beside = || self.storage.path.join("scratch");
        let root = self.worker.scratch.clone().unwrap_or_else(beside);
        Scratch::claim(&root).map_err(Failure::io)
    }
}

#[cfg(test)]
mod tests;
