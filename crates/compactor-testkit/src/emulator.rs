//! The emulator of S3, SQS and DynamoDB.
//!
//! All tests of a process share one: MiniStack, which starts with the first of them, or the one that
//! `CHROMA_AWS_ENDPOINT` names.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::workspace::venvs;

const PATIENCE: Duration = Duration::from_secs(60);
/// Ends the emulator when the tests end, however they do: then its standard input is closed.
const KEEPER: &str = r#""$0" & child=$!; read -r _; kill "$child"; wait "$child""#;

/// Kept, so that the standard input of the process stays open.
struct Emulator {
    endpoint: String,
    _keeper: Option<Child>,
}

/// The address of the services, with `http://`. Starts the emulator if it does not run yet.
pub fn endpoint() -> &'static str {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    &EMULATOR
        .get_or_init(|| match std::env::var("CHROMA_AWS_ENDPOINT") {
            Ok(endpoint) => Emulator {
                endpoint,
                _keeper: None,
            },
            Err(_) => start(),
        })
        .endpoint
}

/// Whether an upload that breaks off leaves the object alone that it would have replaced, as S3
/// does. LocalStack 4.14.0 destroys it: it looks at the checksum after it wrote.
pub fn keeps_what_half_an_upload_would_replace() -> bool {
    static KEEPS: OnceLock<bool> = OnceLock::new();
    *KEEPS.get_or_init(|| {
        let answer = health(endpoint().trim_start_matches("http://")).unwrap();
        !answer.contains("x-localstack:")
    })
}

/// A program of the emulator's environment.
fn program(name: &str) -> PathBuf {
    let program = venvs().join("ministack/bin").join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo xtask test`",
        program.display()
    );
    program
}

/// The path of a Python interpreter with botocore.
pub fn python() -> PathBuf {
    program("python")
}

fn start() -> Emulator {
    let program = program("ministack");
    let port = free_port();
    let keeper = Command::new("sh")
        .args(["-c", KEEPER])
        .arg(program)
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("SERVICES", "s3,sqs,dynamodb,dynamodbstreams")
        .env("LOG_LEVEL", "ERROR")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(port);
    Emulator {
        endpoint: format!("http://127.0.0.1:{port}"),
        _keeper: Some(keeper),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[expect(clippy::disallowed_methods, reason = "a process starts in real time")]
fn wait_for(port: u16) {
    let began = Instant::now();
    while !is_healthy(port) {
        assert!(began.elapsed() < PATIENCE, "the emulator does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_healthy(port: u16) -> bool {
    health(&format!("127.0.0.1:{port}")).is_ok_and(|answer| answer.contains(" 200 "))
}

/// The emulator's answer to a health check.
fn health(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(
        b"GET /_localstack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
