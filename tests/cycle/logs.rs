//! What daemons say at WARN and ERROR. A line that its test does not expect fails the test.

use std::io::{Result, Write};
use std::sync::{Arc, Mutex};

use tracing::{Dispatch, Level, dispatcher};
use tracing_subscriber::fmt::MakeWriter;

/// The lines of all daemons of one world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    expected: Vec<&'static str>,
}

impl Logs {
    /// Lines with one of these `parts` are no failure.
    pub(crate) fn expect(&self, parts: &[&'static str]) {
        self.0.lock().unwrap().expected.extend(parts);
    }

    /// Whether a line has this `part`, of those since unexpected ones were taken.
    pub(crate) fn said(&self, part: &str) -> bool {
        let lines = self.0.lock().unwrap();
        String::from_utf8_lossy(&lines.text).contains(part)
    }

    /// Takes the lines since the last call, and returns those that the test does not expect.
    pub(crate) fn take_unexpected(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap();
        let text = std::mem::take(&mut lines.text);
        let is_unexpected = |line: &&str| !lines.expected.iter().any(|part| line.contains(part));
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .filter(is_unexpected)
            .map(str::to_owned)
            .collect()
    }

    /// A subscriber that writes the lines down.
    pub(crate) fn dispatch(&self) -> Dispatch {
        let logs = tracing_subscriber::fmt()
            .with_max_level(Level::WARN)
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone());
        Dispatch::new(logs.finish())
    }

    /// The same for the other threads of a runtime, which end with it.
    pub(crate) fn on_thread_start(&self) -> impl Fn() + Send + Sync + 'static {
        let dispatch = self.dispatch();
        move || std::mem::forget(dispatcher::set_default(&dispatch))
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().text.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logs {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Expecting one line must not swallow the others.
#[test]
fn unexpected_log_line_is_reported() {
    let logs = Logs::default();
    logs.expect(&["a good reason"]);
    dispatcher::with_default(&logs.dispatch(), || {
        tracing::info!("all is well");
        tracing::warn!("it failed for a good reason");
        tracing::error!(code = "CC-ODD", "it failed");
    });
    let unexpected = logs.take_unexpected();
    assert_eq!(unexpected.len(), 1, "{unexpected:?}");
    assert!(unexpected[0].contains("CC-ODD"), "{unexpected:?}");
}
