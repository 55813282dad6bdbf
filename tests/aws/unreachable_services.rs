//! Settings that name missing resources, and services that do not answer: what the daemon says, how
//! soon, and how it ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use compactor_testkit::cli::{CONFIGURATION, FAILURE, Said};
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

/// Both with and without a waiting message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_bucket_or_table_is_named_before_anything_is_received() {
    for submitted in [false, true] {
        for (setting, wrong, named) in [
            ("bucket", "no-such-bucket", "s3://no-such-bucket/"),
            ("table", "no-such-table", "table no-such-table"),
        ] {
            let deployment = Deployment::new(COMPACTOR).await;
            if submitted {
                directory(&deployment.place, "w", "words", 3, 2);
                deployment.say("submit words=w").succeeds();
            }
            let name = &deployment.cloud.options.bucket;
            let right = format!("{setting} = \"{name}\"");
            let wrong = format!("{setting} = \"{wrong}\"");
            deployment.change(&right, &wrong);
            for line in ["run --drain", "run"] {
                let said = deployment.say(line);
                said.fails(CONFIGURATION, "CC-PORT-MISSING")
                    .naming(&[named]);
            }
            // No message was received.
            deployment.change(&wrong, &right);
            let drained = deployment.say("run --drain --json").json();
            assert_eq!(drained["completed"], u64::from(submitted));
        }
    }
}

/// An operator who waits learns the cause at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_table_is_named_at_the_first_retry() {
    let deployment = Deployment::new(COMPACTOR).await;
    let table = deployment.cloud.options.table.clone();
    deployment.place.expects(&["CC-PORT-TRANSIENT"]);
    directory(&deployment.place, "w", "words", 3, 2);
    deployment.say("submit words=w").succeeds();
    // As often as the SDK tries before it gives up.
    let left = AtomicUsize::new(3);
    let proxy = Proxy::new(move |head| {
        let is_refused = head.line.contains("DynamoDB_")
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
        match is_refused {
            true => Verdict::Refuse(500, "InternalServerError"),
            false => Verdict::Pass,
        }
    });
    deployment.at(&proxy.endpoint);
    let said = deployment.say("run --drain").succeeds();
    assert!(said.stdout.starts_with("1 runs completed"), "{said}");
    let warned = said.stderr.lines().find(|line| line.contains(" WARN "));
    let warned = warned.unwrap_or_else(|| panic!("{said}"));
    assert!(warned.contains(&format!("of table {table}")), "{warned}");
    assert!(warned.contains("trying again"), "{warned}");
}

/// The fault may pass, so the daemon does not blame the settings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_services_are_a_transient_error_and_not_a_setting() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.at("http://127.0.0.1:9");
    deployment
        .say("run --drain")
        .fails(FAILURE, "CC-PORT-TRANSIENT")
        .naming(&["Connection refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_without_a_region_are_a_configuration_error() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.change("region = \"us-east-1\"\n", "");
    let nowhere = deployment.place.path("nowhere");
    let mut command = deployment.command("run --drain");
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", &nowhere);
    deployment.place.expects(&["config file overridden"]);
    Said::by(&mut command).fails(CONFIGURATION, "CC-AWS-UNNAMED");
}
