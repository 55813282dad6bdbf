//! The double of the port `ObjectStore`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::{Faults, lock};
use crate::ports::{
    Attributes, Clock, Condition, ETag, Fault, Object, ObjectInfo, ObjectStore, Page, PortError,
    PortResult, PutOutcome, Uploaded, WallTime,
};

const PAGE: usize = 1_000;

/// Objects in memory. A tag is the MD5 of the content, as on S3: the same content has the same tag, which
/// exposes code that writes an old content back.
pub struct FakeObjectStore {
    /// The faults to inject, and the record of all calls.
    pub faults: Faults,
    clock: Arc<dyn Clock>,
    objects: Mutex<BTreeMap<String, Stored>>,
    others: Mutex<BTreeMap<String, Arc<Self>>>,
}

#[derive(Debug, Clone)]
struct Stored {
    body: Bytes,
    metadata: Attributes,
    etag: ETag,
    modified: WallTime,
}

impl Stored {
    fn new(body: Bytes, metadata: Attributes, modified: WallTime) -> Self {
        let etag = ETag(format!("\"{}\"", hex::encode(Md5::digest(&body))));
        Self {
            body,
            metadata,
            etag,
            modified,
        }
    }

    fn info(&self, key: &str) -> ObjectInfo {
        ObjectInfo {
            key: key.to_owned(),
            size: self.body.len() as u64,
            etag: self.etag.clone(),
        }
    }

    fn within(&self, operation: &'static str, key: &str, limit: u64) -> PortResult<()> {
        if self.body.len() as u64 <= limit {
            return Ok(());
        }
        let reason = format!(
            "the object has {} bytes, the limit is {limit}",
            self.body.len()
        );
        Err(PortError::new(operation, key, Fault::TooLarge, reason))
    }
}

impl FakeObjectStore {
    /// An empty store that dates its objects by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            faults: Faults::default(),
            clock,
            objects: Mutex::default(),
            others: Mutex::default(),
        }
    }

    /// The store of another bucket, made by the first call. The port finds only buckets that a test has
    /// made so.
    pub fn other(&self, bucket: &str) -> Arc<Self> {
        let mut others = lock(&self.others);
        let new = || Arc::new(Self::new(Arc::clone(&self.clock)));
        Arc::clone(others.entry(bucket.to_owned()).or_insert_with(new))
    }

    /// All keys in byte order. For assertions; not a call of the port.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.objects).keys().cloned().collect()
    }

    /// The content of a key, if it exists. For assertions; not a call of the port.
    pub fn body(&self, key: &str) -> Option<Bytes> {
        lock(&self.objects)
            .get(key)
            .map(|stored| stored.body.clone())
    }

    /// Writes an object, without faults or conditions.
    pub fn insert(&self, key: &str, body: impl Into<Bytes>) {
        let stored = self.dated(body.into(), Attributes::new());
        lock(&self.objects).insert(key.to_owned(), stored);
    }

    fn dated(&self, body: Bytes, metadata: Attributes) -> Stored {
        Stored::new(body, metadata, self.clock.wall())
    }

    fn write(&self, key: &str, stored: Stored, condition: &Condition) -> PutOutcome {
        let mut objects = lock(&self.objects);
        match (condition, objects.get(key)) {
            (Condition::Always, _) | (Condition::IfAbsent, None) => {}
            (Condition::IfMatch(_), None) => return PutOutcome::Absent,
            (Condition::IfMatch(etag), Some(current)) if *etag == current.etag => {}
            (Condition::IfAbsent | Condition::IfMatch(_), Some(_)) => {
                return PutOutcome::PreconditionFailed;
            }
        }
        let etag = stored.etag.clone();
        objects.insert(key.to_owned(), stored);
        PutOutcome::Written(etag)
    }

    fn find(&self, key: &str) -> Option<Stored> {
        lock(&self.objects).get(key).cloned()
    }
}

