//! The keys of all objects in the object store. No other code builds or parses a key.
//!
//! ```text
//! {c}/snapshot/latest-pointer.txt                 body: exactly the version
//! {c}/snapshot/timestamped/{version}/…            one immutable snapshot
//! {c}/snapshot/timestamped/{version}/.snapshot_hash
//! {c}/snapshot/timestamped/{version}/manifest.json   written last
//! {c}/delta/{run_id}/…                            a delta: delta.tar.gz or loose files
//! ```

use thiserror::Error;

use crate::{CollectionName, Lineage, RunId, Version};

/// The manifest's key below a version's prefix.
pub const MANIFEST_NAME: &str = "manifest.json";
/// The key of the hash object for older readers, below a version's prefix.
pub const SNAPSHOT_HASH_NAME: &str = ".snapshot_hash";
/// The key of the only archive of a version in the `archive` layout, below the version's prefix.
pub const SNAPSHOT_ARCHIVE_NAME: &str = "snapshot.tar.gz";
/// The key of a packed delta's archive, below the delta's prefix.
pub const DELTA_ARCHIVE_NAME: &str = "delta.tar.gz";

/// The key of the lineage's pointer, whose body is exactly the published version.
pub fn pointer(lineage: &Lineage) -> String {
    format!("{lineage}/snapshot/latest-pointer.txt")
}

/// The prefix of all versions of the lineage; ends in `/`.
pub fn timestamped_prefix(lineage: &Lineage) -> String {
    format!("{lineage}/snapshot/timestamped/")
}

/// The prefix of all objects of one version; ends in `/`.
pub fn version_prefix(lineage: &Lineage, version: &Version) -> String {
    format!("{lineage}/snapshot/timestamped/{version}/")
}

/// The key of a version's manifest, which its writer puts last.
pub fn manifest(lineage: &Lineage, version: &Version) -> String {
    file(lineage, version, MANIFEST_NAME)
}

/// The key of a version's hash object for older readers.
pub fn snapshot_hash(lineage: &Lineage, version: &Version) -> String {
    file(lineage, version, SNAPSHOT_HASH_NAME)
}

/// The key of a version's archive in the `archive` layout.
pub fn snapshot_archive(lineage: &Lineage, version: &Version) -> String {
    file(lineage, version, SNAPSHOT_ARCHIVE_NAME)
}

/// The key of one file of a version in the `files` layout. `path` is relative to the Chroma directory,
/// with `/`.
pub fn file(lineage: &Lineage, version: &Version, path: &str) -> String {
    format!("{lineage}/snapshot/timestamped/{version}/{path}")
}

/// The prefix under which producers put a run's delta by convention; ends in `/`.
pub fn delta_prefix(collection: &CollectionName, run: &RunId) -> String {
    format!("{collection}/delta/{run}/")
}

/// The key of the archive of a packed delta below `prefix`, which ends in `/`.
pub fn delta_archive(prefix: &str) -> String {
    format!("{prefix}{DELTA_ARCHIVE_NAME}")
}

/// The place of a delta: a prefix, in the configured bucket or in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeltaLocation {
    /// The bucket that the announcement names with `s3://`; `None` if it names none.
    pub bucket: Option<String>,
    /// The prefix, without a leading and with exactly one trailing `/`. Without that one, the prefix
    /// `lines/delta/abc` would match the files of `lines/delta/abcd` too.
    pub prefix: String,
}

/// A delta prefix that breaks a rule of [`DeltaLocation::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("delta prefix {text:?} cannot be used: {reason}")]
pub struct DeltaPrefixError {
    /// The refused text, cut to 256 characters.
    pub text: String,
    /// The broken rule, as a clause about the prefix.
    pub reason: &'static str,
}

impl DeltaPrefixError {
    /// The stable code of this error, listed in docs/errors.md.
    pub fn code(&self) -> &'static str {
        "CC-DELTA-PREFIX"
    }
}

