//! Reads of bodies. No writer changes a body in place, so an open one stays the same.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use compactor_core::ports::{
    Attributes, ETag, Fault, Object, ObjectInfo, PortError, PortResult, WallTime,
};

use super::layout::Layout;
use super::safe_open;
use super::sidecar::Sidecars;
use super::tag;
use crate::fault::io_error;

/// An open body.
pub(super) struct Body {
    pub(super) file: File,
    pub(super) info: ObjectInfo,
    metadata: Metadata,
}

impl Body {
    fn open(layout: &Layout, operation: &'static str, key: &str) -> PortResult<Option<Self>> {
        layout.check_key(operation, key)?;
        match safe_open::open(&layout.objects, key) {
            Ok(Some((file, metadata))) => {
                let etag = tag::of(&metadata);
                let info = ObjectInfo {
                    key: key.to_owned(),
                    size: metadata.len(),
                    etag,
                };
                Ok(Some(Self {
                    file,
                    info,
                    metadata,
                }))
            }
            Ok(None) => {
                layout.check_root(operation, key)?;
                Ok(None)
            }
            Err(error) => Err(io_error(operation, key, error)),
        }
    }

    fn within(&self, operation: &'static str, limit: u64) -> PortResult<()> {
        if self.info.size <= limit {
            return Ok(());
        }
        let reason = format!(
            "the object has {} bytes, the limit is {limit}",
            self.info.size
        );
        Err(PortError::new(
            operation,
            self.info.key.clone(),
            Fault::TooLarge,
            reason,
        ))
    }
}

/// The tag that a key has now.
fn current_tag(layout: &Layout, operation: &'static str, key: &str) -> PortResult<Option<ETag>> {
    Ok(Body::open(layout, operation, key)?.map(|body| body.info.etag))
}

/// An open body and the metadata that was written with it.
pub(super) fn whole(
    layout: &Layout,
    operation: &'static str,
    key: &str,
) -> PortResult<Option<(Body, Attributes)>> {
    let folder = layout.sidecars(operation, key)?;
    let failed = |error| io_error(operation, key, error);
    loop {
        let Some(mut body) = Body::open(layout, operation, key)? else {
            return Ok(None);
        };
        let sidecars = Sidecars::list(&folder).map_err(failed)?;
        if let Some(metadata) = sidecars.read(&body.metadata).map_err(failed)? {
            return Ok(Some((body, metadata)));
        }
        let of_copy = sidecars.read_by_content(&mut body.file).map_err(failed)?;
        // The body has no sidecar of its own: it has no metadata, or is a copy, or was just replaced. Only
        // in the last case look again.
        if current_tag(layout, operation, key)?.as_ref() == Some(&body.info.etag) {
            return Ok(Some((body, of_copy.unwrap_or_default())));
        }
    }
}

pub(super) fn object(layout: &Layout, key: &str, limit: u64) -> PortResult<Option<Object>> {
    let operation = "get object";
    let Some((mut body, metadata)) = whole(layout, operation, key)? else {
        return Ok(None);
    };
    body.within(operation, limit)?;
    let mut content = Vec::new();
    body.file
        .read_to_end(&mut content)
        .map_err(|error| io_error(operation, key, error))?;
    Ok(Some(Object {
        info: body.info,
        body: content.into(),
        metadata,
        modified: i64::try_from(tag::modified(&body.metadata).as_micros())
            .ok()
            .map(WallTime),
    }))
}

pub(super) fn range(layout: &Layout, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
    let operation = "get object range";
    let Some(mut body) = Body::open(layout, operation, key)? else {
        return Ok(None);
    };
    let start = range.start.min(body.info.size);
    let length = range.end.min(body.info.size).saturating_sub(start);
    let mut content = Vec::new();
    body.file
        .seek(SeekFrom::Start(start))
        .and_then(|_| body.file.take(length).read_to_end(&mut content))
        .map_err(|error| io_error(operation, key, error))?;
    Ok(Some(content.into()))
}

pub(super) fn info(layout: &Layout, key: &str) -> PortResult<Option<ObjectInfo>> {
    Ok(Body::open(layout, "head object", key)?.map(|body| body.info))
}

pub(super) fn download(
    layout: &Layout,
    key: &str,
    to: &Path,
    limit: u64,
) -> PortResult<Option<ObjectInfo>> {
    let operation = "download object";
    let Some(mut body) = Body::open(layout, operation, key)? else {
        return Ok(None);
    };
    body.within(operation, limit)?;
    let error_at = |error| PortError::of_file(operation, to, error);
    let mut target = File::create_new(to).map_err(error_at)?;
    if let Err(error) = io::copy(&mut body.file, &mut target) {
        drop(target);
        // The first error is the one to report.
        let _ = std::fs::remove_file(to);
        return Err(error_at(error));
    }
    Ok(Some(body.info))
}
