//! Reads settings that are one of a few words, with errors that name the words rather than Rust's types.

use std::fmt;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer};

/// Reads one of the words of `T`.
///
/// # Errors
/// The value is another word. The error names the allowed ones.
pub(super) fn of<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let word = String::deserialize(deserializer)?;
    let word: StrDeserializer<'_, Refusal> = word.as_str().into_deserializer();
    T::deserialize(word).map_err(D::Error::custom)
}

/// As [`of`], for a setting that may be left out.
///
/// # Errors
/// As [`of`].
pub(super) fn if_given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    of(deserializer).map(Some)
}

/// A word that is not allowed, as an error text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

impl Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn unknown_variant(word: &str, expected: &'static [&'static str]) -> Self {
        let expected: Vec<String> = expected.iter().map(|word| format!("\"{word}\"")).collect();
        Self(format!("\"{word}\" is none of {}", expected.join(", ")))
    }
}
