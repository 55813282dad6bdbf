//! Objects as plain files below a directory.
//!
//! A write goes to a temporary file first; the rename over the object is the commit. Metadata is in a
//! sidecar, which is named after time and content of its body, so that a copy of the directory keeps the
//! two together. The sidecar is written before the rename, so whichever body is in place has its
//! metadata. Writers of one key, in this process or another, take turns through a lock file; readers
//! never wait. Only a plain file is an object; nothing else is ever opened.

mod folders;
mod layout;
mod list;
mod locks;
mod read;
mod safe_open;
mod sidecar;
mod tag;
mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Clock, Condition, ETag, Ids, Object, ObjectInfo, ObjectStore, Page, PortResult,
    PutOutcome, Uploaded,
};

use crate::access::Access;
use crate::blocking::blocking;
use crate::open_error::OpenError;
use layout::Layout;
use write::{Source, Writer};

/// An object store in a directory. Any number may be open on one directory, in any processes.
#[derive(Clone)]
pub struct DirectoryObjectStore {
    layout: Arc<Layout>,
    ids: Arc<dyn Ids>,
}

impl DirectoryObjectStore {
    /// Opens the store below `root`, makes what is missing, and sweeps temporary files that a killed
    /// process left more than a day ago. `access` is as in [`LocalOptions`](crate::LocalOptions). Blocks.
    ///
    /// # Errors
    /// The directory cannot be made, read or written, or other accounts can write to it. The file system
    /// keeps no nanoseconds.
    pub fn open(
        root: &Path,
        access: Option<Access>,
        clock: &dyn Clock,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, OpenError> {
        let layout = Layout::create(root, access, clock.wall())?;
        Ok(Self {
            layout: Arc::new(layout),
            ids,
        })
    }

    /// The file that holds, or would hold, the object of a key. Read it only: a write past the store loses
    /// the metadata.
    ///
    /// # Errors
    /// `Invalid` if no file can have the key.
    pub fn path_of(&self, key: &str) -> PortResult<PathBuf> {
        self.layout.body("path of object", key)
    }

    fn writer(&self, operation: &'static str, key: &str) -> PortResult<Writer> {
        Writer::new(operation, self.layout.clone(), self.ids.clone(), key)
    }
}

#[async_trait]
impl ObjectStore for DirectoryObjectStore {
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>> {
        let (layout, owned) = (self.layout.clone(), key.to_owned());
        blocking("get object", key, move || {
            read::object(&layout, &owned, limit)
        })
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
        let (layout, owned) = (self.layout.clone(), key.to_owned());
        blocking("get object range", key, move || {
            read::range(&layout, &owned, range)
        })
        .await
    }

    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>> {
        let (layout, owned) = (self.layout.clone(), key.to_owned());
        blocking("head object", key, move || read::info(&layout, &owned)).await
    }

    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>> {
        let (layout, owned, to) = (self.layout.clone(), key.to_owned(), to.to_owned());
        blocking("download object", key, move || {
            read::download(&layout, &owned, &to, limit)
        })
        .await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        let (writer, metadata) = (self.writer("put object", key)?, metadata.clone());
        let work = move || {
            let put = writer.write(Source::Bytes(&body), &condition, &metadata)?;
            Ok(put.outcome)
        };
        blocking("put object", key, work).await
    }

    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        let (writer, metadata) = (self.writer("upload object", key)?, metadata.clone());
        let from = from.to_owned();
        let work = move || writer.upload(&from, &condition, &metadata);
        blocking("upload object", key, work).await
    }

    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        let (layout, writer) = (self.layout.clone(), self.writer("copy object", to)?);
        let (from, tag) = (from.to_owned(), tag.clone());
        blocking("copy object", to, move || {
            match read::whole(&layout, "copy object", &from)? {
                Some((mut body, metadata)) if body.info.etag == tag => {
                    let copied =
                        writer.write(Source::Reader(&mut body.file), &condition, &metadata)?;
                    Ok(copied.outcome)
                }
                _ => Ok(PutOutcome::Absent),
            }
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>> {
        let (layout, owned) = (self.layout.clone(), prefix.to_owned());
        let after = after.map(str::to_owned);
        blocking("list objects", prefix, move || {
            list::objects(&layout, &owned, after.as_deref())
        })
        .await
    }

    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>> {
        let (layout, owned) = (self.layout.clone(), prefix.to_owned());
        let after = after.map(str::to_owned);
        blocking("list folders", prefix, move || {
            list::folders(&layout, &owned, after.as_deref())
        })
        .await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        let writer = self.writer("delete object", key)?;
        blocking("delete object", key, move || writer.delete()).await
    }
}

impl std::fmt::Debug for DirectoryObjectStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryObjectStore")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
