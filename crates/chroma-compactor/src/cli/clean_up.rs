//! `clean-up`: lists superseded versions that are due to be deleted, or deletes them.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use compactor_core::retention::RetentionPolicy;
use compactor_core::{CollectionName, Lineage, keys};
use compactor_daemon::Ports;
use compactor_snapshots::{
    Origins, SnapshotRepository, Sweep, SweepMode, Swept, UnpublishedVersion,
};
use serde::Serialize;

use super::runtime::block_on;
use crate::error::CommandError;
use crate::output;
use crate::settings::SettingsArgs;

#[derive(Debug, Args)]
pub(crate) struct Clean {
    /// Only these collections. Default: all that have a pointer or a version.
    collections: Vec<CollectionName>,
    /// Keep at least COUNT versions of each collection, the published one included [default:
    /// retention.versions].
    #[arg(long, value_name = "COUNT")]
    keep: Option<usize>,
    /// Keep versions that were superseded less than this ago, such as 30m, 12h or 7d [default:
    /// retention.age].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Allow values below the minimum for the configuration. This may delete a version that a reader is
    /// downloading, or that a slow writer builds its next version on.
    #[arg(long)]
    force: bool,
    /// List what would be deleted, and delete nothing. This is the default.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Delete the versions, rather than list them.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What was or would be deleted of a collection, and the newer versions that were kept.
#[derive(Debug, Serialize)]
struct Cleaned {
    #[serde(flatten)]
    done: Swept,
    /// Versions newer than the published one: their writers may still publish them.
    newer: Vec<UnpublishedVersion>,
}

impl Clean {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let raw = self.settings.load()?;
        raw.require_data_directory()?;
        let configured = raw.validate()?.retention;
        let policy = RetentionPolicy {
            versions: self.keep.unwrap_or(configured.versions),
            age: self.older_than.unwrap_or(configured.age),
        };
        if !self.force {
            raw.check_retention(policy).map_err(|error| {
                error.with_help(
                    "keep more, or pass --force while no reader and no writer is at work",
                )
            })?;
        }
        let (done, failed) = block_on(async {
            let ports = raw.open().await?;
            let collections = match self.collections.is_empty() {
                true => with_versions(&ports).await?,
                false => self.collections.clone(),
            };
            let (mut done, mut failed) = (Vec::new(), Vec::new());
            for collection in collections {
                match self.clean(&ports, &collection, policy).await {
                    Ok(cleaned) => done.push(cleaned),
                    Err(error) => failed.push((collection, error)),
                }
            }
            Ok((done, failed))
        })?;
        // The user has to learn what was deleted, even if other collections failed.
        if !done.is_empty() || failed.is_empty() {
            self.report(&done)?;
        }
        let mut failed = failed.into_iter();
        let Some((_, first)) = failed.next() else {
            return Ok(ExitCode::SUCCESS);
        };
        for (collection, error) in failed {
            output::warning(&format!("{collection}: {error}"));
        }
        Err(first)
    }

    async fn clean(
        &self,
        ports: &Ports,
        collection: &CollectionName,
        policy: RetentionPolicy,
    ) -> Result<Cleaned, CommandError> {
        // Before the deletion: an error after it would hide what was deleted.
        let lineage = Lineage::from(collection);
        let repository = SnapshotRepository::new(Arc::clone(&ports.objects));
        let newer = repository.unpublished(&lineage).await?;
        let sweep = Sweep {
            policy,
            mode: match self.yes {
                true => SweepMode::Delete,
                false => SweepMode::DryRun,
            },
            now: ports.clock.wall(),
        };
        let mut origins = Origins::default();
        let swept = repository.sweep(&lineage, sweep, &mut origins).await?;
        let Some(done) = swept.or_else(|| untouched(collection, &newer)) else {
            let message = format!("nothing is published for {collection}");
            let help = "`chroma-compactor clean-up` without names lists every collection";
            return Err(CommandError::usage(message).with_help(help));
        };
        Ok(Cleaned { done, newer })
    }

    fn report(&self, done: &[Cleaned]) -> Result<(), CommandError> {
        if self.json {
            return output::json(&done);
        }
        let word = if self.yes { "deleted" } else { "would delete" };
        for Cleaned { done: one, newer } in done {
            output::line(&format!(
                "{}: {word} {} versions, {} objects, {}",
                one.collection,
                one.versions.len(),
                one.objects,
                ByteSize(one.bytes),
            ))?;
            if one.uploads > 0 {
                let word = if self.yes { "ended" } else { "would end" };
                output::line(&format!("  {word} {} unfinished uploads", one.uploads))?;
            }
            for version in &one.versions {
                output::line(&format!("  {version}"))?;
            }
            for one in newer {
                let size = ByteSize(one.bytes);
                output::line(&format!(
                    "  kept, since it may be published yet: {} ({} objects, {size})",
                    one.version, one.objects
                ))?;
            }
        }
        if done.is_empty() {
            output::line("nothing is published")?;
        }
        Ok(())
    }
}

/// The result for a collection that has versions, but none that was published: nothing is deleted.
fn untouched(collection: &CollectionName, newer: &[UnpublishedVersion]) -> Option<Swept> {
    (!newer.is_empty()).then(|| Swept {
        collection: collection.clone(),
        versions: Vec::new(),
        objects: 0,
        bytes: 0,
        uploads: 0,
    })
}

/// The collections that have a pointer or a version.
async fn with_versions(ports: &Ports) -> Result<Vec<CollectionName>, CommandError> {
    let objects = &ports.objects;
    let mut collections = Vec::new();
    for folder in objects.list_all_folders("").await? {
        let Ok(name) = folder.parse::<CollectionName>() else {
            continue;
        };
        let lineage = Lineage::from(&name);
        let has_pointer = objects.head(&keys::pointer(&lineage)).await?.is_some();
        let versions = keys::timestamped_prefix(&lineage);
        if has_pointer
            || !objects
                .list_folders(&versions, None)
                .await?
                .entries
                .is_empty()
        {
            collections.push(name);
        }
    }
    Ok(collections)
}
