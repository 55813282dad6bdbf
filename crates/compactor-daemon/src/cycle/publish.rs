//! From the closed directory to a version that only the pointer has to name: verified and uploaded side by
//! side. What is damaged and can be rebuilt is, and uploaded again.

use std::sync::Arc;

use compactor_snapshots::{
    Closed, Error as SnapshotError, KnownFiles, NewVersion, Prepared, is_mendable,
};

use super::lease::Lease;
use super::merge;
use super::steps::Steps;
use crate::context::Context;
use crate::{Error, Result};

/// Index files and full text, each once.
const REBUILDS: u32 = 2;

/// Verifies and uploads `closed` as the version `new`. `before` are the files of the working copy before the
/// merge.
pub(super) async fn prepare(
    context: &Context,
    (lease, steps): (&Lease, &Steps<'_>),
    new: &NewVersion<'_>,
    mut closed: Closed,
    before: &KnownFiles,
) -> Result<Prepared> {
    let (ports, settings) = (&context.ports, context.settings.publish());
    let mut rebuilt = 0;
    loop {
        let directory = (Arc::clone(&closed.store), before.clone());
        let time_and_ids = (&ports.clock, ports.ids.as_ref());
        let upload = context
            .repository
            .prepare(new, directory, &settings, time_and_ids)?;
        // To the end of both: the proof of a rebuild would find a file that is still being read.
        let both = async {
            let verifying = merge::verify(&closed, new.lineage.collection(), steps);
            Ok::<_, Error>(tokio::join!(verifying, upload.send_files()))
        };
        let (verified, sent) = lease.abandonable(context, both).await?;
        match verified {
            Ok(verified) => {
                steps.crash_point().await;
                let completing = upload.complete(sent?, &verified);
                return lease.abandonable(context, completing).await;
            }
            Err(Error::Snapshot(SnapshotError::Store(damage)))
                if rebuilt < REBUILDS && is_mendable(&damage) =>
            {
                tracing::warn!(code = damage.code(), error = %damage, "rebuilding index files or full text");
                let rebuilding = merge::rebuild(closed, damage);
                closed = lease.abandonable(context, rebuilding).await?;
                rebuilt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
