//! What `docker compose up` does, without containers: the same script makes the resources, the
//! same settings file is read, the documented command shows a snapshot.

use std::process::Command;

use compactor_testkit::cli::{Said, Workdir};
use compactor_testkit::emulator::{endpoint, python};
use compactor_testkit::fixture::directory;
use compactor_testkit::workspace::root;

use crate::COMPACTOR;

/// What the script says of each resource.
fn make_resources(name: &str) -> Vec<String> {
    let output = Command::new(python())
        .arg(root().join("deploy/localstack/init.py"))
        .args(["--endpoint", endpoint(), "--name", name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let outcome = |line: &str| line.rsplit(": ").next().unwrap().to_owned();
    said.lines().map(outcome).collect()
}

#[test]
fn localstack_script_and_settings_make_a_working_deployment() {
    let name = format!("compose-{:016x}", fastrand::u64(..));
    assert_eq!(make_resources(&name), ["made"; 4]);
    assert_eq!(make_resources(&name), ["was there"; 4]);

    let place = Workdir::new(COMPACTOR);
    directory(&place, "delta", "words", 10, 2);
    let settings = root().join("config/localstack.toml");
    let call = |line: &str| {
        let words = line.split_whitespace();
        let mut command = place.command(words);
        command
            .arg("--config")
            .arg(&settings)
            .args(["--data", "work"])
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("CHROMA_COMPACTOR_AWS__ENDPOINT", endpoint())
            .env("CHROMA_COMPACTOR_AWS__BUCKET", &name)
            .env("CHROMA_COMPACTOR_AWS__TABLE", &name)
            .env(
                "CHROMA_COMPACTOR_AWS__QUEUE_URL",
                format!("{}/000000000000/{name}", endpoint()),
            );
        Said::by(&mut command)
    };
    call("submit words=delta").succeeds();
    assert_eq!(call("run --drain --json").json()["completed"], 1);
    let said = call("runs").succeeds();
    assert!(said.stdout.contains("COMPLETED"), "{said}");
}
