//! Two hundred runs for three collections, made by real chromadb, merged by four daemons, with
//! duplicates, and with runs and messages that are bad in every way: in the end each good record is
//! in its snapshot as chromadb itself would have it, and each bad run fails.

use std::collections::BTreeMap;

use compactor_core::ports::Depth;
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::deployment::legacy::{Record, python_runs};
use compactor_testkit::process::ended;

use crate::COMPACTOR;

const RUNS: usize = 200;
const COLLECTIONS: [&str; 3] = ["lines", "pages", "words"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_publish_good_records_and_fail_bad_runs() {
    let deployment = Deployment::on(Cloud::new(3).await, COMPACTOR);
    deployment.place.expects(&[
        "CC-MESSAGE-JSON",
        "CC-DELTA-MISSING",
        "CS-ARCHIVE-DAMAGED",
        "CS-DIMENSION",
    ]);
    let out = deployment.place.path("many");
    python_runs(&deployment, &format!("-m many --out many --runs {RUNS}"));
    let file = |name: &str| std::fs::read(out.join(name)).unwrap();
    let runs: BTreeMap<String, Vec<String>> = serde_json::from_slice(&file("runs.json")).unwrap();
    assert_eq!(runs.len(), RUNS);
    for (number, (run, collections)) in runs.iter().enumerate() {
        let prefix = |name: &str| format!("{name}/delta/{run}/");
        let deltas: Vec<_> = collections
            .iter()
            .map(|name| (name.as_str(), prefix(name)))
            .collect();
        for (collection, prefix) in &deltas {
            let archive = file(&format!("{run}-{collection}.tar.gz"));
            deployment
                .put(&format!("{prefix}delta.tar.gz"), archive)
                .await;
        }
        let deltas: Vec<_> = deltas
            .iter()
            .map(|(name, prefix)| (*name, prefix.as_str()))
            .collect();
        deployment.announce(run, &deltas).await;
        if number == 0 {
            // The first run decides the settings of the collections.
            assert_eq!(deployment.drain()["published"], 3);
        } else if number % 4 == 0 {
            deployment.announce(run, &deltas).await;
        }
        if number == RUNS / 2 {
            send_bad_ones(&deployment, &file("wide-words.tar.gz")).await;
        }
    }

    let daemons = [0; 4].map(|_| deployment.spawn_drain());
    for daemon in daemons {
        assert!(ended(daemon).status.success());
    }

    let (bad, good): (Vec<_>, Vec<_>) = deployment
        .parts()
        .into_iter()
        .partition(|(run, ..)| !run.starts_with("run-"));
    assert_eq!(good.len(), runs.values().map(Vec::len).sum::<usize>());
    assert!(
        good.iter().all(|(_, _, state, _)| state == "COMPLETED"),
        "{good:?}"
    );
    let codes: Vec<(&str, &str, &str)> = bad
        .iter()
        .map(|(run, _, state, error)| {
            (
                run.as_str(),
                state.as_str(),
                error.split(':').next().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("corrupt", "FAILED", "CS-ARCHIVE-DAMAGED"),
        ("missing", "FAILED", "CC-DELTA-MISSING"),
        ("wide", "FAILED", "CS-DIMENSION"),
    ];
    assert_eq!(codes, expected);
    let depth = deployment.depth().await;
    assert_eq!(
        depth,
        Depth {
            dead: 4,
            ..Depth::default()
        }
    );
    let mut reasons = deployment.cloud.dead_letter_reasons().await;
    reasons.sort();
    let codes: Vec<&str> = reasons
        .iter()
        .map(|reason| reason.split(':').next().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "CC-DELTA-MISSING",
            "CC-MESSAGE-JSON",
            "CS-ARCHIVE-DAMAGED",
            "CS-DIMENSION"
        ]
    );

    let reference: BTreeMap<String, Vec<Record>> =
        serde_json::from_slice(&file("reference.json")).unwrap();
    for collection in COLLECTIONS {
        let (found, expected) = (
            deployment.read_by_python(collection),
            &reference[collection],
        );
        let ids = |records: &[Record]| records.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(expected), "{collection}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "{collection}");
        }
        // Each run is in the lineage once, whichever daemon merged it.
        let version = deployment.pointer(collection).await.unwrap();
        let manifest = deployment.manifest(collection, &version).await;
        let mut lineage: Vec<&str> = manifest["applied_runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run.as_str().unwrap())
            .collect();
        lineage.sort_unstable();
        let of_collection = runs
            .iter()
            .filter(|(_, names)| names.iter().any(|n| n == collection));
        let expected: Vec<&str> = of_collection.map(|(run, _)| run.as_str()).collect();
        assert_eq!(lineage, expected, "{collection}");
    }
}

/// A message that is not JSON, a missing delta, half an archive, another dimension.
async fn send_bad_ones(deployment: &Deployment, wide: &[u8]) {
    deployment.send("no json", &[("collection", "words")]).await;
    let half = &wide[..wide.len() / 2];
    for (run, archive) in [
        ("missing", None),
        ("corrupt", Some(half)),
        ("wide", Some(wide)),
    ] {
        let prefix = format!("words/delta/{run}/");
        if let Some(archive) = archive {
            deployment
                .put(&format!("{prefix}delta.tar.gz"), archive)
                .await;
        }
        deployment.announce(run, &[("words", &prefix)]).await;
    }
}
