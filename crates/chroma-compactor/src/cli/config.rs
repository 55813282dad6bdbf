//! `config check` and `config show`: whether the settings can be used, and where each comes from.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use compactor_core::escape::without_passwords;
use serde_json::{Map, Value};

use crate::error::CommandError;
use crate::output::{self, Table};
use crate::settings::{SettingsArgs, leaves};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the settings, and report everything that is wrong with them.
    ///
    /// Opens neither the data directory nor AWS; `doctor` does. Exits with 78 if the settings cannot be used.
    Check(Check),
    /// Print every setting with its value, and where the value comes from.
    ///
    /// Passwords in addresses are masked.
    Show(Show),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    json: bool,
}

impl ConfigCommand {
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Check(command) => command.json,
            Self::Show(command) => command.json,
        }
    }

    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        match self {
            Self::Check(command) => command.execute(),
            Self::Show(command) => command.execute(),
        }
    }
}

impl Check {
    fn execute(self) -> Result<ExitCode, CommandError> {
        let warnings = self.settings.load()?.warnings();
        if self.json {
            output::json(&serde_json::json!({ "sound": true, "warnings": warnings }))?;
        } else {
            for warning in warnings {
                output::warning(&warning);
            }
            output::line("the settings are valid")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn execute(self) -> Result<ExitCode, CommandError> {
        let (settings, provenance) = self.settings.load_with_sources()?;
        let values = serde_json::to_value(&settings)
            .map_err(|error| CommandError::configuration(error.to_string()))?;
        let source = |key: &str| {
            let origins: Vec<String> = provenance.of(key).iter().map(ToString::to_string).collect();
            match origins.is_empty() {
                true => "default".to_owned(),
                false => origins.join(", "),
            }
        };
        if self.json {
            let settings: Map<String, Value> = leaves(&values)
                .into_iter()
                .map(|(key, value)| {
                    let (source, value) = (source(&key), shown(value));
                    (key, serde_json::json!({ "value": value, "source": source }))
                })
                .collect();
            output::json(&settings)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new(["key", "value", "from"]);
        for (key, value) in leaves(&values) {
            let from = source(&key);
            table.row([key, shown(value).to_string(), from]);
        }
        output::lines(&table.render())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Masks the passwords of addresses (`https://user:password@host`). No other setting holds a secret.
fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => without_passwords(&text).into_owned().into(),
        Value::Array(values) => values.into_iter().map(shown).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, shown(value)));
            Value::Object(fields.collect())
        }
        value => value,
    }
}
