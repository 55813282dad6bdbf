//! Settings: turns the file, the environment and flags into one typed value, or into an error that names
//! every wrong key and its place.

mod backends;
mod checks;
mod choice;
mod each;
mod environment;
mod fault;
mod file;
mod former;
mod layer;
mod python;
mod raw;
mod size;
mod sources;
mod unknown;

use std::path::PathBuf;

use chroma_store::{FlushOptions, SchemaLevel, UnpackLimits};
use clap::Args;
use compactor_core::lease::LeaseTerm;
use compactor_core::retention::RetentionPolicy;
use compactor_core::retry::Backoff;
use compactor_daemon::{Admission, Settings};
use compactor_snapshots::{FirstSnapshot, Limits, Scratch};
use glob::Pattern;

use self::fault::{Fault, Origin};
use self::raw::Lease;
use self::sources::Read;
use crate::error::CommandError;

pub(crate) use backends::{LOCAL_REGION, Opened};
pub(crate) use fault::Provenance;
pub(crate) use raw::{LogFormat, RawSettings};
pub(crate) use sources::leaves;

/// The options of every command that needs settings.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Read settings from this TOML file. A variable such as CHROMA_COMPACTOR_QUEUE__VISIBILITY=5m sets a
    /// key, here queue.visibility, and overrides the file.
    #[arg(long, value_name = "FILE", env = "CHROMA_COMPACTOR_CONFIG")]
    config: Option<PathBuf>,
    /// Use this data directory of the local backend; overrides storage.path. With AWS it is working space.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl SettingsArgs {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// A setting cannot be used. The error names every wrong setting, with its file and line or its variable.
    pub(crate) fn load(&self) -> Result<RawSettings, CommandError> {
        let Read {
            settings,
            provenance,
            mut faults,
        } = self.read()?;
        if let Err(found) = settings.check() {
            // A key that could not be read is at its default here, and reported already.
            let own = |fault: &Fault| faults.iter().any(|known| known.concerns(fault));
            let others: Vec<Fault> = found.into_iter().filter(|fault| !own(fault)).collect();
            faults.extend(others.into_iter().map(|fault| fault.placed(&provenance)));
        }
        if !faults.is_empty() {
            return Err(fault::into_error(faults));
        }
        // Variables for proxies and certificates are settings, too.
        #[cfg(feature = "aws")]
        if !settings.is_local() {
            compactor_aws::http_client()?;
        }
        Ok(settings)
    }

    /// Reads the settings without checking whether they fit together, and tells where each that is not a
    /// default comes from.
    ///
    /// # Errors
    /// A setting cannot be read.
    pub(crate) fn load_with_sources(&self) -> Result<(RawSettings, Provenance), CommandError> {
        let read = self.read()?;
        match read.faults.is_empty() {
            true => Ok((read.settings, read.provenance)),
            false => Err(fault::into_error(read.faults)),
        }
    }

    fn read(&self) -> Result<Read, CommandError> {
        let read = sources::read(self.config.as_deref(), variables());
        let mut read = read.map_err(fault::into_error)?;
        read.faults.extend(no_text());
        if let Some(data) = &self.data {
            read.settings.storage.path.clone_from(data);
            read.provenance
                .insert("storage.path", Origin::Flag("--data"));
        }
        Ok(read)
    }
}

/// The environment variables whose name and value are UTF-8.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Faults for variables of this program whose value is not UTF-8.
fn no_text() -> impl Iterator<Item = Fault> {
    std::env::vars_os()
        .filter(|(_, value)| value.to_str().is_none())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| environment::sets_a_key(name))
        .map(|name| {
            let fault = Fault::of(&[], "its value is not UTF-8");
            fault.at(Origin::Variable(name))
        })
}

impl RawSettings {
    /// Checks whether the settings fit together, and converts them to those of the daemon.
    ///
    /// # Errors
    /// Settings contradict each other, or are out of range. The error names all of them.
    pub(crate) fn validate(&self) -> Result<Settings, CommandError> {
        self.check().map_err(fault::into_error)
    }

