//! `chroma-compactor`: merges Chroma deltas into published snapshots.
//!
//! This crate parses the command line and the configuration, and renders results and errors.

mod cli;
mod error;
mod output;
mod report;
mod settings;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.wants_json();
    let code = match cli.run() {
        Ok(code) => code,
        Err(error) => {
            report::report(&error, json);
            ExitCode::from(error.exit_code())
        }
    };
    if let Some(log) = output::Log::get() {
        log.end();
    }
    code
}
