//! An emulator of AWS that runs beside the tests, and ends with them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::command::{TaskError, root};
use crate::python::environment;

/// The environment variable that tells the tests for AWS the address of the emulator. Without it,
/// `compactor_testkit::emulator` starts MiniStack for them.
pub(crate) const ENDPOINT: &str = "CHROMA_AWS_ENDPOINT";

/// A shell script that ends the emulator when its standard input is closed: that happens however this process
/// ends.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null 3<&- & child=$!
{ read -r _ <&3; kill "$child"; } &
wait "$child""#;

/// How long the emulator may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the emulator may take to end.
const LAST_PATIENCE: Duration = Duration::from_secs(20);
/// The wait between two looks at the emulator.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A running emulator of AWS.
pub(crate) struct Emulator {
    keeper: Child,
    /// Its address, such as `http://127.0.0.1:4566`.
    pub(crate) endpoint: String,
}

/// Starts MiniStack from its environment.
///
/// # Errors
/// It cannot be started, or does not answer in time.
pub(crate) fn ministack() -> Result<Emulator, TaskError> {
    let folder = environment("ministack");
    let program = [folder.join("bin/ministack")];
    Emulator::start("MiniStack", &folder.join("log.txt"), &program, |port| {
        let text = str::to_owned;
        vec![
            ("BIND_HOST", text("127.0.0.1")),
            ("GATEWAY_PORT", port.to_string()),
            ("SERVICES", text("s3,sqs,dynamodb,dynamodbstreams")),
            ("LOG_LEVEL", text("ERROR")),
        ]
    })
}

impl Emulator {
    /// Starts an emulator on a free port, and waits until it answers that it is ready. `settings` returns the
    /// environment variables that make it listen on a port. Its output goes to the file `log`.
    ///
    /// # Errors
    /// It cannot be started, ends, or does not answer in time.
    #[expect(clippy::disallowed_methods, reason = "a process starts in real time")]
    pub(crate) fn start(
        name: &'static str,
        log: &Path,
        program: &[PathBuf],
        settings: impl FnOnce(u16) -> Vec<(&'static str, String)>,
    ) -> Result<Self, TaskError> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let output = fs_err::File::create(log)?;
        eprintln!("==> {name} on {address}");
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .args(program)
            .envs(settings(port))
            .current_dir(root())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.file().try_clone()?)
            .stderr(output.into_file())
            .spawn()
            .map_err(|source| TaskError::Start {
                command: name.to_owned(),
                source,
            })?;
        let mut emulator = Self {
            keeper,
            endpoint: format!("http://{address}"),
        };
        let began = Instant::now();
        while !is_well(&address) {
            let log = PathBuf::from(log);
            if !matches!(emulator.keeper.try_wait(), Ok(None)) {
                return Err(TaskError::Ended { program: name, log });
            }
            if began.elapsed() > PATIENCE {
                return Err(TaskError::Silent { program: name, log });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(emulator)
    }
}

/// Whether an emulator answers. Both have this address for it.
fn is_well(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(
            b"GET /_localstack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(" 200 "))
}

impl Drop for Emulator {
    #[expect(clippy::disallowed_methods, reason = "a process ends in real time")]
    fn drop(&mut self) {
        let group = Pid::from_child(&self.keeper);
        // Asked to end, it ends its own children first. LocalStack may never stop waiting for the rest of a
        // request whose sender has gone.
        drop(self.keeper.stdin.take());
        let asked = Instant::now();
        while matches!(self.keeper.try_wait(), Ok(None)) && asked.elapsed() < LAST_PATIENCE {
            std::thread::sleep(PAUSE);
        }
        // Processes of the group that are still running.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.keeper.wait();
    }
}
