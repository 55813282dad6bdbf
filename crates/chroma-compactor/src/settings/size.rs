//! Sizes in bytes that are written with a unit.

use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes, written like "512 MiB". A number without a unit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(ByteSize);

impl Size {
    /// A size of `count` MiB.
    pub(crate) const fn mib(count: u64) -> Self {
        Self(ByteSize::mib(count))
    }

    /// The size in bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.0.as_u64()
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text
            .trim_end()
            .ends_with(|last: char| last.is_ascii_alphabetic())
        {
            return Err(format!("the size `{text}` needs a unit, like \"512 MiB\""));
        }
        text.parse()
            .map(Self)
            .map_err(|error| format!("the size `{text}`: {error}"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.display().iec())
    }
}
