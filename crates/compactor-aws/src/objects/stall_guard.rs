//! Stalled downloads. A connection can go on for hours with hardly any bytes, so one that receives too few
//! is replaced by a new one.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::{Bytes, BytesMut};
use compactor_core::ports::{Clock, Fault, PortError, PortResult};
use futures_util::future::{Either, select};

use super::PART_BYTES;
use super::responses::{cut_short, size_of};

/// The bytes that a connection must receive in each window, unless the body ends.
const LEAST: usize = 256 << 10;
/// How many connections a read tries before it fails.
const CONNECTIONS: u32 = 2;

/// Replaces connections that receive less than 256 KiB within `window`.
#[derive(Clone)]
pub(super) struct StallGuard {
    clock: Arc<dyn Clock>,
    window: Duration,
}

/// Why a body did not arrive.
enum Broken {
    Off(ByteStreamError),
    /// Only this number of bytes arrived in the last window.
    Slow(usize),
}

impl StallGuard {
    pub(super) fn new(clock: Arc<dyn Clock>, window: Duration) -> Self {
        Self { clock, window }
    }

    /// Sends a request by `ask`, and returns its answer and the whole body. `None` if `ask` returns that.
    ///
    /// # Errors
    /// Those of `ask`. `Transient` if the answer broke off, or if the last connection stalled too.
    pub(super) async fn read<F>(
        &self,
        operation: &'static str,
        key: &str,
        ask: impl Fn() -> F,
    ) -> PortResult<Option<(GetObjectOutput, Bytes)>>
    where
        F: Future<Output = PortResult<Option<GetObjectOutput>>>,
    {
        let mut connections = 0;
        loop {
            let Some(mut answer) = ask().await? else {
                return Ok(None);
            };
            connections += 1;
            let size = size_of(answer.content_length());
            let came = match self.collect(std::mem::take(&mut answer.body), size).await {
                Ok(body) => return Ok(Some((answer, body))),
                Err(Broken::Off(error)) => return Err(cut_short(operation, key, error)),
                Err(Broken::Slow(came)) => came,
            };
            let window = self.window;
            if connections == CONNECTIONS {
                let reason = format!("only {came} bytes came within {window:?}");
                return Err(PortError::new(operation, key, Fault::Transient, reason));
            }
            // A body that is dropped before its end closes its connection.
            tracing::warn!(
                key,
                "only {came} bytes came within {window:?}: asking for it on a new connection"
            );
        }
    }

    async fn collect(&self, mut body: ByteStream, size: u64) -> Result<Bytes, Broken> {
        let size = usize::try_from(size.min(PART_BYTES)).unwrap_or_default();
        let mut whole = BytesMut::with_capacity(size);
        loop {
            let before = whole.len();
            let mut over = pin!(self.clock.sleep(self.window));
            loop {
                match select(pin!(body.next()), over.as_mut()).await {
                    Either::Left((Some(Ok(bytes)), _)) => whole.extend_from_slice(&bytes),
                    Either::Left((Some(Err(error)), _)) => return Err(Broken::Off(error)),
                    Either::Left((None, _)) => return Ok(whole.freeze()),
                    Either::Right(_) => break,
                }
            }
            let came = whole.len() - before;
            if came < LEAST {
                return Err(Broken::Slow(came));
            }
        }
    }
}

impl fmt::Debug for StallGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StallGuard");
        shown.field("window", &self.window).finish_non_exhaustive()
    }
}
