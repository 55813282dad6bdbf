//! `store create DIR`: makes a Chroma directory with one empty collection.

use std::path::PathBuf;
use std::process::ExitCode;

use chroma_store::{CloseOptions, CreateOptions, NewIds, SchemaLevel, Space};
use clap::Args;
use compactor_core::CollectionName;
use compactor_core::ports::Ids;
use compactor_local::RandomIds;

use super::output_folder::OutputFolder;
use crate::error::CommandError;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The new directory. It must not exist yet.
    dir: PathBuf,
    /// The collection's name.
    #[arg(long, value_name = "NAME")]
    collection: CollectionName,
    /// The collection's distance space: l2, cosine or ip.
    #[arg(long, default_value = "l2")]
    space: Space,
    /// The schema level of the database: L06, L10, L13 or L15. A chromadb older than the level cannot open
    /// the directory.
    #[arg(long, default_value = "L15")]
    level: SchemaLevel,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Create {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let options = CreateOptions {
            collection: self.collection.to_string(),
            space: self.space,
            level: self.level,
        };
        let ids = RandomIds;
        let ids = NewIds {
            collection: ids.uuid(),
            vector_segment: ids.uuid(),
            metadata_segment: ids.uuid(),
        };
        chroma_store::keep_temporary_files_in(OutputFolder::around(&self.dir).path());
        chroma_store::create(&self.dir, &options, ids)?.close(&CloseOptions::default())?;
        if self.json {
            return output::json(&serde_json::json!({
                "dir": self.dir, "collection": options.collection,
                "space": options.space, "schema_level": options.level,
            }))
            .map(|()| ExitCode::SUCCESS);
        }
        output::line(&format!(
            "created {} with the empty collection `{}` ({}, schema level {}: chromadb {})",
            self.dir.display(),
            options.collection,
            options.space,
            options.level,
            options.level.versions(),
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
