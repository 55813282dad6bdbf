//! What tells the delta of a run from another one under the same run id.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::RunKey;
use crate::keys::DeltaLocation;

/// A digest of a run's key and of the place of its delta: half a SHA-256 in lower-case hex.
///
/// The lineage knows runs by their ids, which the sender of a message chooses. With the digest a run that
/// was announced with another delta is not taken for the one that is in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeltaDigest(String);

impl DeltaDigest {
    /// Of the delta at `location`, whose bucket is not given if it is the configured one.
    pub fn of(key: &RunKey, location: &DeltaLocation) -> Self {
        let mut digest = Sha256::new();
        for part in [
            key.run_id.as_str(),
            &key.image_id,
            &key.receipt_id.to_string(),
            location.bucket.as_deref().unwrap_or_default(),
            &location.prefix,
        ] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let whole = digest.finalize();
        Self(hex::encode(&whole[..whole.len() / 2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_place_make_the_digest() {
        let key = |run: &str| RunKey::plain(run.parse().unwrap());
        let place = |text: &str| DeltaLocation::parse(text).unwrap();
        let one = DeltaDigest::of(&key("a"), &place("lines/delta/a"));
        assert_eq!(one, DeltaDigest::of(&key("a"), &place("/lines/delta/a/")));
        assert_eq!(one.0.len(), 32);
        for (run, text) in [
            ("a", "lines/delta/b"),
            ("b", "lines/delta/a"),
            ("a", "s3://other/lines/delta/a"),
        ] {
            assert_ne!(
                one,
                DeltaDigest::of(&key(run), &place(text)),
                "{run} {text}"
            );
        }
    }
}
