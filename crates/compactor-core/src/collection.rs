//! Names of collections, by Chroma's own rule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// The name of a Chroma collection: 3 to 512 characters of `[a-zA-Z0-9._-]`, a letter or digit at
/// both ends, no `..`, and not of the form of an IPv4 address.
///
/// The rule makes it safe as one segment of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName(String);

impl CollectionName {
    /// The name as Chroma has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_rule(name: &str) -> Option<&'static str> {
    if name.len() < 3 || name.len() > 512 {
        return Some("have 3 to 512 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        return Some("have only letters, digits, '.', '_' and '-'");
    }
    let ends = [name.bytes().next(), name.bytes().next_back()];
    if !ends.iter().flatten().all(u8::is_ascii_alphanumeric) {
        return Some("start and end with a letter or digit");
    }
    if name.contains("..") {
        return Some("not contain '..'");
    }
    if looks_like_ipv4(name) {
        return Some("not look like an IPv4 address");
    }
    None
}

// Chroma tests the form only, so 999.1.1.1 is refused too.
fn looks_like_ipv4(name: &str) -> bool {
    let is_number = |part: &str| part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    name.split('.').count() == 4 && name.split('.').all(is_number)
}

impl TryFrom<String> for CollectionName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        match broken_rule(&name) {
            None => Ok(Self(name)),
            Some(rule) => Err(NameError::new("collection name", &name, rule)),
        }
    }
}

impl FromStr for CollectionName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<CollectionName> for String {
    fn from(name: CollectionName) -> Self {
        name.0
    }
}

impl AsRef<str> for CollectionName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_name_is_accepted_only_by_chromas_rule() {
        let longest = "a".repeat(512);
        for good in [
            "lines",
            "words",
            "a.b",
            "A-1_b",
            "1.2.3",
            "1.2.3.4.5",
            "1234.1.1.1",
            &longest,
        ] {
            assert_eq!(good.parse::<CollectionName>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(513);
        for bad in [
            "",
            "ab",
            "-ab",
            "ab_",
            ".abc",
            "a..b",
            "a/b",
            "a b c",
            "größe",
            "10.0.0.1",
            "999.1.1.1",
            "abc\n",
            &too_long,
        ] {
            let error = bad.parse::<CollectionName>().unwrap_err();
            assert_eq!(error.code(), "CC-NAME-INVALID", "{bad:?}");
        }
    }

    #[test]
    fn error_shows_the_collection_name_and_the_broken_rule() {
        let error = "a..b".parse::<CollectionName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"collection name "a..b" is not allowed: it must not contain '..'"#
        );
    }

    #[test]
    fn collection_name_in_json_is_checked() {
        assert!(serde_json::from_str::<CollectionName>(r#""lines""#).is_ok());
        assert!(serde_json::from_str::<CollectionName>(r#""../lines""#).is_err());
    }
}
