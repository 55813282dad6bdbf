//! A server that runs beside the tests, and ends with them.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::{TaskError, root};
use crate::python::environment;

/// Where the tests for AWS look for the services; without it they start MiniStack themselves.
pub(crate) const ENDPOINT: &str = "CHROMA_AWS_ENDPOINT";

const PATIENCE: Duration = Duration::from_secs(120);
/// How long its end may take.
const LAST_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// A running emulator of AWS.
pub(crate) struct Emulator {
    process: Child,
    /// Its address, with `http://`.
    pub(crate) endpoint: String,
}

/// MiniStack, from its environment.
pub(crate) fn ministack() -> Result<Emulator, TaskError> {
    let folder = environment("ministack");
    let log = folder.join("log.txt");
    Emulator::start("MiniStack", &log, |port| {
        let mut command = Command::new(folder.join("bin/ministack"));
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("SERVICES", "s3,sqs,dynamodb,dynamodbstreams")
            .env("LOG_LEVEL", "ERROR");
        command
    })
}

impl Emulator {
    /// Starts what `command` makes for a free port, and waits until it listens there.
    #[expect(clippy::disallowed_methods, reason = "a process starts in real time")]
    pub(crate) fn start(
        program: &'static str,
        log: &Path,
        command: impl FnOnce(u16) -> Command,
    ) -> Result<Self, TaskError> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let output = fs_err::File::create(log)?;
        eprintln!("==> {program} on {address}");
        let process = command(port)
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(output.file().try_clone()?)
            .stderr(output.into_file())
            .spawn()
            .map_err(|source| TaskError::Start {
                command: program.to_owned(),
                source,
            })?;
        let mut server = Self {
            process,
            endpoint: format!("http://{address}"),
        };
        let began = Instant::now();
        while TcpStream::connect(&address).is_err() {
            let has_ended = !matches!(server.process.try_wait(), Ok(None));
            if has_ended || began.elapsed() > PATIENCE {
                let log = PathBuf::from(log);
                return Err(TaskError::Silent { program, log });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(server)
    }
}

impl Drop for Emulator {
    #[expect(clippy::disallowed_methods, reason = "a process ends in real time")]
    fn drop(&mut self) {
        // Asked first, so that it takes its own child with it. It may wait for ever for the rest of
        // a request that nobody sends any more.
        let children = children(&self.process);
        send(Pid::from_child(&self.process), Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < LAST_PATIENCE {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        children
            .into_iter()
            .for_each(|child| send(child, Signal::KILL));
    }
}

/// The processes that it started and that are still there.
fn children(process: &Child) -> Vec<Pid> {
    let tasks = Path::new("/proc")
        .join(process.id().to_string())
        .join("task");
    let threads = std::fs::read_dir(tasks).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")));
    let children = lists.map_while(Result::ok).flat_map(|list| {
        let pids = list.split_whitespace().map(str::parse);
        pids.flatten().collect::<Vec<i32>>()
    });
    children.filter_map(Pid::from_raw).collect()
}

fn send(process: Pid, signal: Signal) {
    // Who is gone already needs none.
    let _ = kill_process(process, signal);
}
