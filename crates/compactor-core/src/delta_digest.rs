//! The digest that tells two deltas with the same run id apart.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::RunKey;
use crate::keys::DeltaLocation;

/// A digest of a run's key and of the place of its delta, not of the content: the first half of a
/// SHA-256, 32 lower-case hex digits. docs/protocol.md defines its input.
///
/// The lineage knows runs by their ids, which the sender of a message chooses. The digest shows that a run
/// was announced with another delta than the one in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeltaDigest(String);

impl DeltaDigest {
    /// The digest of the run `key` with its delta at `location`. The bucket of `location` must be `None`
    /// if it is the configured one.
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
    fn delta_digest_changes_with_the_run_and_the_location() {
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
