//! Multipart uploads under way and abandoned. S3 keeps, and charges for, the parts of an upload until it is
//! completed or aborted. A future that is dropped cannot wait for the abort, so it is done later.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use compactor_core::ports::{Fault, PortResult};

use super::requests::address;
use crate::fault::{Repeat, port_error};

/// The name of a multipart upload.
#[derive(Debug, Clone)]
pub(super) struct UploadId {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) id: String,
}

impl UploadId {
    pub(super) async fn abort(&self, client: &Client) -> PortResult<()> {
        let request = client.abort_multipart_upload().bucket(&self.bucket);
        let aborted = request.key(&self.key).upload_id(&self.id).send().await;
        match aborted {
            Ok(_) => Ok(()),
            Err(error) if crate::fault::status(&error) == Some(404) => Ok(()),
            Err(error) => Err(port_error(
                "abort upload",
                &address(&self.bucket, &self.key),
                Repeat::Harmless,
                error,
            )),
        }
    }
}

/// The uploads that were dropped and are still to be aborted.
#[derive(Debug, Clone, Default)]
pub(super) struct Abandoned(Arc<Mutex<Vec<UploadId>>>);

impl Abandoned {
    /// Aborts all of them.
    pub(super) async fn abort(&self, client: &Client) -> PortResult<()> {
        let mut outcome = Ok(());
        let uploads = std::mem::take(&mut *self.lock());
        for upload in uploads {
            if let Err(error) = upload.abort(client).await {
                // A missing right does not come back by a retry.
                if error.fault != Fault::Denied {
                    self.lock().push(upload);
                }
                outcome = Err(error);
            }
        }
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<UploadId>> {
        // A panic leaves the list with whole entries only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A multipart upload under way. Dropped before its end, it becomes abandoned.
#[derive(Debug)]
pub(super) struct Begun {
    upload: UploadId,
    ended: bool,
    abandoned: Abandoned,
}

impl Begun {
    pub(super) fn new(upload: UploadId, abandoned: Abandoned) -> Self {
        Self {
            upload,
            ended: false,
            abandoned,
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.upload.key
    }

    pub(super) fn id(&self) -> &str {
        &self.upload.id
    }

    /// Ends the upload, which is an object now.
    pub(super) fn completed(mut self) {
        self.ended = true;
    }

    /// Aborts the upload. If that fails, it becomes abandoned.
    pub(super) async fn abort(mut self, client: &Client) {
        self.ended = self.upload.abort(client).await.is_ok();
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.ended {
            self.abandoned.lock().push(self.upload.clone());
        }
    }
}
