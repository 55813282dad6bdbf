use proptest::prelude::*;

use super::*;
use crate::ports::{Attributes, WallTime};
use crate::{CollectionName, RunKey};

fn name(text: &str) -> CollectionName {
    text.parse().unwrap()
}

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn run_of(body: &str, pairs: &[(&str, &str)]) -> CompactionMessage {
    match decode(body, &attributes(pairs)).unwrap() {
        Decoded::Run(message) => message,
        other => panic!("{other:?}"),
    }
}

fn code_of(body: &str, pairs: &[(&str, &str)]) -> &'static str {
    decode(body, &attributes(pairs)).unwrap_err().error.code()
}

const EXISTING: &str = concat!(
    r#"{"source":"dynamodb_stream","entity_type":"COMPACTION_RUN","#,
    r#""entity_data":{"run_id":"3f0c9d52","image_id":"7e2bd911","receipt_id":1,"#,
    r#""lines_delta_prefix":"lines/delta/3f0c9d52/","words_delta_prefix":"words/delta/3f0c9d52/","#,
    r#""delta_s3_prefix":"lines/delta/3f0c9d52/"},"#,
    r#""changes":{},"event_name":"INSERT","timestamp":"2026-11-21T00:11:47.918955+00:00","#,
    r#""stream_record_id":"c81e728d","aws_region":"us-east-1"}"#
);

fn key() -> RunKey {
    RunKey {
        run_id: "3f0c9d52".parse().unwrap(),
        image_id: "7e2bd911".to_owned(),
        receipt_id: 1,
    }
}

#[test]
fn message_body_is_byte_for_byte_that_of_the_python_writer() {
    let deltas = [
        (name("lines"), "lines/delta/3f0c9d52/".to_owned()),
        (name("words"), "words/delta/3f0c9d52/".to_owned()),
    ];
    let announcement = Announcement {
        key: &key(),
        deltas: &deltas,
        at: WallTime::parse_iso("2026-11-21T00:11:47.918955+00:00").unwrap(),
        region: "us-east-1",
        stream_record_id: "c81e728d",
    };
    let (body, sent) = encode(&announcement, &name("lines")).unwrap();
    assert_eq!(body, EXISTING);
    assert_eq!(
        sent,
        attributes(&[
            ("source", "dynamodb_stream"),
            ("entity_type", "COMPACTION_RUN"),
            ("event_name", "INSERT"),
            ("collection", "lines"),
        ])
    );
    let error = encode(&announcement, &name("other")).unwrap_err();
    assert_eq!(error.code(), "CC-MESSAGE-NO-PREFIX");
}

#[test]
fn message_of_the_python_writer_is_read() {
    let message = run_of(
        EXISTING,
        &[("collection", "words"), ("source", "dynamodb_stream")],
    );
    assert_eq!(message.key, key());
    assert_eq!(message.collection, name("words"));
    assert_eq!(message.delta_prefix, "words/delta/3f0c9d52/");
    assert_eq!(message.location.prefix, "words/delta/3f0c9d52/");
    assert_eq!(message.attributes["source"], "dynamodb_stream");
}

#[test]
fn delta_prefix_gives_the_collection_if_the_attribute_is_missing() {
    assert_eq!(run_of(EXISTING, &[]).collection, name("lines"));
    let ambiguous = r#"{"entity_type":"COMPACTION_RUN","entity_data":{"run_id":"r",
        "lines_delta_prefix":"x/y/z","words_delta_prefix":"x/y/z","delta_s3_prefix":"x/y/z"}}"#;
    assert_eq!(code_of(ambiguous, &[]), "CC-MESSAGE-NO-COLLECTION");
    let silent = r#"{"entity_type":"COMPACTION_RUN","entity_data":{"run_id":"r",
        "lines_delta_prefix":"x/y/z"}}"#;
    assert_eq!(code_of(silent, &[]), "CC-MESSAGE-NO-COLLECTION");
}

#[test]
fn own_prefix_counts_only_if_it_begins_with_the_collections_name() {
    let body = |prefix: &str| {
        format!(
            r#"{{"entity_type":"COMPACTION_RUN",
                "entity_data":{{"run_id":"r","delta_s3_prefix":"{prefix}"}}}}"#
        )
    };
    let lines = [("collection", "lines")];
    let bare = run_of(&body("lines/delta/r"), &lines);
    assert_eq!(bare.location.prefix, "lines/delta/r/");
    assert_eq!((bare.key.image_id.as_str(), bare.key.receipt_id), ("r", 1));
    let full = run_of(&body("s3://bucket/lines/delta/r/"), &lines);
    assert_eq!(full.location.bucket.as_deref(), Some("bucket"));
    for foreign in [
        "words/delta/r/",
        "lines2/delta/r/",
        "intermediate/b/chunk-1/",
        "",
    ] {
        assert_eq!(
            code_of(&body(foreign), &lines),
            "CC-MESSAGE-NO-PREFIX",
            "{foreign}"
        );
    }
}

