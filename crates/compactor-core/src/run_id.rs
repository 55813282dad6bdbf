//! What identifies a run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// The id of a run: 1 to 128 characters of `[A-Za-z0-9._-]`, not only dots. Its producer chooses it,
/// often as a UUID. It is safe as one segment of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// The id as its producer wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = NameError;

    fn try_from(id: String) -> Result<Self, NameError> {
        let rule = if id.is_empty() || id.len() > 128 {
            "have 1 to 128 characters"
        } else if !id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        {
            "have only letters, digits, '.', '_' and '-'"
        } else if id.bytes().all(|b| b == b'.') {
            "not be only dots"
        } else {
            return Ok(Self(id));
        };
        Err(NameError::new("run id", &id, rule))
    }
}

impl FromStr for RunId {
    type Err = NameError;

    fn from_str(id: &str) -> Result<Self, NameError> {
        Self::try_from(id.to_owned())
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl AsRef<str> for RunId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Reads the id of an image: 1 to 256 characters, none of them a control character. It is part of a
/// key of the table.
///
/// # Errors
/// The id breaks that rule.
pub(crate) fn image_id(text: &str) -> Result<String, NameError> {
    let rule = if text.is_empty() || text.chars().count() > LONGEST_IMAGE_ID {
        "have 1 to 256 characters"
    } else if text.chars().any(char::is_control) {
        "not have control characters"
    } else {
        return Ok(text.to_owned());
    };
    Err(NameError::new("image id", text, rule))
}

const LONGEST_IMAGE_ID: usize = 256;

/// The key of a run's record, as the Python producers of receipts made it up. Producers that know no
/// images use the run id as image id and receipt 1, as [`RunKey::plain`] does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// The id by which the lineage knows the run.
    pub run_id: RunId,
    /// The image whose records the run carries: 1 to 256 characters, none of them a control character.
    pub image_id: String,
    /// The number of the receipt within the image, from 1 to 2^53.
    pub receipt_id: u64,
}

impl RunKey {
    /// The key of a run that belongs to no image and no receipt.
    pub fn plain(run_id: RunId) -> Self {
        let image_id = run_id.as_str().to_owned();
        Self {
            run_id,
            image_id,
            receipt_id: 1,
        }
    }

    /// Whether the run belongs to no image. The producer of such a run may have stored no record; the
    /// producer of every other run stored one before it announced the run.
    pub fn is_plain(&self) -> bool {
        self.image_id == self.run_id.as_str()
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (image {}, receipt {})",
            self.run_id, self.image_id, self.receipt_id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_id_is_accepted_only_if_it_is_safe_in_a_key() {
        let longest = "x".repeat(128);
        for good in [
            "3f0c9d52-6a5e-4a52-9d6b-000000000000",
            "a",
            "nightly.2026-11-21",
            &longest,
        ] {
            assert_eq!(good.parse::<RunId>().unwrap().to_string(), good);
        }
        let too_long = "x".repeat(129);
        for bad in ["", ".", "..", "a/b", "a b", "ü", "a\0", &too_long] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn plain_key_has_the_run_id_as_image_and_receipt_1() {
        let key = RunKey::plain("nightly".parse().unwrap());
        assert_eq!((key.image_id.as_str(), key.receipt_id), ("nightly", 1));
    }
}
