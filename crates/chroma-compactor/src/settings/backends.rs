//! Opens the ports of the backend that the settings name.

#[cfg(feature = "aws")]
mod aws;

#[cfg(feature = "aws")]
use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "aws")]
use compactor_core::CollectionName;
use compactor_core::ports::{Clock, Ids, LeaseStore, ObjectStore, Queue, RunStore};
use compactor_daemon::Ports;
use compactor_local::{LocalBackend, LocalOptions, RandomIds, SystemClock};

use super::RawSettings;
use super::fault::Fault;
use super::raw::Backend;
use crate::error::CommandError;

/// The region in messages of the local backend. No reader uses it.
pub(crate) const LOCAL_REGION: &str = "local";

impl RawSettings {
    /// Opens the ports of `storage.backend`.
    ///
    /// # Errors
    /// A port cannot be opened: the data directory or a service cannot be used.
    pub(crate) async fn open(&self) -> Result<Ports, CommandError> {
        self.open_each().await?.all()
    }

    /// As [`RawSettings::open`], but a queue that cannot be opened is part of the result.
    ///
    /// # Errors
    /// A port other than the queue cannot be opened.
    pub(crate) async fn open_each(&self) -> Result<Opened, CommandError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let ids: Arc<dyn Ids> = Arc::new(RandomIds);
        match self.storage.backend {
            Backend::Local => Ok(self.open_local(clock, ids)?.into()),
            Backend::Aws => self.open_aws(clock, ids).await,
        }
    }

    /// The region that messages name for people; empty if only an AWS profile names it.
    pub(crate) fn region(&self) -> String {
        match self.storage.backend {
            Backend::Local => LOCAL_REGION.to_owned(),
            Backend::Aws => {
                let own = self.aws.region.clone();
                let theirs = ["AWS_REGION", "AWS_DEFAULT_REGION"];
                let mut theirs = theirs.iter().filter_map(|name| std::env::var(name).ok());
                own.or_else(|| theirs.next()).unwrap_or_default()
            }
        }
    }

    /// Whether the local backend is used, which keeps everything below `storage.path`.
    pub(crate) fn is_local(&self) -> bool {
        self.storage.backend == Backend::Local
    }

    /// Whether the local backend is used, and its data directory does not exist yet.
    pub(crate) fn is_unused(&self) -> bool {
        let is_missing = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        self.is_local() && fs_err::metadata(&self.storage.path).is_err_and(is_missing)
    }

    /// Refuses a data directory that does not exist: opening the local backend would make it, and a
    /// command that only looks must not.
    ///
    /// # Errors
    /// The local backend is used, and `storage.path` is no directory.
    pub(crate) fn require_data_directory(&self) -> Result<(), CommandError> {
        if self.is_local() && !self.storage.path.is_dir() {
            let path = self.storage.path.display();
            let message = format!("{path}: there is no data directory here");
            return Err(
                CommandError::usage(message).with_help("pass --data DIR, or submit a run first")
            );
        }
        Ok(())
    }

    /// The queue of each collection that has its own.
    #[cfg(feature = "aws")]
    fn queues(&self) -> Result<BTreeMap<CollectionName, String>, CommandError> {
        let queues = self.aws.queues.iter().map(|(name, url)| {
            let collection = name.parse().map_err(|error: compactor_core::NameError| {
                CommandError::configuration(format!("aws.queues: {error}"))
            })?;
            Ok((collection, url.clone()))
        });
        queues.collect()
    }

    fn open_local(&self, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Result<Ports, CommandError> {
        let options = LocalOptions {
            max_receives: self.queue.max_receives,
            access: self.storage.access.map(Into::into),
        };
        let (path, with) = (&self.storage.path, Arc::clone(&clock));
        let backend = LocalBackend::open(path, with, Arc::clone(&ids), options)?;
        Ok(Ports {
            objects: backend.objects,
            queue: backend.queue,
            leases: backend.leases,
            runs: backend.runs,
            clock,
            ids,
        })
    }

    /// Refuses: this build has no adapters for AWS.
    #[cfg(not(feature = "aws"))]
    async fn open_aws(&self, _: Arc<dyn Clock>, _: Arc<dyn Ids>) -> Result<Opened, CommandError> {
        Err(super::fault::into_error(vec![built_without_aws()]))
    }
}

/// The fault of settings that name AWS, in a build that has no adapters for it.
pub(super) fn built_without_aws() -> Fault {
    let message = "storage.backend = \"aws\": this program was built without the adapters for AWS";
    let help = "build it in a clone of its repository without `--no-default-features`: \
                cargo install --path crates/chroma-compactor --locked";
    Fault::of(&["storage.backend"], message).with_help(help)
}

/// All ports; the queue may be missing, because `doctor` checks the others all the same.
pub(crate) struct Opened {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) queue: Result<Arc<dyn Queue>, CommandError>,
    pub(crate) leases: Arc<dyn LeaseStore>,
    pub(crate) runs: Arc<dyn RunStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl From<Ports> for Opened {
    fn from(ports: Ports) -> Self {
        Self {
            objects: ports.objects,
            queue: Ok(ports.queue),
            leases: ports.leases,
            runs: ports.runs,
            clock: ports.clock,
            ids: ports.ids,
        }
    }
}

impl Opened {
    /// All ports, if the queue could be opened.
    fn all(self) -> Result<Ports, CommandError> {
        Ok(Ports {
            objects: self.objects,
            queue: self.queue?,
            leases: self.leases,
            runs: self.runs,
            clock: self.clock,
            ids: self.ids,
        })
    }
}
