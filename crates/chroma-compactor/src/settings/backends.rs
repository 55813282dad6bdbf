//! The ports that the settings ask for.

#[cfg(feature = "aws")]
mod aws;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::ports::{Clock, Ids, LeaseStore, ObjectStore, Queue, RunStore};
use compactor_daemon::Ports;
use compactor_local::{LocalBackend, LocalOptions, RandomIds, SystemClock};

use super::RawSettings;
use super::raw::Backend;
use crate::failure::Failure;

/// The region that local messages name; nobody reads it.
pub(crate) const LOCAL_REGION: &str = "local";

impl RawSettings {
    /// Opens the backends of `storage.backend`.
    pub(crate) async fn open(&self) -> Result<Ports, Failure> {
        self.open_each().await?.all()
    }

    /// As [`RawSettings::open`], also where the queue cannot be opened.
    pub(crate) async fn open_each(&self) -> Result<Opened, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let ids: Arc<dyn Ids> = Arc::new(RandomIds);
        match self.storage.backend {
            Backend::Local => Ok(self.open_local(clock, ids)?.into()),
            Backend::Aws => self.open_aws(clock, ids).await,
        }
    }

    /// The region that messages name, for people; empty where only a profile has it.
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

    /// Whether everything is below `storage.path`.
    pub(crate) fn is_local(&self) -> bool {
        self.storage.backend == Backend::Local
    }

    /// What AWS needs to be told.
    pub(super) fn check_aws(&self) -> Result<(), Failure> {
        if self.is_local() {
            return Ok(());
        }
        if cfg!(not(feature = "aws")) {
            return Err(built_without_aws());
        }
        for (key, value) in [
            ("aws.bucket", &self.aws.bucket),
            ("aws.table", &self.aws.table),
        ] {
            if value.is_empty() {
                let message = format!("{key} must be set for storage.backend = \"aws\"");
                let help = "config/aws.example.toml shows a whole file";
                return Err(Failure::configuration(message).with_help(help));
            }
        }
        let (shared, own) = (!self.aws.queue_url.is_empty(), !self.aws.queues.is_empty());
        if shared == own {
            let message = if shared {
                "aws.queue_url and aws.queues exclude each other"
            } else {
                "aws.queue_url or aws.queues must be set for storage.backend = \"aws\""
            };
            let help = "name one queue for all collections, or one for each";
            return Err(Failure::configuration(message).with_help(help));
        }
        self.queues()?;
        if self.aws.lock_ids.is_empty() {
            let message = "aws.lock_ids must name at least one lock";
            return Err(Failure::configuration(message));
        }
        if let Some(id) = self.aws.lock_ids.iter().find(|id| !id.contains("{c}")) {
            let message = format!("aws.lock_ids: `{id}` would be one lock for all collections");
            let help = "write {c} where the collection's name belongs";
            return Err(Failure::configuration(message).with_help(help));
        }
        if self.aws.stall < Duration::from_secs(1) {
            return Err(Failure::configuration("aws.stall must be at least 1s"));
        }
        // What the environment says of proxies and certificates is settings, too.
        #[cfg(feature = "aws")]
        compactor_aws::http_client()?;
        Ok(())
    }

    /// The queue of each collection.
    fn queues(&self) -> Result<BTreeMap<CollectionName, String>, Failure> {
        let queues = self.aws.queues.iter().map(|(name, url)| {
            let collection = name.parse().map_err(|error: compactor_core::NameError| {
                Failure::configuration(format!("aws.queues: {error}"))
            })?;
            Ok((collection, url.clone()))
        });
        queues.collect()
    }

    fn open_local(&self, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Result<Ports, Failure> {
        let options = LocalOptions {
            max_receives: self.queue.max_receives,
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

    /// The binary has no adapters for AWS.
    #[cfg(not(feature = "aws"))]
    async fn open_aws(&self, _: Arc<dyn Clock>, _: Arc<dyn Ids>) -> Result<Opened, Failure> {
        Err(built_without_aws())
    }
}

fn built_without_aws() -> Failure {
    let message = "storage.backend = \"aws\": this program was built without the adapters for AWS";
    let help = "build it in a clone of its repository without `--no-default-features`: \
                cargo install --path crates/chroma-compactor --locked";
    Failure::configuration(message).with_help(help)
}

/// Ports of which the queue may be missing.
pub(crate) struct Opened {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) queue: Result<Arc<dyn Queue>, Failure>,
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
    fn all(self) -> Result<Ports, Failure> {
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
