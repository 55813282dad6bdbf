//! Distance spaces, with chromadb's names and formulas.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The distance that a collection is searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    /// Squared Euclidean distance, Σ(a − b)²: chromadb's default.
    #[default]
    L2,
    /// 1 − cosine similarity. Index files have the normalised vectors and their norms.
    Cosine,
    /// 1 − inner product, 1 − Σ a·b.
    Ip,
}

impl Space {
    /// The name that chromadb uses: `l2`, `cosine`, `ip`.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::Ip => "ip",
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Space {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::L2, Self::Cosine, Self::Ip]
            .into_iter()
            .find(|space| space.name() == text)
            .ok_or_else(|| format!("`{text}` is not a space; there are l2, cosine, ip"))
    }
}
