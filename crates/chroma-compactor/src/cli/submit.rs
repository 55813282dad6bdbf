//! `submit words=DIR lines=DIR`: verifies, packs and uploads deltas, and announces them as one run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap_lex::OsStrExt as _;
use compactor_core::{CollectionName, RunId};
use compactor_daemon::{Submission, submit};

use super::runtime::block_on;
use crate::error::CommandError;
use crate::output::{self, Progress};
use crate::settings::SettingsArgs;

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The deltas of the run: for each collection the Chroma directory with its delta, such as
    /// words=./delta.
    #[arg(
        required = true,
        value_name = "COLLECTION=DIR",
        value_parser = OsStringValueParser::new().try_map(NamedDelta::parse),
    )]
    deltas: Vec<NamedDelta>,
    /// The run's id. Default: a new one.
    #[arg(long, value_name = "ID")]
    run_id: Option<RunId>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone)]
struct NamedDelta {
    collection: CollectionName,
    dir: PathBuf,
}

impl NamedDelta {
    /// The directory's path need not be UTF-8.
    fn parse(argument: OsString) -> Result<Self, String> {
        let (collection, dir) = argument
            .split_once("=")
            .filter(|(_, dir)| !dir.is_empty())
            .ok_or("write it as COLLECTION=DIR, for instance words=./delta")?;
        let collection = collection
            .to_string_lossy()
            .parse()
            .map_err(|error: compactor_core::NameError| error.to_string())?;
        Ok(Self {
            collection,
            dir: PathBuf::from(dir),
        })
    }
}

impl Submit {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let raw = self.settings.load()?;
        let mut deltas = BTreeMap::new();
        for NamedDelta { collection, dir } in self.deltas {
            if deltas.insert(collection.clone(), dir).is_some() {
                let message = format!("collection `{collection}` is named twice");
                return Err(CommandError::usage(message).with_help("submit two runs instead"));
            }
        }
        let is_new = raw.is_unused();
        let progress = Progress::new(1, self.json);
        progress.step("verifying, packing and uploading");
        let settings = raw.validate()?;
        let submission = Submission {
            run_id: self.run_id,
            deltas,
            region: raw.region(),
            limits: settings.limits,
            admission: settings.admission,
            embedding_functions: settings.embedding_functions,
        };
        // Before a data directory is made for collections that are refused anyway.
        for collection in submission.deltas.keys() {
            submission.admission.of_collection(collection)?;
        }
        let submitted = block_on(async { Ok(submit(&raw.open().await?, submission).await?) });
        let submitted =
            submitted.map_err(|error: CommandError| match is_new && !raw.is_unused() {
                true => {
                    let path = raw.storage.path.display();
                    let help = error.help().unwrap_or_default();
                    let help =
                        format!("{help}; the data directory {path} did not exist, and was made");
                    error.with_help(help)
                }
                false => error,
            })?;
        drop(progress);
        for (collection, functions) in &submitted.left_out {
            output::warning(&format!(
                "the first snapshot of {collection} will not name the embedding function {}: either readers pass it to get_collection, or an operator allows it with collections.embedding_functions",
                functions.join(", ")
            ));
        }
        if self.json {
            output::json(&submitted)?;
        } else {
            output::line(&format!("submitted run {}", submitted.run_id))?;
            for (collection, prefix) in &submitted.prefixes {
                output::line(&format!("  {collection}: {prefix}"))?;
            }
            if is_new {
                let path = raw.storage.path.display();
                output::line(&format!("{path}: new data directory"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