fn page<T>(mut entries: Vec<T>, name: impl Fn(&T) -> String) -> Page<T> {
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let next = if more { entries.last().map(name) } else { None };
    Page { entries, next }
}

#[async_trait]
impl ObjectStore for FakeObjectStore {
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>> {
        let pending = self.faults.begin("get", key)?;
        let Some(stored) = self.find(key) else {
            return pending.end(None);
        };
        stored.within("get", key, limit)?;
        let info = stored.info(key);
        pending.end(Some(Object {
            info,
            body: stored.body,
            metadata: stored.metadata,
            modified: Some(stored.modified),
        }))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
        let pending = self.faults.begin("get_range", key)?;
        let slice = self.find(key).map(|stored| {
            let clamp = |at: u64| {
                usize::try_from(at)
                    .unwrap_or(usize::MAX)
                    .min(stored.body.len())
            };
            let (start, end) = (clamp(range.start), clamp(range.end));
            stored.body.slice(start..end.max(start))
        });
        pending.end(slice)
    }

    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>> {
        let pending = self.faults.begin("head", key)?;
        pending.end(self.find(key).map(|stored| stored.info(key)))
    }

    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>> {
        let pending = self.faults.begin("download", key)?;
        let Some(stored) = self.find(key) else {
            return pending.end(None);
        };
        stored.within("download", key, limit)?;
        // Before the file is made: a failed download leaves no file.
        let info = pending.end(Some(stored.info(key)))?;
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create_new(to)?;
            std::io::Write::write_all(&mut file, &stored.body)
        };
        write().map_err(|error| PortError::of_file("download", to, error))?;
        Ok(info)
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        let pending = self.faults.begin("put", key)?;
        if pending.conflict && condition != Condition::Always {
            return Ok(PutOutcome::Conflict);
        }
        let outcome = self.write(key, self.dated(body, metadata.clone()), &condition);
        pending.end(outcome)
    }

    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        let pending = self.faults.begin("upload", key)?;
        if pending.conflict && condition != Condition::Always {
            return Ok(Uploaded {
                outcome: PutOutcome::Conflict,
                sha256: None,
            });
        }
        let body =
            std::fs::read(from).map_err(|error| PortError::of_file("upload", from, error))?;
        let sha256 = Some(hex::encode(Sha256::digest(&body)));
        let outcome = self.write(key, self.dated(body.into(), metadata.clone()), &condition);
        pending.end(Uploaded { outcome, sha256 })
    }

    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        let pending = self.faults.begin("copy", to)?;
        if pending.conflict && condition != Condition::Always {
            return Ok(PutOutcome::Conflict);
        }
        let outcome = match self.find(from) {
            Some(stored) if stored.etag == *tag => {
                self.write(to, self.dated(stored.body, stored.metadata), &condition)
            }
            _ => PutOutcome::Absent,
        };
        pending.end(outcome)
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>> {
        let pending = self.faults.begin("list", prefix)?;
        let objects = lock(&self.objects);
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let entries = objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(PAGE + 1)
            .map(|(key, stored)| stored.info(key))
            .collect();
        pending.end(page(entries, |info: &ObjectInfo| info.key.clone()))
    }

    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>> {
        let pending = self.faults.begin("list_folders", prefix)?;
        let objects = lock(&self.objects);
        let folders: BTreeSet<&str> = objects
            .keys()
            .filter_map(|key| key.strip_prefix(prefix)?.split_once('/'))
            .map(|(folder, _)| folder)
            .collect();
        let entries = folders
            .into_iter()
            .filter(|folder| after.is_none_or(|after| *folder > after))
            .take(PAGE + 1)
            .map(str::to_owned)
            .collect();
        pending.end(page(entries, Clone::clone))
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        let pending = self.faults.begin("delete", key)?;
        lock(&self.objects).remove(key);
        pending.end(())
    }

    fn bucket(&self, name: &str) -> Option<Arc<dyn ObjectStore>> {
        let other = lock(&self.others).get(name).cloned()?;
        Some(other)
    }
}