    /// Does the work of [`RawSettings::validate`], and returns every fault.
    fn check(&self) -> Result<Settings, Vec<Fault>> {
        let mut faults = self.contradictions();
        let (lease, first) = match (self.lease_term(), self.first_snapshot()) {
            (Ok(lease), Ok(first)) if faults.is_empty() => (lease, first),
            (lease, first) => {
                faults.extend(lease.err().into_iter().chain(first.err()));
                return Err(faults);
            }
        };
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
                flush: FlushOptions {
                    when: self.flush.when,
                    threads: self.flush.threads,
                    rebuild_above_deleted_percent: self.flush.rebuild_above_deleted_percent,
                    vacuum_above_free_percent: self.flush.vacuum_above_free_percent,
                    ..FlushOptions::default()
                },
                longest_value: None,
            },
            flush_backlog: self.flush.backlog,
            verify: self.snapshot.verify.into(),
            close_wait: self.snapshot.close_wait,
            limits: Limits {
                archive_bytes: self.limits.archive.bytes(),
                unpacked: UnpackLimits {
                    bytes: self.limits.delta.bytes(),
                    ratio: self.limits.ratio,
                    entries: self.limits.entries,
                },
                batch_bytes: self.limits.batch.bytes(),
                value_bytes: self.value_bytes(),
                snapshot_bytes: self.limits.snapshot.bytes(),
                transfers: self.limits.transfers,
            },
            admission: self.admission(),
            embedding_functions: self.collections.embedding_functions.clone(),
            layout: self.snapshot.layout,
            first,
            retention: self.retention(),
            clean_up_every: self.retention.every,
            created_by: concat!("chroma-compactor ", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    fn retention(&self) -> RetentionPolicy {
        RetentionPolicy {
            versions: self.retention.versions,
            age: self.retention.age,
        }
    }

    /// Checks a retention policy, from the command line for instance, against the minimum of the
    /// configuration.
    ///
    /// # Errors
    /// The policy keeps too few versions, or keeps them too short.
    pub(crate) fn check_retention(&self, policy: RetentionPolicy) -> Result<(), CommandError> {
        let faults = self.retention_faults(policy);
        match faults.is_empty() {
            true => Ok(()),
            false => Err(fault::into_error(faults)),
        }
    }

    fn lease_term(&self) -> Result<LeaseTerm, Fault> {
        let Lease {
            term,
            renew_every,
            skew_margin,
            swap_budget,
        } = self.lease;
        LeaseTerm::new(term, renew_every, skew_margin, swap_budget).map_err(|error| {
            let keys = [
                "lease.term",
                "lease.renew_every",
                "lease.skew_margin",
                "lease.swap_budget",
            ];
            Fault::of(&keys, error.to_string())
        })
    }

    /// `limits.value` in bytes. The checks refuse more than SQLite allows, so it fits.
    fn value_bytes(&self) -> u32 {
        u32::try_from(self.limits.value.bytes()).unwrap_or(u32::MAX)
    }

    /// Which collections and deltas are merged. The checks refuse wrong patterns, so none is left out here.
    fn admission(&self) -> Admission {
        let patterns = self.collections.allow.iter();
        Admission {
            collections: patterns.filter_map(|one| Pattern::new(one).ok()).collect(),
            prefixes: self.deltas.prefixes.clone(),
            stream_records: self.queue.stream_records,
            stream_collections: self.queue.stream_collections,
        }
    }

    fn first_snapshot(&self) -> Result<FirstSnapshot, Fault> {
        if self.snapshot.first == "like-delta" {
            return Ok(FirstSnapshot::LikeDelta);
        }
        let level = self.snapshot.first.parse::<SchemaLevel>();
        level.map(FirstSnapshot::AtLevel).map_err(|error| {
            let message = format!("snapshot.first: {error}, or \"like-delta\"");
            Fault::of(&["snapshot.first"], message)
        })
    }

    /// Claims the scratch folder, also for SQLite's temporary files: `worker.scratch`, or a folder in the
    /// data directory.
    ///
    /// # Errors
    /// The folder cannot be made or locked, or belongs to another account.
    pub(crate) fn claim_scratch(&self) -> Result<Scratch, CommandError> {
        let beside = || self.storage.path.join("scratch");
        let root = self.worker.scratch.clone().unwrap_or_else(beside);
        compactor_local::own_folder(&root)?;
        let scratch = Scratch::claim(&root).map_err(CommandError::io)?;
        if !chroma_store::keep_temporary_files_in(&root) {
            tracing::warn!(scratch = %root.display(), "the path of the scratch folder is not UTF-8: SQLite keeps its temporary files in TMPDIR, /var/tmp or /tmp");
        }
        Ok(scratch)
    }
}

#[cfg(test)]
mod tests;
