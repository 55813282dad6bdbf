//! Downloads in ranges: several at a time, each written to its place in the file.

use std::path::Path;
use std::sync::Arc;

use compactor_core::ports::{Fault, ObjectInfo, ObjectStore, PortError, PortResult};
use futures_util::StreamExt;
use futures_util::stream;

use super::local_file::{blocking, disk};
use super::requests::header;
use super::responses::{is_absent, size_of, too_large};
use super::{PART_BYTES, PARTS, S3ObjectStore};
use crate::fault::{Repeat, port_error, status};

const DOWNLOAD: &str = "download object";

impl S3ObjectStore {
    pub(super) async fn download_parts(
        &self,
        key: &str,
        to: &Path,
        limit: u64,
    ) -> PortResult<Option<ObjectInfo>> {
        let Some(info) = self.head(key).await? else {
            return Ok(None);
        };
        if info.size > limit {
            return Err(too_large(DOWNLOAD, key, info.size, limit));
        }
        let path = to.to_path_buf();
        let file = blocking(move || std::fs::File::create_new(path)).await;
        let file = Arc::new(file.map_err(|error| disk(to, error))?);
        let starts = (0..info.size).step_by(usize::try_from(PART_BYTES).unwrap_or(usize::MAX));
        let parts = starts.map(|start| self.download_part(&info, start, &file, to));
        let mut parts = stream::iter(parts).buffer_unordered(PARTS);
        while let Some(part) = parts.next().await {
            if let Err(error) = part {
                drop(parts);
                // The first error is the one to report.
                let _ = fs_err::remove_file(to);
                return Err(error);
            }
        }
        drop(parts);
        Ok(Some(info))
    }

    /// Downloads one part. The tag ensures that all parts are of one state of the object.
    async fn download_part(
        &self,
        info: &ObjectInfo,
        start: u64,
        file: &Arc<std::fs::File>,
        to: &Path,
    ) -> PortResult<()> {
        use std::os::unix::fs::FileExt;
        let _permit = self.parts.acquire().await;
        let range = start..info.size.min(start + PART_BYTES);
        let request = self.client.get_object().bucket(&self.bucket);
        let mut request = request.key(&info.key).if_match(&info.etag.0);
        // For a whole object, the client verifies the checksum that S3 keeps.
        if range.end - range.start < info.size {
            request = request.range(header(&range));
        }
        let expected = range.end - range.start;
        let ask = || async {
            let answer = match request.clone().send().await {
                Ok(answer) => answer,
                Err(error) if status(&error) == Some(412) || is_absent(&error) => return Ok(None),
                Err(error) => {
                    return Err(port_error(
                        DOWNLOAD,
                        &self.at(&info.key),
                        Repeat::Harmless,
                        error,
                    ));
                }
            };
            let announced = size_of(answer.content_length());
            if announced != expected {
                let reason = format!("{announced} bytes are to come of {range:?}");
                return Err(transient(&info.key, reason));
            }
            Ok(Some(answer))
        };
        let read = self.stall_guard.read(DOWNLOAD, &info.key, ask).await?;
        let (_, body) = read.ok_or_else(|| changed(&info.key))?;
        if body.len() as u64 != expected {
            let reason = format!("{} bytes came of {range:?}", body.len());
            return Err(transient(&info.key, reason));
        }
        let file = Arc::clone(file);
        let written = blocking(move || file.write_all_at(&body, start)).await;
        written.map_err(|error| disk(to, error))
    }
}

fn changed(key: &str) -> PortError {
    transient(key, "it was replaced meanwhile".to_owned())
}

fn transient(key: &str, reason: String) -> PortError {
    PortError::new(DOWNLOAD, key, Fault::Transient, reason)
}
