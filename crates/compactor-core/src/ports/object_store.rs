//! Objects under keys, with conditional puts: the safety point of the publish protocol.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{PortResult, WallTime};

/// Text metadata of an object (`x-amz-meta-*` on S3) or of a message, by name.
pub type Attributes = BTreeMap<String, String>;

/// The opaque tag of one stored state of one key.
///
/// Another content has another tag. Writing the same content again may or may not change the tag (on S3
/// it does not), so code that relies on tags must never write an old content back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// When a put may take effect. The store checks the condition and writes in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Whatever the key holds.
    Always,
    /// Only if the key does not exist (`If-None-Match: *`).
    IfAbsent,
    /// Only if the key exists and has this tag (`If-Match`).
    IfMatch(ETag),
}

/// A definite answer to a put. A lost answer is an error with
/// [`Fault::OutcomeUnknown`](super::Fault::OutcomeUnknown).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is written and has this tag.
    Written(ETag),
    /// The condition did not hold (412): nothing was written.
    PreconditionFailed,
    /// Another conditional write was under way (409): nothing was written, and the same put may be sent
    /// again.
    Conflict,
    /// The key of an `IfMatch` does not exist (404): nothing was written.
    Absent,
}

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// As for a put of the whole file.
    pub outcome: PutOutcome,
    /// SHA-256, in lower-case hex, of the bytes that were read and sent. `None` if the store answered
    /// before all of them were read.
    pub sha256: Option<String>,
}

/// What a listing or a head says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The full key.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// The tag at the time of the answer.
    pub etag: ETag,
}

/// A small object, read whole. All fields are of one stored state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Key, size and tag.
    pub info: ObjectInfo,
    /// The content.
    pub body: Bytes,
    /// The metadata that was written with this content.
    pub metadata: Attributes,
    /// A time by which the object had been written, by the store's clock: the exact one, rounded up to
    /// what the store keeps. `None` where the store does not tell.
    pub modified: Option<WallTime>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, in ascending byte order of their keys. A page may be empty and have a next one.
    pub entries: Vec<T>,
    /// Pass it as `after` to get the next page. `None` on the last page.
    pub next: Option<String>,
}

/// A multipart upload that was begun and neither completed nor aborted. Its parts take up space until
/// it is aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The key of the object that the upload was to make.
    pub key: String,
    /// The store's id of the upload.
    pub id: String,
    /// When the upload was begun, by the store's clock.
    pub begun: WallTime,
}

/// Objects under `/`-separated keys.
///
/// An adapter guarantees that
///
/// * a read sees every write that was acknowledged before it began, and one whole write, never a
///   mixture of two;
/// * of all conditional writes on one state of a key at most one takes effect, whichever process sends
///   them;
/// * an acknowledged write survives a crash.
///
/// A key that does not exist is no error: reads return `None`.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Reads a whole object of at most `limit` bytes, or `None` if the key does not exist.
    ///
    /// # Errors
    /// `TooLarge` if the object has more than `limit` bytes, `Transient` if the answer broke off;
    /// otherwise the store cannot be reached or refuses the call.
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>>;

    /// Reads the bytes `range` of an object, or `None` if the key does not exist. A range that reaches
    /// past the end returns the bytes up to the end, possibly none.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call, or the answer broke off.
    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>>;

    /// Reads size and tag of an object, or `None` if the key does not exist.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call.
    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>>;

    /// Downloads an object of at most `limit` bytes into the new file `to`, or returns `None` and makes
    /// no file if the key does not exist. The folder of `to` must exist, `to` must not. After an error no
    /// file is left.
    ///
    /// # Errors
    /// `TooLarge` if the object has more than `limit` bytes, `Transient` if it was replaced meanwhile or
    /// the answer broke off. `is_of_machine` is set if the file could not be written. Otherwise the store
    /// cannot be reached or refuses the call.
    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>>;

    /// Writes a small object with its metadata, if `condition` holds.
    ///
    /// # Errors
    /// `OutcomeUnknown` if the answer to a conditional put was lost, `Unsupported` if the store has no
    /// conditional writes; otherwise the store cannot be reached or refuses the call. An unconditional
    /// put that fails may have taken effect; repeating it is harmless.
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome>;

    /// Writes the file `from` as an object, in parts where the backend needs them, if `condition` holds.
    /// A failed upload shows no part of the file under the key. If the future is dropped, parts may stay
    /// in the store; [`remove_abandoned`](Self::remove_abandoned) removes them.
    ///
    /// # Errors
    /// As [`put`](Self::put). `is_of_machine` is set if the file could not be read; `Invalid` if it became
    /// shorter meanwhile.
    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded>;

    /// Copies an object with its metadata inside the store, if `condition` holds for `to`. Returns
    /// [`PutOutcome::Absent`] if `from` does not exist or has another tag than `tag`.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome>;

    /// The unfinished multipart uploads below `prefix`, of every writer. Empty where the store has no
    /// such uploads.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call.
    async fn unfinished(&self, prefix: &str) -> PortResult<Vec<Unfinished>> {
        let _ = prefix;
        Ok(Vec::new())
    }

    /// Aborts a multipart upload and frees its parts. A writer that is still at work on it gets an error.
    /// Aborting an upload that does not exist any more succeeds.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call.
    async fn abort(&self, upload: &Unfinished) -> PortResult<()> {
        let _ = upload;
        Ok(())
    }

    /// Aborts the multipart uploads that dropped or failed calls of this store left behind.
    ///
    /// # Errors
    /// One of them could not be aborted. The store tries it again at the next call, unless the right is
    /// missing.
    async fn remove_abandoned(&self) -> PortResult<()> {
        Ok(())
    }

    /// One page of the objects whose key starts with `prefix`, which is a plain string as on S3:
    /// `a/b` matches `a/bc` too. `after` is [`Page::next`] of the page before, or a key to list after.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call.
    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>>;

    /// One page of the distinct key segments that follow `prefix`, without the `/` behind them.
    /// `prefix` is empty or ends in `/`; `after` is [`Page::next`] of the page before. The store may sort
    /// the segments with or without that `/`.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call.
    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>>;

    /// All pages of [`list`](Self::list), put together.
    ///
    /// # Errors
    /// As [`list`](Self::list).
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

    /// All pages of [`list_folders`](Self::list_folders), put together.
    ///
    /// # Errors
    /// As [`list_folders`](Self::list_folders).
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

    /// Deletes an object with its metadata. Deleting a key that does not exist succeeds.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call. The object may have been deleted; repeating the
    /// call is harmless.
    async fn delete(&self, key: &str) -> PortResult<()>;

    /// Whether this store is the bucket `name`. Stores without buckets are none.
    fn is_bucket(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The store of another bucket, reached with the same rights. `None` if the settings do not let
    /// deltas be read from that bucket, or if the backend has no buckets.
    fn bucket(&self, name: &str) -> Option<Arc<dyn ObjectStore>> {
        let _ = name;
        None
    }
}
