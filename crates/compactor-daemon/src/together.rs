//! Calls of ports side by side: each takes milliseconds of waiting, and a batch has hundreds.

use futures_util::StreamExt;
use futures_util::stream;

/// Calls that are under way at the same time.
const AT_ONCE: usize = 16;

/// Makes all calls, no more than a few at a time; gives the outcomes in the order of the calls.
pub(crate) async fn together<F: Future>(calls: Vec<F>) -> Vec<F::Output> {
    stream::iter(calls).buffered(AT_ONCE).collect().await
}
