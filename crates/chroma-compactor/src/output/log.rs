//! A thread of its own writes the log to standard error, so that a slow reader of the log cannot hold up the
//! work. Up to a bound, lines wait for the reader; further ones are dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use compactor_core::escape::{is_obeyed, without_passwords};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use super::says_json_lines;

/// The metric that counts dropped lines.
const DROPPED: &str = "CompactionLogLinesDropped";
/// How long the end of the process waits for the log's reader.
const PATIENCE: Duration = Duration::from_secs(3);

/// The log of this process, with the guard of its thread. A guard that is dropped waits for about a
/// second, and may print to standard output. [`Log::end`] waits in its place: a static is never dropped.
static LOG: OnceLock<(Log, WorkerGuard)> = OnceLock::new();

/// The log: it takes lines without waiting for their reader.
#[derive(Clone)]
pub(crate) struct Log {
    lines: NonBlocking,
    counts: Arc<Counts>,
    bound: usize,
}

#[derive(Default)]
struct Counts {
    /// Lines handed to the log, the dropped ones included.
    queued: AtomicUsize,
    written: Mutex<usize>,
    more_written: Condvar,
    /// Dropped lines that the log has reported.
    told: AtomicUsize,
    dropped: OnceLock<ErrorCounter>,
}

/// What the log's thread writes to.
struct StandardError(Arc<Counts>);

impl Log {
    /// Starts the log. At most `bound` lines wait for the reader. A second call returns the same log.
    pub(crate) fn start(bound: usize) -> &'static Self {
        let (log, _) = LOG.get_or_init(|| {
            let counts = Arc::<Counts>::default();
            let (lines, guard) = NonBlockingBuilder::default()
                .buffered_lines_limit(bound)
                .thread_name("log")
                .finish(StandardError(Arc::clone(&counts)));
            let _ = counts.dropped.set(lines.error_counter());
            let log = Self {
                lines,
                counts,
                bound,
            };
            (log, guard)
        });
        log
    }

    /// The log, if [`Log::start`] was called.
    pub(crate) fn get() -> Option<&'static Self> {
        LOG.get().map(|(log, _)| log)
    }

    /// Whether the queue of waiting lines is more than half full: then whatever can wait should.
    pub(crate) fn is_behind(&self) -> bool {
        let written = *lock(&self.counts.written);
        self.counts.accepted().saturating_sub(written) > self.bound / 2
    }

    /// Waits until every line is written, for three seconds at most: the reader may have stopped.
    pub(crate) fn end(&self) {
        if self.counts.wait() {
            self.counts.tell();
            self.counts.wait();
        }
    }
}

impl Counts {
    fn dropped(&self) -> usize {
        self.dropped.get().map_or(0, ErrorCounter::dropped_lines)
    }

    /// Lines that are written or will be.
    fn accepted(&self) -> usize {
        let queued = self.queued.load(Ordering::SeqCst);
        queued.saturating_sub(self.dropped())
    }

    /// Waits until the lines accepted so far are written. Returns whether they are.
    fn wait(&self) -> bool {
        let accepted = self.accepted();
        let waited =
            self.more_written
                .wait_timeout_while(lock(&self.written), PATIENCE, |written| *written < accepted);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Reports the lines that were dropped since the last report.
    fn tell(&self) {
        let total = self.dropped();
        let told = self.told.fetch_max(total, Ordering::SeqCst);
        let dropped = total.saturating_sub(told);
        if dropped > 0 {
            metrics::counter!(DROPPED).increment(u64::try_from(dropped).unwrap_or(u64::MAX));
            tracing::warn!(
                dropped,
                total,
                "lines of the log were dropped: its reader was too slow"
            );
        }
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.counts.queued.fetch_add(1, Ordering::SeqCst);
        match says_json_lines() {
            true => self.lines.write_all(harmless_json(line).as_bytes())?,
            false => self.lines.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Masks the passwords of addresses in a line of JSON, and escapes control characters that JSON allows and a
/// terminal obeys.
fn harmless_json(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = without_passwords(&text);
    let mut harmless = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_obeyed(letter) && letter != '\n' {
            true => harmless.push_str(&format!("\\u{:04x}", u32::from(letter))),
            false => harmless.push(letter),
        }
    }
    harmless
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Writes one line. A line that cannot be written is lost.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let written = io::stderr().write_all(line);
        *lock(&self.0.written) += 1;
        self.0.more_written.notify_all();
        written
    }

    /// The thread calls this when no line waits: the reader has caught up.
    fn flush(&mut self) -> io::Result<()> {
        self.0.tell();
        Ok(())
    }
}

fn lock(count: &Mutex<usize>) -> std::sync::MutexGuard<'_, usize> {
    // A panic cannot leave a number half-changed.
    count.lock().unwrap_or_else(PoisonError::into_inner)
}
