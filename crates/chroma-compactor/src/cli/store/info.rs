//! `store info DIR`: prints what a directory holds.

use std::path::PathBuf;
use std::process::ExitCode;

use chroma_store::GraphHealth;
use chroma_store::{FullName, Severity, StoreInfo};
use clap::Args;

use crate::error::CommandError;
use crate::output::{self, Progress, Table};

#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The Chroma directory, the one with chroma.sqlite3.
    dir: PathBuf,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Info {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let progress = Progress::new(1, self.json);
        progress.step("reading");
        let info = StoreInfo::read(&self.dir)?;
        drop(progress);
        if self.json {
            output::json(&info)?;
            return Ok(status(&info));
        }
        output::line(&format!(
            "{}: schema level {} (chromadb {}); database of {} bytes, {} % free",
            self.dir.display(),
            info.schema_level,
            info.chromadb_versions,
            info.database.bytes,
            info.database.free_percent()
        ))?;
        output::line("")?;
        // Most directories use the default tenant and database alone.
        let mut collections = info.collections.iter();
        let has_others = collections.any(|one| !one.name.is_in_default_database());
        let place: &[&str] = if has_others {
            &["tenant", "database"]
        } else {
            &[]
        };
        let columns = [
            "collection",
            "records",
            "dimension",
            "space",
            "indexed",
            "deleted",
            "unflushed",
            "sync threshold",
        ];
        let mut table = Table::new(place.iter().chain(&columns).copied());
        for collection in &info.collections {
            let FullName {
                tenant,
                database,
                name,
            } = collection.name.clone();
            let place = [tenant, database].into_iter().filter(|_| has_others);
            let cells = [
                name,
                collection.records.to_string(),
                collection
                    .dimension
                    .map_or_else(|| "-".to_owned(), |d| d.to_string()),
                collection.config.space.to_string(),
                collection.vectors.indexed.to_string(),
                collection.vectors.indexed_deleted.to_string(),
                collection.vectors.unflushed.to_string(),
                collection.config.sync_threshold.to_string(),
            ];
            table.row(place.chain(cells));
        }
        output::lines(&table.render())?;
        for collection in &info.collections {
            if let Some(graph) = &collection.graph {
                output::lines(&format!(
                    "\n{}",
                    describe(&output::escaped(&collection.name.to_string()), graph)
                ))?;
            }
        }
        for collection in &info.collections {
            for function in &collection.embedding_functions {
                output::line("")?;
                output::line(&format!(
                    "embedding function of {}: {function}",
                    collection.name
                ))?;
            }
        }
        super::verify::print_problems(&info.problems)?;
        Ok(status(&info))
    }
}

/// The exit status: 1 for a directory that is not sound, as `store verify` has it.
fn status(info: &StoreInfo) -> ExitCode {
    let mut problems = info.problems.iter();
    match problems.any(|problem| problem.severity == Severity::Error) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// The health of a collection's graph, in a few lines.
fn describe(name: &str, graph: &GraphHealth) -> String {
    let levels: Vec<String> = graph.levels.iter().map(u64::to_string).collect();
    let deleted = 100.0 * graph.deleted as f64 / graph.elements.max(1) as f64;
    let recall = graph.recall.map_or_else(
        || "no vectors".to_owned(),
        |recall| {
            format!(
                "{:.4} of the {} nearest found in {} sampled searches with ef {}",
                recall.value, recall.k, recall.queries, recall.ef
            )
        },
    );
    format!(
        "graph of {name}:\n  elements     {} ({} deleted, {deleted:.1} %)\n  by level     {}\n  \
         links        {} to {}, {:.1} on average\n  unreachable  {}\n  recall       {recall}",
        graph.elements,
        graph.deleted,
        levels.join(", "),
        graph.links.min,
        graph.links.max,
        graph.links.mean,
        graph.unreachable,
    )
}
