//! The listing of multipart uploads that any process began, perhaps one that has ended.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::MultipartUpload;
use compactor_core::ports::{PortResult, Unfinished};

use super::requests::address;
use super::responses::wall_time;
use crate::fault::{Repeat, port_error};

/// Lists the unfinished uploads below `prefix`.
pub(super) async fn list(
    client: &Client,
    bucket: &str,
    prefix: &str,
) -> PortResult<Vec<Unfinished>> {
    let (mut found, mut after) = (Vec::new(), None::<(String, String)>);
    loop {
        let (key, id) = after.take().unzip();
        let request = client.list_multipart_uploads().bucket(bucket);
        let request = request
            .prefix(prefix)
            .set_key_marker(key)
            .set_upload_id_marker(id);
        let page = request.send().await.map_err(|error| {
            port_error(
                "list uploads",
                &address(bucket, prefix),
                Repeat::Harmless,
                error,
            )
        })?;
        found.extend(page.uploads().iter().filter_map(listed));
        let next = page.next_key_marker.zip(page.next_upload_id_marker);
        match next.filter(|_| page.is_truncated == Some(true)) {
            Some(next) => after = Some(next),
            None => return Ok(found),
        }
    }
}

fn listed(upload: &MultipartUpload) -> Option<Unfinished> {
    Some(Unfinished {
        key: upload.key()?.to_owned(),
        id: upload.upload_id()?.to_owned(),
        begun: wall_time(upload.initiated()?)?,
    })
}
