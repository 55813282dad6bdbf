//! `store query DIR --collection NAME (--like ID | --vector FILE)`: finds nearest records.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chroma_store::{Like, Neighbour, Searcher};
use clap::Args;

use super::selection::Scope;
use crate::error::CommandError;
use crate::output::{self, Table};

/// How many characters of a document the table shows.
const SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The Chroma directory, the one with chroma.sqlite3.
    dir: PathBuf,
    /// The name of the collection to search.
    #[arg(long, value_name = "NAME")]
    collection: String,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    what: What,
    /// Find at most COUNT records.
    #[arg(short, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// Keep COUNT candidates while searching (HNSW's ef): more are slower and find nearer records. Default:
    /// the collection's own value.
    #[arg(long, value_name = "COUNT")]
    ef: Option<u32>,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Search with the vector of the record that has this id.
    #[arg(long, value_name = "ID")]
    like: Option<String>,
    /// Search with the vector in this file, a JSON list of numbers; - reads standard input.
    #[arg(long, value_name = "FILE")]
    vector: Option<PathBuf>,
}

impl Query {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let like = match (&self.what.like, &self.what.vector) {
            (Some(id), _) => Like::Id(id.clone()),
            (None, Some(path)) => Like::Vector(read_vector(path)?),
            (None, None) => return Err(CommandError::usage("--like or --vector is needed")),
        };
        let searcher = Searcher::open(&self.dir, self.scope.which(&self.collection))?;
        let ef = self.ef.map(|ef| ef as usize);
        let found = searcher.nearest(&like, self.k as usize, ef)?;
        self.print(&searcher, &found)?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, searcher: &Searcher, found: &[Neighbour]) -> Result<(), CommandError> {
        let space = searcher.collection().config.space;
        if self.json {
            return output::json(&serde_json::json!({
                "collection": self.collection, "space": space, "neighbours": found,
            }));
        }
        let mut table = Table::new(["id", "distance", "document"]);
        for one in found {
            table.row([
                one.id.clone(),
                format!("{:.6}", one.distance),
                one.document.as_deref().map_or_else(String::new, shortened),
            ]);
        }
        output::lines(&table.render())
    }
}

fn shortened(document: &str) -> String {
    let line = document.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn read_vector(path: &Path) -> Result<Vec<f32>, CommandError> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).map_err(CommandError::io)?
    } else {
        fs_err::read_to_string(path).map_err(CommandError::io)?
    };
    serde_json::from_str(&text).map_err(|error| {
        CommandError::usage(format!(
            "{}: not a JSON list of numbers: {error}",
            path.display()
        ))
        .with_help("write the vector as [0.1, -0.2, ...], one number per dimension")
    })
}
