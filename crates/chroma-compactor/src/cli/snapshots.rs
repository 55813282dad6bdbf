//! `snapshots`: what operators do about published versions.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use compactor_core::{CollectionName, Version};
use compactor_daemon::point;

use super::run::block_on;
use super::runs::check_place;
use crate::failure::Failure;
use crate::output;
use crate::settings::SettingsArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// Put back the pointer of a collection that is gone, or that cannot be understood.
    Point(Point),
}

#[derive(Debug, Args)]
pub(crate) struct Point {
    /// The collection.
    collection: CollectionName,
    /// The version that its pointer is to name; it has to be complete.
    version: Version,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl SnapshotsCommand {
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Point(command) => command.json,
        }
    }

    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Point(command) => command.execute(),
        }
    }
}

impl Point {
    fn execute(self) -> Result<ExitCode, Failure> {
        let raw = self.settings.load()?;
        check_place(&raw)?;
        raw.validate()?;
        block_on(async {
            let ports = raw.open().await?;
            Ok(point(&ports, &self.collection, &self.version).await?)
        })?;
        let (collection, version) = (&self.collection, &self.version);
        if self.json {
            output::json(&serde_json::json!({"collection": collection, "version": version}))?;
        } else {
            output::line(&format!("the pointer of {collection} names {version}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
