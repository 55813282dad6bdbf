//! The JSON in `embeddings_queue.metadata`.

use serde_json::{Map, Value};

use super::Patch;
use crate::records::{DOCUMENT_KEY, MetadataValue};

/// Reads a payload. NULL changes nothing; a null value deletes its key.
pub(super) fn decode(text: Option<&str>) -> Result<Patch, String> {
    let Some(text) = text else {
        return Ok(Patch::new());
    };
    let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let Value::Object(entries) = value else {
        return Err("its metadata is not a JSON object".to_owned());
    };
    entries
        .into_iter()
        .map(|(key, value)| match value {
            Value::Null => Ok((key, None)),
            value => match MetadataValue::from_json(value) {
                Ok(value) => Ok((key, Some(value))),
                Err(reason) => Err(format!("its metadata key `{key}` holds {reason}")),
            },
        })
        .collect()
}

/// Python writes lone surrogates, NaN and Infinity, which are not JSON.
fn not_json(error: &serde_json::Error) -> String {
    let error = error.to_string();
    if error.contains("hex escape") {
        return format!(
            "its metadata holds half of a surrogate pair, which is no character: {error}"
        );
    }
    format!("its metadata is not JSON (NaN and Infinity are not): {error}")
}

/// Writes a payload. No change gives `{}`, as in chromadb 1.x; 0.x reads it as well.
///
/// chromadb 0.x logs a removed document as null, and every call of 1.x panics on such a row. The
/// removal is applied before the row is written, so this leaves the key out.
pub(crate) fn encode(patch: &Patch) -> String {
    let entries: Map<String, Value> = patch
        .iter()
        .filter(|(key, value)| value.is_some() || key != DOCUMENT_KEY)
        .map(|(key, value)| {
            (
                key.clone(),
                value.as_ref().map_or(Value::Null, MetadataValue::to_json),
            )
        })
        .collect();
    Value::Object(entries).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::records::Scalar;

    #[test]
    fn payload_with_nan_is_refused_by_name() {
        let error = decode(Some(r#"{"a": NaN}"#)).unwrap_err();
        assert!(error.contains("NaN"), "{error}");
    }

    /// chromadb 1.x turns them into floats before it logs them; 0.6 logs them and then fails.
    #[test]
    fn integer_beyond_sqlite_becomes_a_float() {
        for (text, float) in [
            ("9223372036854775808", 9.223372036854776e18),
            ("18446744073709551615", 1.8446744073709552e19),
            ("1180591620717411303424", 1.1805916207174113e21),
            ("-9223372036854775809", -9.223372036854776e18),
        ] {
            let patch = decode(Some(&format!(r#"{{"a": {text}}}"#))).unwrap();
            let expected = MetadataValue::Scalar(Scalar::Float(float));
            assert_eq!(patch, [("a".to_owned(), Some(expected))], "{text}");
        }
        let patch = decode(Some(r#"{"a": 9223372036854775807}"#)).unwrap();
        assert_eq!(patch, [("a".to_owned(), Some(i64::MAX.into()))]);
    }

    #[test]
    fn payload_with_a_lone_surrogate_is_refused_by_name() {
        for text in [r#"{"a": "x\ud800y"}"#, r#"{"a": "\udc00"}"#] {
            let error = decode(Some(text)).unwrap_err();
            assert!(error.contains("surrogate pair"), "{error}");
        }
    }

    #[test]
    fn removed_document_is_not_logged() {
        let patch = vec![(DOCUMENT_KEY.to_owned(), None), ("a".to_owned(), None)];
        assert_eq!(encode(&patch), r#"{"a":null}"#);
    }

    #[test]
    fn payload_with_a_mixed_or_nested_array_is_refused() {
        for text in [
            r#"{"a": [1, "x"]}"#,
            r#"{"a": []}"#,
            r#"{"a": {"b": 1}}"#,
            "[]",
            "3",
        ] {
            assert!(decode(Some(text)).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn scalar_survives_a_round_trip_through_the_payload(key in ".*", int: i64, float in -1e300..1e300, text in ".*", flag: bool) {
            let patch: Patch = vec![
                (format!("i{key}"), Some(int.into())),
                (format!("f{key}"), Some(MetadataValue::Scalar(Scalar::Float(float)))),
                (format!("s{key}"), Some(text.as_str().into())),
                (format!("b{key}"), Some(flag.into())),
                (format!("n{key}"), None),
            ];
            prop_assert_eq!(decode(Some(&encode(&patch))), Ok(patch));
        }
    }
}
