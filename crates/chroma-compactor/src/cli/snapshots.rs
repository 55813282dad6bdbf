//! `snapshots`: decisions about published versions that only an operator can make.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use compactor_core::{CollectionName, Lineage, Version};
use compactor_daemon::Ports;
use compactor_snapshots::SnapshotRepository;
use serde_json::json;

use super::runtime::block_on;
use crate::error::CommandError;
use crate::output;
use crate::settings::SettingsArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// Point a collection at one of its versions, if its pointer is missing or cannot be read.
    ///
    /// Changes the pointer alone; every version stays. Readers see the named version from then on.
    Point(Point),
    /// Accept another writer's version that lacks most records of the version before it.
    ///
    /// The daemon does not build on such a version by itself. This records that the published one is meant;
    /// the version itself stays as it is.
    Accept(Accept),
}

#[derive(Debug, Args)]
pub(crate) struct Point {
    /// The collection's name.
    collection: CollectionName,
    /// The version that the pointer is to name. All its files must be there.
    version: Version,
    /// Replace a pointer that names the complete version CURRENT. Without this option a pointer that can be
    /// used is kept.
    #[arg(long, value_name = "CURRENT")]
    instead_of: Option<Version>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// The collection's name.
    collection: CollectionName,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    json: bool,
}

impl SnapshotsCommand {
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Point(command) => command.json,
            Self::Accept(command) => command.json,
        }
    }

    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        match self {
            Self::Point(command) => command.execute(),
            Self::Accept(command) => command.execute(),
        }
    }
}

impl Point {
    fn execute(self) -> Result<ExitCode, CommandError> {
        let (collection, version) = (&self.collection, &self.version);
        let instead_of = self.instead_of.as_ref();
        let newer = with_ports(&self.settings, async |ports| {
            let repository = SnapshotRepository::new(Arc::clone(&ports.objects));
            let lineage = Lineage::from(collection);
            let nonce = ports.ids.uuid();
            repository
                .point(&lineage, version, instead_of, nonce)
                .await?;
            repository.unpublished(&lineage).await
        })?;
        let newer: Vec<Version> = newer.into_iter().map(|newer| newer.version).collect();
        if self.json {
            output::json(&json!({"collection": collection, "version": version, "newer": newer}))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::line(&format!("the pointer of {collection} names {version}"))?;
        if let Some(newest) = newer.last() {
            output::line(&format!(
                "there are newer versions, up to {newest}: readers do not see what only those contain"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Accept {
    fn execute(self) -> Result<ExitCode, CommandError> {
        let collection = &self.collection;
        let version = with_ports(&self.settings, async |ports| {
            let repository = SnapshotRepository::new(Arc::clone(&ports.objects));
            repository
                .accept(&collection.into(), ports.runs.as_ref())
                .await
        })?;
        if self.json {
            output::json(&json!({"collection": collection, "version": version}))?;
        } else {
            output::line(&format!("{collection} goes on from {version}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the backend that the settings name, and runs `work` on it.
fn with_ports<T>(
    settings: &SettingsArgs,
    work: impl AsyncFnOnce(Ports) -> compactor_snapshots::Result<T>,
) -> Result<T, CommandError> {
    let raw = settings.load()?;
    raw.require_data_directory()?;
    block_on(async { Ok(work(raw.open().await?).await?) })
}