#[test]
fn message_of_another_entity_or_event_is_ignored() {
    for (entity, event) in [
        ("RECEIPT_WORD_LABEL", "INSERT"),
        ("RECEIPT", "MODIFY"),
        ("INVOICE", "REMOVE"),
        ("COMPACTION_RUN", "MODIFY"),
        ("COMPACTION_RUN", "REMOVE"),
    ] {
        let body =
            format!(r#"{{"entity_type":"{entity}","event_name":"{event}","entity_data":{{}}}}"#);
        let expected = Decoded::Ignored {
            entity_type: entity.to_owned(),
            event_name: event.to_owned(),
        };
        assert_eq!(decode(&body, &Attributes::new()).unwrap(), expected);
    }
}

#[test]
fn each_error_of_a_message_has_its_code() {
    let lines = [("collection", "lines")];
    let with =
        |entity: &str| format!(r#"{{"entity_type":"COMPACTION_RUN","entity_data":{entity}}}"#);
    for (body, code) in [
        ("not json".to_owned(), "CC-MESSAGE-JSON"),
        ("[]".to_owned(), "CC-MESSAGE-JSON"),
        ("{}".to_owned(), "CC-MESSAGE-MISSING"),
        (
            r#"{"delta_key":"lines/delta/x/","collection":"lines"}"#.to_owned(),
            "CC-MESSAGE-MISSING",
        ),
        (r#"{"entity_type":7}"#.to_owned(), "CC-MESSAGE-FIELD"),
        (with("null"), "CC-MESSAGE-MISSING"),
        (with("[]"), "CC-MESSAGE-FIELD"),
        (with("{}"), "CC-MESSAGE-MISSING"),
        (with(r#"{"run_id":"a/b"}"#), "CC-MESSAGE-RUN-ID"),
        (with(r#"{"run_id":"r","receipt_id":0}"#), "CC-MESSAGE-FIELD"),
        (
            with(r#"{"run_id":"r","receipt_id":"1"}"#),
            "CC-MESSAGE-FIELD",
        ),
        (with(r#"{"run_id":"r"}"#), "CC-MESSAGE-NO-PREFIX"),
        (
            with(r#"{"run_id":"r","lines_delta_prefix":"lines/delta/"}"#),
            "CC-MESSAGE-PREFIX",
        ),
        (
            with(r#"{"run_id":"r","lines_delta_prefix":"lines/../x/y"}"#),
            "CC-MESSAGE-PREFIX",
        ),
    ] {
        assert_eq!(code_of(&body, &lines), code, "{body}");
    }
    assert_eq!(
        code_of(EXISTING, &[("collection", "../x")]),
        "CC-MESSAGE-COLLECTION"
    );
    let error = decode(&with("{}"), &attributes(&lines)).unwrap_err();
    assert_eq!(
        error.error.to_string(),
        "field entity_data.run_id is missing"
    );
    assert!(error.about.is_none());
    let other = r#"{"run_id": "r", "lines_delta_prefix": "../x"}"#;
    let error = decode(&with(other), &attributes(&lines)).unwrap_err();
    let (key, collection) = *error.about.unwrap();
    assert_eq!((key.run_id.as_str(), collection.as_str()), ("r", "lines"));
}

proptest! {
    #[test]
    fn encoded_message_is_decoded_to_the_same(
        run in "[A-Za-z0-9][A-Za-z0-9._-]{0,40}",
        image in "\\PC{1,20}",
        receipt in 1u64..=1 << 53,
        names in proptest::collection::btree_set("[a-z0-9][a-z0-9_-]{1,20}[a-z0-9]", 1..5),
    ) {
        let key = RunKey { run_id: run.parse().unwrap(), image_id: image, receipt_id: receipt };
        let deltas: Vec<_> = names
            .iter()
            .map(|c| (name(c), crate::keys::delta_prefix(&name(c), &key.run_id)))
            .collect();
        let announcement = Announcement {
            key: &key, deltas: &deltas, at: WallTime(0), region: "local", stream_record_id: "0",
        };
        for (collection, prefix) in &deltas {
            let (body, sent) = encode(&announcement, collection).unwrap();
            let Decoded::Run(message) = decode(&body, &sent).unwrap() else { panic!("ignored") };
            prop_assert_eq!(&message.key, &key);
            prop_assert_eq!(&message.collection, collection);
            prop_assert_eq!(&message.delta_prefix, prefix);
            prop_assert_eq!(&run_of(&body, &[]).collection, collection);
        }
    }

    #[test]
    fn arbitrary_body_does_not_make_the_message_decoder_panic(body in "\\PC{0,60}") {
        let _ = decode(&body, &Attributes::new());
    }
}

/// A record as a pipe from the table's stream delivers it.
fn stream_record(event: &str, image: &str) -> String {
    format!(
        r#"{{"eventID":"c81e728d9d4c2f636f067f89cc14862c","eventName":"{event}","eventVersion":"1.1",
        "eventSource":"aws:dynamodb","awsRegion":"eu-central-1","dynamodb":{{"ApproximateCreationDateTime":1795219200,
        "Keys":{{"PK":{{"S":"IMAGE#7e2bd911"}}}},"NewImage":{image},"SequenceNumber":"1","StreamViewType":"NEW_AND_OLD_IMAGES"}}}}"#
    )
}

const INSERTED: &str = r#"{"TYPE":{"S":"COMPACTION_RUN"},"run_id":{"S":"3f0c9d52"},
    "image_id":{"S":"7e2bd911"},"receipt_id":{"N":"1"},"lines_error":{"NULL":true},
    "lines_delta_prefix":{"S":"lines/delta/3f0c9d52/"},"lines_state":{"S":"PENDING"},
    "words_delta_prefix":{"S":"words/delta/3f0c9d52/"}}"#;

#[test]
fn stream_record_of_an_insert_announces_every_collection() {
    let decoded = decode(&stream_record("INSERT", INSERTED), &attributes(&[])).unwrap();
    let Decoded::Inserted(mut run) = decoded else {
        panic!("{decoded:?}");
    };
    run.deltas.sort();
    let delta = |name: &str| (name.parse().unwrap(), format!("{name}/delta/3f0c9d52/"));
    assert_eq!(run.key, key());
    assert_eq!(run.deltas, ["lines", "words"].map(delta));
    assert_eq!(run.region, "eu-central-1");
}

#[test]
fn stream_record_of_another_change_is_ignored() {
    let other = INSERTED.replace("COMPACTION_RUN", "RECEIPT");
    for body in [
        stream_record("MODIFY", INSERTED),
        stream_record("REMOVE", "null"),
        stream_record("INSERT", &other),
    ] {
        let decoded = decode(&body, &attributes(&[])).unwrap();
        assert!(matches!(decoded, Decoded::Ignored { .. }), "{decoded:?}");
    }
}

#[test]
fn inserted_run_without_deltas_is_refused() {
    let body = stream_record("INSERT", &INSERTED.replace("_delta_prefix", "_else"));
    assert_eq!(code_of(&body, &[]), "CC-MESSAGE-MISSING");
}

#[test]
fn message_that_the_python_compactor_acts_on_is_unhandled() {
    for (entity, event) in [
        ("RECEIPT_PLACE", "MODIFY"),
        ("RECEIPT_WORD_LABEL", "REMOVE"),
        ("RECEIPT_SECTION", "INSERT"),
        ("RECEIPT", "REMOVE"),
        ("RECEIPT_LINE", "REMOVE"),
        ("RECEIPT_WORD", "REMOVE"),
    ] {
        let body = format!(r#"{{"entity_type":"{entity}","event_name":"{event}"}}"#);
        let decoded = decode(&body, &attributes(&[])).unwrap();
        assert!(matches!(decoded, Decoded::Unhandled { .. }), "{decoded:?}");
    }
}

#[test]
fn envelope_of_a_service_is_removed_from_a_message() {
    let run = r#"{"entity_type":"COMPACTION_RUN","entity_data":{"run_id":"r",
        "lines_delta_prefix":"lines/delta/r/"}}"#;
    let notified = |message: &str, attributes: serde_json::Value| {
        serde_json::json!({
            "Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:runs",
            "Message": message, "MessageAttributes": attributes,
        })
        .to_string()
    };
    let lines = serde_json::json!({"collection": {"Type": "String", "Value": "lines"}});
    let event = |detail: &str| {
        let detail: serde_json::Value = serde_json::from_str(detail).unwrap();
        serde_json::json!({"version": "0", "detail-type": "run", "source": "x", "detail": detail})
            .to_string()
    };
    for (body, pairs) in [
        (notified(run, lines.clone()), &[][..]),
        (
            notified(run, serde_json::json!({})),
            &[("collection", "lines")],
        ),
        (event(run), &[("collection", "lines")]),
        (notified(&event(run), lines), &[]),
    ] {
        let decoded = decode(&body, &attributes(pairs)).unwrap();
        let Decoded::Run(message) = decoded else {
            panic!("{decoded:?}");
        };
        assert_eq!(message.collection.as_str(), "lines");
        assert_eq!(message.key.run_id.as_str(), "r");
    }
    let record = event(&stream_record("INSERT", INSERTED));
    let decoded = decode(&record, &attributes(&[])).unwrap();
    assert!(matches!(decoded, Decoded::Inserted(_)), "{decoded:?}");
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#;
    let decoded = decode(test, &attributes(&[])).unwrap();
    assert!(matches!(decoded, Decoded::Ignored { .. }), "{decoded:?}");
    let elsewhere = r#"["software.amazon.payloadoffloading.PayloadS3Pointer",
        {"s3BucketName":"b","s3Key":"k"}]"#;
    assert_eq!(code_of(elsewhere, &[]), "CC-MESSAGE-OFFLOADED");
    let of_first_client = elsewhere.replace(
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        "com.amazon.sqs.javamessaging.MessageS3Pointer",
    );
    assert_eq!(code_of(&of_first_client, &[]), "CC-MESSAGE-OFFLOADED");
    assert_eq!(
        code_of(&notified("no json", serde_json::json!({})), &[]),
        "CC-MESSAGE-JSON"
    );
}
