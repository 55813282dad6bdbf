//! A put of the pointer that gets no answer for longer than the SDK waits, and arrives after that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compactor_testkit::deadline::Deadline;
use compactor_testkit::fixture::ids;

use super::{answers_to_pointer_puts, submit, with_base};
use crate::proxy::{Proxy, Verdict};

/// The SDK waits a minute for the answer. Then the message comes back, and the daemon puts again.
const SILENCE: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointer_put_that_arrives_after_it_was_repeated_is_refused() {
    let deployment = with_base().await;
    deployment.place.expects(&["CC-SWAP-UNKNOWN"]);
    let is_first = AtomicBool::new(true);
    let proxy = Proxy::new(move |head| {
        match head.puts_pointer() && is_first.swap(false, Ordering::SeqCst) {
            true => Verdict::After(SILENCE),
            false => Verdict::Pass,
        }
    });
    submit(&deployment, "next");
    deployment.at(&proxy.endpoint);
    assert_eq!(deployment.drain()["completed"], 1);
    assert_eq!(answers_to_pointer_puts(&proxy), [200], "the second put");
    let published = deployment.pointer("words").await;
    let deadline = Deadline::in_two_minutes();
    while answers_to_pointer_puts(&proxy).len() < 2 {
        deadline.wait(&"the first put is not answered");
    }
    assert_eq!(answers_to_pointer_puts(&proxy), [200, 412]);
    assert_eq!(deployment.pointer("words").await, published);
    assert_eq!(deployment.part("next", "words").0, "COMPLETED");
    let both = ids(&[("base", 10), ("next", 5)]);
    assert_eq!(deployment.published("words").await, both);
}
