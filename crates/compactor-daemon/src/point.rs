//! Putting a pointer back, or mending one that cannot be understood.

use bytes::Bytes;
use compactor_core::disposition::Resource;
use compactor_core::ports::{Attributes, Condition, PutOutcome};
use compactor_core::{CollectionName, Version, keys};

use crate::error::About as _;
use crate::snapshot::{Content, NONCE, resolve_version};
use crate::{Ports, RunError};

/// A pointer holds one version.
const POINTER_BYTES: u64 = 1 << 20;

/// Lets the pointer of a collection name a complete version, if it names none that is there: it is
/// gone, or it cannot be understood. Nothing else moves a pointer but a cycle.
///
/// # Errors
/// The version is not complete, the pointer names another one that is, or it was changed meanwhile.
pub async fn point(
    ports: &Ports,
    collection: &CollectionName,
    version: &Version,
) -> Result<(), RunError> {
    let objects = ports.objects.as_ref();
    let key = keys::pointer(collection);
    let found = objects.get(&key, POINTER_BYTES).await;
    let condition = match found.about(Resource::Pointer)? {
        None => Condition::IfAbsent,
        Some(object) => Condition::IfMatch(object.info.etag),
    };
    if condition != Condition::IfAbsent {
        match crate::snapshot::resolve(objects, collection).await {
            Ok(Some(published)) if published.version == *version => return Ok(()),
            Ok(Some(published)) => {
                return Err(RunError::PointerInUse {
                    collection: collection.to_string(),
                    version: published.version.to_string(),
                });
            }
            Ok(None)
            | Err(
                RunError::Pointer { .. }
                | RunError::PointerText { .. }
                | RunError::Manifest { .. }
                | RunError::ManifestMissing { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    let mut metadata = Attributes::new();
    if let Content::Manifest(_) = resolve_version(objects, collection, version, false).await? {
        metadata.insert(NONCE.to_owned(), ports.ids.uuid().to_string());
    }
    let body = Bytes::from(version.to_string());
    let put = objects.put(&key, body, condition, &metadata).await;
    match put.about(Resource::Pointer)? {
        PutOutcome::Written(_) => Ok(()),
        PutOutcome::PreconditionFailed | PutOutcome::Conflict | PutOutcome::Absent => {
            Err(RunError::Overtaken {
                collection: collection.to_string(),
                times: 1,
            })
        }
    }
}
