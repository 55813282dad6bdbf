//! Immutable objects under keys, with conditional puts (the safety point of the publish protocol).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{PortResult, WallTime};

/// String metadata kept beside an object (`x-amz-meta-*` on S3) or a message.
pub type Attributes = BTreeMap<String, String>;

/// Opaque tag of one stored state of one key. Another content has another tag; whether writing
/// the same content again changes the tag depends on the store (on S3 it does not), so whoever
/// relies on tags must never write an old content back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// When a put may take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// Only if the key does not exist (`If-None-Match: *`).
    IfAbsent,
    /// Only if the key's current tag is this one (`If-Match`).
    IfMatch(ETag),
}

/// A definite answer to a put. A lost answer is an error with `Fault::OutcomeUnknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// Written; the new tag.
    Written(ETag),
    /// The condition did not hold (412).
    PreconditionFailed,
    /// Another conditional write was under way (409): nothing was written, ask again.
    Conflict,
    /// `IfMatch` on a key that does not exist (404).
    Absent,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// As for a put.
    pub outcome: PutOutcome,
    /// SHA-256, in lower-case hex, of the bytes that were read and sent; `None` if the answer came
    /// before all were.
    pub sha256: Option<String>,
}

/// What a listing or a head tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Full key.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Current tag.
    pub etag: ETag,
}

/// A small object read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Size and tag.
    pub info: ObjectInfo,
    /// The content.
    pub body: Bytes,
    /// User metadata.
    pub metadata: Attributes,
    /// When it was written at the latest, by the store's clock; none where the store does not tell.
    pub modified: Option<WallTime>,
}

/// One page of a listing, in ascending byte order of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Pass it as `after` to get the next page; `None` at the end.
    pub next: Option<String>,
}

/// An upload in parts that was begun and not finished. Its parts take up room until it is aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// What it was to become.
    pub key: String,
    /// Its name at the store.
    pub id: String,
    /// When it was begun.
    pub begun: WallTime,
}

/// Objects under `/`-separated keys.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Reads a whole object of at most `limit` bytes; `None` if the key does not exist.
    /// A larger object is an error with `Fault::TooLarge`.
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>>;

    /// Reads bytes `range` of an object; `None` if the key does not exist. A range that reaches
    /// past the end gives the bytes there are.
    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>>;

    /// Size and tag; `None` if the key does not exist.
    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>>;

    /// Downloads an object of at most `limit` bytes into the new file `to` (its folder exists,
    /// the file does not). `None` if the key does not exist. On error no file is left.
    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>>;

    /// Writes a small object.
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome>;

    /// Writes the file `from` as an object, in parts where the backend wants that. Nothing of a
    /// failed upload is visible. What it left where it could not remove it, because its future was
    /// dropped, [`remove_abandoned`](Self::remove_abandoned) removes.
    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded>;

    /// Copies an object with its metadata inside the store. The condition is on `to`. `Absent` if
    /// `from` does not exist, or has another tag than `tag`.
    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome>;

    /// Uploads in parts below `prefix` that were begun and not finished, by whomever. Where there
    /// are no such things, there are none.
    async fn unfinished(&self, prefix: &str) -> PortResult<Vec<Unfinished>> {
        let _ = prefix;
        Ok(Vec::new())
    }

    /// Ends an upload that was begun, as if it never had been. Who is at it still gets an error.
    async fn abort(&self, upload: &Unfinished) -> PortResult<()> {
        let _ = upload;
        Ok(())
    }

    /// Removes what uploads and copies left that were given up half-way.
    async fn remove_abandoned(&self) -> PortResult<()> {
        Ok(())
    }

    /// Objects whose key starts with `prefix` (a plain string prefix, as S3 has it).
    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>>;

    /// The distinct next path segments below `prefix` (which ends in `/`), without the `/`.
    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>>;

    /// All pages of [`list`](Self::list).
    async fn list_all(&self, prefix: &str) -> PortResult<Vec<ObjectInfo>> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list(prefix, after.as_deref()).await?;
            found.extend(page.entries);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// All pages of [`list_folders`](Self::list_folders).
    async fn list_all_folders(&self, prefix: &str) -> PortResult<Vec<String>> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list_folders(prefix, after.as_deref()).await?;
            found.extend(page.entries);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Deletes a key. Deleting what does not exist succeeds.
    async fn delete(&self, key: &str) -> PortResult<()>;

    /// Whether this is the store of the bucket `name`.
    fn is_bucket(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The store of another bucket, reached with the same rights; `None` where there are no
    /// buckets.
    fn bucket(&self, name: &str) -> Option<Arc<dyn ObjectStore>> {
        let _ = name;
        None
    }
}
