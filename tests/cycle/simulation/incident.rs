//! What happens once to a seed, lasts for long, and is no run's fault. In the end everything must be
//! published, and no run given up.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::lease::DEAD_HOLDER_AFTER;
use compactor_core::ports::{Fault, ObjectStore};
use compactor_core::{Lineage, Version, keys};
use compactor_daemon::Ports;
use compactor_snapshots::SnapshotRepository;
use uuid::Uuid;

use super::plan::COLLECTIONS;
use super::remote::Services;
use super::run::empty_archive;
use super::weather::OF_THE_BUCKET;
use crate::world::name;

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Incident {
    /// Bucket and locks answer with this fault.
    Refused(Fault, Range<Duration>),
    /// Every download takes a minute and is cut off.
    Trickle(Range<Duration>),
    /// A writer that died holds a lock that names no end: it is taken over after half an hour.
    DeadHolder(Duration),
    /// The pointers are deleted, and put back by hand.
    PointersVanish(Range<Duration>),
    /// Another writer publishes empty versions; ours are put back by hand.
    BasesShrink(Range<Duration>),
}

/// How long a cut download takes.
const CUT: Duration = Duration::from_secs(60);
/// Locks are held by a table.
const OF_THE_LOCKS: [&str; 4] = ["acquire", "renew", "holder", "next_fence"];

impl Incident {
    /// How a call ends now because of it, and after how long.
    pub(crate) fn ends(&self, now: Duration, call: &str) -> Option<(Fault, Duration)> {
        match self {
            Self::Refused(fault, during) => {
                let is_theirs = OF_THE_BUCKET.contains(&call) || OF_THE_LOCKS.contains(&call);
                (is_theirs && during.contains(&now)).then_some((*fault, Duration::ZERO))
            }
            Self::Trickle(during) => {
                let is_cut = call == "download" && during.contains(&now);
                is_cut.then_some((Fault::Transient, CUT))
            }
            Self::DeadHolder(_) | Self::PointersVanish(_) | Self::BasesShrink(_) => None,
        }
    }

    /// What daemons may say because of it.
    pub(crate) fn expected(&self) -> &'static [&'static str] {
        match self {
            Self::PointersVanish(_) => &["CC-POINTER-GONE"],
            Self::BasesShrink(_) => &["CC-SHRUNK", "CC-OVERTAKEN"],
            Self::Refused(..) | Self::Trickle(_) | Self::DeadHolder(_) => &[],
        }
    }

    /// Does what has to be done from outside.
    pub(crate) async fn happen(&self, services: &Services, operator: &Ports) {
        match self {
            Self::Refused(..) | Self::Trickle(_) => {}
            Self::DeadHolder(at) => {
                services.until(*at).await;
                for collection in COLLECTIONS.map(name) {
                    let dead = Uuid::from_u128(7);
                    services
                        .leases
                        .seize(&Lineage::from(&collection), dead, DEAD_HOLDER_AFTER);
                }
                services.note("a dead writer holds the locks");
            }
            Self::PointersVanish(during) => {
                services.until(during.start).await;
                let published = services.published();
                for (collection, _) in &published {
                    let gone = services
                        .objects
                        .delete(&keys::pointer(&Lineage::from(collection)))
                        .await;
                    gone.unwrap();
                }
                services.note("the pointers are gone");
                services.until(during.end).await;
                // A put that was on its way fails at its condition, so these are still the newest.
                for (collection, version) in &published {
                    put_back(operator, collection, version, None).await;
                }
                services.note("the pointers are put back");
            }
            Self::BasesShrink(during) => {
                services.until(during.start).await;
                let published = services.published();
                let theirs: Version = "20991121_000212_517191_74bfc63c".parse().unwrap();
                for (collection, _) in &published {
                    let archive = keys::snapshot_archive(&Lineage::from(collection), &theirs);
                    let hash = keys::snapshot_hash(&Lineage::from(collection), &theirs);
                    let objects = &services.objects;
                    objects.insert(&archive, empty_archive(collection.as_str()));
                    objects.insert(&hash, "of another kind");
                    objects.insert(
                        &keys::pointer(&Lineage::from(collection)),
                        theirs.to_string(),
                    );
                }
                services.note("another writer published");
                services.until(during.end).await;
                for (collection, version) in &published {
                    put_back(operator, collection, version, Some(&theirs)).await;
                }
                services.note("ours are put back");
            }
        }
    }
}

async fn put_back(
    operator: &Ports,
    collection: &CollectionName,
    version: &Version,
    instead_of: Option<&Version>,
) {
    let repository = SnapshotRepository::new(Arc::clone(&operator.objects));
    let nonce = operator.ids.uuid();
    let lineage = Lineage::from(collection);
    let pointing = repository.point(&lineage, version, instead_of, nonce);
    pointing.await.unwrap();
}
