//! Trying port calls again, with waits that grow.

use std::future::Future;

use compactor_core::Class;
use compactor_core::ports::{PortError, PortResult};

use crate::{Ports, Settings};

/// Repeats a call that may be repeated until it answers, fails for good, or the attempts are used
/// up. Never for the pointer's put.
pub(crate) async fn persist<T, F>(
    ports: &Ports,
    settings: &Settings,
    call: impl Fn() -> F,
) -> PortResult<T>
where
    F: Future<Output = PortResult<T>>,
{
    let mut attempt = 0;
    loop {
        match call().await {
            Err(error) if error.class() == Class::Retry && attempt + 1 < settings.attempts => {
                log_retry(&error);
                let wait = settings.backoff.delay(attempt, ports.ids.fraction());
                ports.clock.sleep(wait).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

fn log_retry(error: &PortError) {
    tracing::debug!(code = error.code(), %error, "trying again");
}
