//! `clean-up`: deletes versions that nobody reads any more, or shows them.

use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use compactor_core::CollectionName;
use compactor_core::retention::RetentionPolicy;
use compactor_daemon::{CleanUp, Ports, clean_up};

use super::run::block_on;
use super::runs::check_place;
use crate::failure::Failure;
use crate::output;
use crate::settings::SettingsArgs;

/// Shows which superseded versions are due to be deleted; with --yes, deletes them.
#[derive(Debug, Args)]
pub(crate) struct Clean {
    /// Only these collections.
    collections: Vec<CollectionName>,
    /// Versions to keep, the published one among them [default: retention.versions].
    #[arg(long, value_name = "COUNT")]
    keep: Option<usize>,
    /// Keep versions that were superseded less long ago than this [default: retention.age].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Delete also what the configuration may not say: what readers are reading, or what a slow writer
    /// is about to publish on.
    #[arg(long, requires = "yes")]
    force: bool,
    /// Only show what would be deleted; the default.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Delete.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Clean {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let raw = self.settings.load()?;
        check_place(&raw)?;
        let configured = raw.validate()?.retention;
        let policy = RetentionPolicy {
            versions: self.keep.unwrap_or(configured.versions),
            age: self.older_than.unwrap_or(configured.age),
        };
        if self.yes && !self.force {
            raw.check_retention(policy).map_err(|failure| {
                failure.with_help(
                    "keep more, or pass --force when there are neither readers nor writers",
                )
            })?;
        }
        let done = block_on(async {
            let ports = raw.open().await?;
            let collections = match self.collections.is_empty() {
                true => published(&ports).await?,
                false => self.collections.clone(),
            };
            let mut done = Vec::new();
            for collection in &collections {
                let cleaned = clean_up(&ports, collection, policy, !self.yes).await?;
                done.push(cleaned.ok_or_else(|| {
                    Failure::usage(format!("nothing is published for {collection}")).with_help(
                        "`chroma-compactor clean-up` without names shows every collection",
                    )
                })?);
            }
            Ok(done)
        })?;
        self.report(&done)
    }

    fn report(&self, done: &[CleanUp]) -> Result<ExitCode, Failure> {
        if self.json {
            output::json(&done)?;
            return Ok(ExitCode::SUCCESS);
        }
        let word = if self.yes { "deleted" } else { "would delete" };
        for one in done {
            output::line(&format!(
                "{}: {word} {} versions, {} objects, {}",
                one.collection,
                one.versions.len(),
                one.objects,
                ByteSize(one.bytes),
            ))?;
            if one.uploads > 0 {
                let word = if self.yes { "ended" } else { "would end" };
                output::line(&format!(
                    "  {word} {} uploads that were never finished",
                    one.uploads
                ))?;
            }
            for version in &one.versions {
                output::line(&format!("  {version}"))?;
            }
        }
        if done.is_empty() {
            output::line("nothing is published")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Collections that have a pointer.
async fn published(ports: &Ports) -> Result<Vec<CollectionName>, Failure> {
    let mut collections = Vec::new();
    for folder in ports.objects.list_all_folders("").await? {
        let Ok(name) = folder.parse::<CollectionName>() else {
            continue;
        };
        let pointer = compactor_core::keys::pointer(&name);
        if ports.objects.head(&pointer).await?.is_some() {
            collections.push(name);
        }
    }
    Ok(collections)
}
