//! Proxies and certificate authorities that the environment names, as for the AWS CLI.

mod tunnel;

use std::process::Command;

use compactor_testkit::cli::{CONFIGURATION, FAILURE, Said};
use compactor_testkit::deployment::Deployment;
use compactor_testkit::emulator::endpoint;
use compactor_testkit::fixture::{directory, ids};

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};
use crate::stub::{Answer, Stub};
use tunnel::Tunnel;

/// A host name that only the proxies of these tests resolve.
const SERVICES: &str = "services.invalid";

/// Submits a run and drains the queue with commands that `change` adapts.
async fn assert_run_completes(deployment: &Deployment, change: impl Fn(&mut Command)) {
    directory(&deployment.place, "delta", "words", 4, 3);
    for line in ["submit words=delta --run-id r", "run --drain"] {
        let mut command = deployment.command(line);
        change(&mut command);
        Said::by(&mut command).succeeds();
    }
    assert_eq!(deployment.part("r", "words").0, "COMPLETED");
    assert_eq!(deployment.published("words").await, ids(&[("delta", 4)]));
}

/// Sets the endpoint of the commands to `address`; the assertions ask the services directly.
fn with_endpoint(address: &str) -> impl Fn(&mut Command) {
    move |command| {
        command.env("CHROMA_COMPACTOR_AWS__ENDPOINT", address);
    }
}

/// The AWS CLI takes its endpoint from there too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoint_is_taken_from_the_sdk_environment() {
    let deployment = Deployment::new(COMPACTOR).await;
    let named = format!("endpoint = \"{}\"\n", endpoint());
    deployment.change(&named, "");
    directory(&deployment.place, "delta", "words", 4, 3);
    for line in ["submit words=delta --run-id r", "run --drain"] {
        let mut command = deployment.command(line);
        command.env("AWS_ENDPOINT_URL", endpoint());
        Said::by(&mut command).succeeds();
    }
    deployment.change("region =", &format!("{named}region ="));
    assert_eq!(deployment.part("r", "words").0, "COMPLETED");
    assert_eq!(deployment.published("words").await, ids(&[("delta", 4)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_requests_go_through_the_configured_proxy() {
    let deployment = Deployment::new(COMPACTOR).await;
    let proxy = Proxy::new(|_| Verdict::Pass);
    assert_run_completes(&deployment, |command| {
        with_endpoint(&format!("http://{SERVICES}"))(command);
        command.env("HTTP_PROXY", &proxy.endpoint);
    })
    .await;
    let seen = proxy.seen();
    let of_services = format!(" http://{SERVICES}/");
    assert!(
        seen.iter().all(|line| line.contains(&of_services)),
        "{seen:#?}"
    );
    assert!(!seen.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_in_no_proxy_are_reached_directly() {
    let deployment = Deployment::new(COMPACTOR).await;
    let proxy = Proxy::new(|_| Verdict::Pass);
    assert_run_completes(&deployment, |command| {
        command.env("http_proxy", &proxy.endpoint);
        command.env("no_proxy", "example.org,127.0.0.1,localhost");
    })
    .await;
    assert_eq!(proxy.seen(), [""; 0]);
    // Without the exception they go through the proxy.
    let mut command = deployment.command("runs");
    command.env("http_proxy", &proxy.endpoint);
    Said::by(&mut command).succeeds();
    assert!(!proxy.seen().is_empty(), "{}", endpoint());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_requests_go_through_a_tunnel_and_trust_the_ca_bundle_alone() {
    let deployment = Deployment::new(COMPACTOR).await;
    let tunnel = Tunnel::new(SERVICES);
    deployment
        .place
        .write("authorities.pem", &format!("Ours:\n{}", tunnel.certificate));
    let secured = |command: &mut Command| {
        with_endpoint(&format!("https://{SERVICES}"))(command);
        command.env("HTTPS_PROXY", &tunnel.address);
    };
    assert_run_completes(&deployment, |command| {
        secured(command);
        command.env("AWS_CA_BUNDLE", "authorities.pem");
    })
    .await;
    let asked = format!("CONNECT {SERVICES}:443 HTTP/1.1");
    let seen = tunnel.seen();
    assert!(seen.iter().all(|line| *line == asked), "{seen:?}");
    assert!(!seen.is_empty());
    let mut stranger = deployment.command("runs");
    secured(&mut stranger);
    let said = Said::by(&mut stranger);
    said.fails(FAILURE, "CC-PORT-TRANSIENT")
        .naming(&["certificate"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn container_credentials_are_fetched_without_the_proxy() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["config file overridden"]);
    let proxy = Proxy::new(|_| Verdict::Pass);
    let credentials = r#"{"AccessKeyId":"test","SecretAccessKey":"test","Token":"test","Expiration":"2099-01-01T00:00:00Z"}"#;
    let answers = (0..2).map(|_| {
        let headers = "Content-Type: application/json\r\n";
        Answer::Is(200, headers, credentials.to_owned())
    });
    let container = Stub::new(answers).await;
    let nowhere = deployment.place.path("nowhere");
    assert_run_completes(&deployment, |command| {
        with_endpoint(&format!("http://{SERVICES}"))(command);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        let address = format!("{}/credentials", container.endpoint);
        command
            .env("AWS_CONFIG_FILE", &nowhere)
            .env("AWS_SHARED_CREDENTIALS_FILE", &nowhere)
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
            .env("HTTP_PROXY", &proxy.endpoint);
    })
    .await;
    assert_eq!(container.requests(), 2, "once for each command");
    let seen = proxy.seen();
    assert!(
        !seen.iter().any(|line| line.contains("/credentials")),
        "{seen:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_proxy_or_ca_bundle_is_a_configuration_error() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.write("empty.pem", "no certificate\n");
    for (variable, value, named) in [
        (
            "AWS_CA_BUNDLE",
            "nowhere.pem",
            "AWS_CA_BUNDLE: nowhere.pem: ",
        ),
        ("AWS_CA_BUNDLE", "empty.pem", "AWS_CA_BUNDLE: empty.pem: "),
        ("HTTPS_PROXY", "http://proxy:port", "HTTPS_PROXY: "),
        ("https_proxy", "socks5://proxy", "https_proxy: "),
        ("HTTP_PROXY", "http://the proxy", "HTTP_PROXY: "),
    ] {
        for line in ["config check", "run --drain"] {
            let mut command = deployment.command(line);
            command.env(variable, value);
            let said = Said::by(&mut command);
            said.fails(CONFIGURATION, "CC-AWS-ENVIRONMENT")
                .naming(&[named]);
        }
    }
}
