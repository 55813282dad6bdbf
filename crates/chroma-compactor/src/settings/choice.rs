//! Settings that are one of a few words.

use std::fmt;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer};

/// Reads one of the words of `T`. The error names them all.
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
pub(super) fn if_given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    of(deserializer).map(Some)
}

/// Why a word is none of them.
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