/// The longest key that S3 takes, in bytes.
const LONGEST_KEY: usize = 1024;
/// The longest segment of a key, in bytes: file systems take no longer names.
pub const LONGEST_PART: usize = 255;

/// The longest address, in bytes: bucket, key, and a few superfluous slashes.
const LONGEST_TEXT: usize = LONGEST_KEY + 100;

/// Why `name` cannot be a bucket of deltas; `None` if it can. Only general purpose buckets are accepted:
/// no ARNs, no aliases of access points, and no directory buckets, whose conditional writes differ.
///
/// The rules for names are those of
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub fn bucket_fault(name: &str) -> Option<&'static str> {
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let ends = [name.bytes().next(), name.bytes().next_back()];
    let is_end = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if name.starts_with("arn:") {
        Some("it is an ARN, not a bucket's name")
    } else if name.ends_with("--x-s3") {
        Some("its bucket is a directory bucket of S3 Express")
    } else if ["-s3alias", "--ol-s3", ".mrap", "--table-s3"]
        .iter()
        .any(|of_others| name.ends_with(of_others))
    {
        Some("its bucket is the alias of an access point")
    } else if !(3..=63).contains(&name.len())
        || !name.bytes().all(is_allowed)
        || !ends.iter().flatten().all(is_end)
        || name.contains("..")
    {
        Some("its bucket cannot be one: 3 to 63 lower-case letters, digits, '.' and '-'")
    } else {
        None
    }
}

impl DeltaLocation {
    /// Reads `s3://bucket/prefix` or a bare prefix, with or without slashes around it.
    ///
    /// # Errors
    /// The bucket cannot be one ([`bucket_fault`]). Or the prefix is empty or longer than a key, has control
    /// characters, or has a segment that is empty, `.`, `..` or longer than [`LONGEST_PART`]. Or it names a
    /// whole collection, or a published snapshot, instead of one delta.
    pub fn parse(text: &str) -> Result<Self, DeltaPrefixError> {
        let refuse = |reason| {
            let text = text.chars().take(256).collect();
            Err(DeltaPrefixError { text, reason })
        };
        if text.len() > LONGEST_TEXT {
            return refuse("it is longer than 1024 bytes");
        }
        let (bucket, path) = match text.strip_prefix("s3://") {
            None => (None, text),
            Some(rest) => match rest.split_once('/') {
                Some((bucket, path)) if !bucket.is_empty() => (Some(bucket.to_owned()), path),
                _ => return refuse("it names no bucket or nothing inside the bucket"),
            },
        };
        if let Some(fault) = bucket.as_deref().and_then(bucket_fault) {
            return refuse(fault);
        }
        let path = path.trim_start_matches('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return refuse("it is empty");
        }
        if path.len() + 1 + DELTA_ARCHIVE_NAME.len() > LONGEST_KEY {
            return refuse("it is longer than 1024 bytes with `delta.tar.gz` behind it");
        }
        if path.chars().any(char::is_control) {
            return refuse("it has control characters");
        }
        let segments: Vec<&str> = path.split('/').collect();
        if segments
            .iter()
            .any(|segment| matches!(*segment, "" | "." | ".."))
        {
            return refuse("it has an empty, '.' or '..' segment");
        }
        if segments.iter().any(|segment| segment.len() > LONGEST_PART) {
            return refuse("it has a segment of more than 255 bytes");
        }
        // Such a prefix would match every delta of the collection, or its snapshots.
        if let [_] | [_, "delta" | "snapshot"] = segments.as_slice() {
            return refuse("it names a whole collection, not one delta");
        }
        // A published snapshot may have records that were deleted since.
        if let [_, "snapshot", ..] = segments.as_slice() {
            return refuse("it names a published snapshot");
        }
        Ok(Self {
            bucket,
            prefix: format!("{path}/"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_keys_are_those_of_the_python_writers() {
        let c: CollectionName = "lines".parse().unwrap();
        let lines = Lineage::from(&c);
        let v: Version = "20261121_000212_517191_74bfc63c".parse().unwrap();
        let run: RunId = "3f0c".parse().unwrap();
        let base = "lines/snapshot/timestamped/20261121_000212_517191_74bfc63c/";
        assert_eq!(pointer(&lines), "lines/snapshot/latest-pointer.txt");
        assert_eq!(timestamped_prefix(&lines), "lines/snapshot/timestamped/");
        assert_eq!(version_prefix(&lines, &v), base);
        assert_eq!(manifest(&lines, &v), format!("{base}manifest.json"));
        assert_eq!(snapshot_hash(&lines, &v), format!("{base}.snapshot_hash"));
        assert_eq!(
            snapshot_archive(&lines, &v),
            format!("{base}snapshot.tar.gz")
        );
        assert_eq!(
            file(&lines, &v, "u/header.bin"),
            format!("{base}u/header.bin")
        );
        assert_eq!(delta_prefix(&c, &run), "lines/delta/3f0c/");
        assert_eq!(
            delta_archive("lines/delta/3f0c/"),
            "lines/delta/3f0c/delta.tar.gz"
        );
    }

    #[test]
    fn delta_prefix_of_every_form_gets_one_trailing_slash() {
        for text in [
            "lines/delta/abc",
            "lines/delta/abc/",
            "/lines/delta/abc",
            "//lines/delta/abc/",
        ] {
            let location = DeltaLocation::parse(text).unwrap();
            assert_eq!(location.bucket, None);
            assert_eq!(location.prefix, "lines/delta/abc/", "{text}");
            assert!(!"lines/delta/abcd/chroma.sqlite3".starts_with(&location.prefix));
        }
        let other =
            DeltaLocation::parse("s3://other-bucket/intermediate/b-group-1/merged/").unwrap();
        assert_eq!(other.bucket.as_deref(), Some("other-bucket"));
        assert_eq!(other.prefix, "intermediate/b-group-1/merged/");
    }

    #[test]
    fn bucket_that_is_not_general_purpose_is_refused() {
        for bucket in [
            "arn:aws:s3:::words",
            "arn:aws:s3:eu-central-1:1:accesspoint",
            "words--euc1-az1--x-s3",
            "point-0123456789-s3alias",
            "object-0123456789--ol-s3",
            "mfzwi23gnjvgw.mrap",
            "tables--table-s3",
            "Upper",
            "under_score",
            "-ab",
            "ab-",
            "a..b",
            "ab",
            &"a".repeat(64),
        ] {
            let error = DeltaLocation::parse(&format!("s3://{bucket}/lines/delta/abc/"));
            let error = error.expect_err(bucket);
            assert_eq!(error.code(), "CC-DELTA-PREFIX", "{bucket}");
        }
    }

    #[test]
    fn delta_prefix_that_reaches_too_far_is_refused() {
        for bad in [
            "",
            "/",
            "///",
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///lines/delta/abc",
            "lines",
            "lines/",
            "lines/delta",
            "lines/delta/",
            "lines/snapshot/",
            "s3://b/lines/delta/",
            "lines/delta/../snapshot",
            "lines/delta/./x",
            "lines//delta/x",
            "lines/delta/x//",
            "lines/delta/\0",
            "..",
            "lines/snapshot/timestamped/20261121_000212_517191_74bfc63c/",
            "s3://bucket/words/snapshot/x",
            &format!("words/delta/{}", "n".repeat(256)),
            &format!("words/delta/{}", "n/".repeat(502)),
            &format!("{}words/delta/a", "/".repeat(2000)),
            "/words/snapshot/x/",
        ] {
            let error = DeltaLocation::parse(bad).unwrap_err();
            assert_eq!(error.code(), "CC-DELTA-PREFIX", "{bad:?}");
        }
    }
}
