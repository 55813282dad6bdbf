//! Any bytes as a message: a run, something to be ignored, or an error.

use compactor_core::message::{Decoded, decode};
use compactor_core::ports::Attributes;

/// The body; after a zero byte, attributes as lines `name=value`.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (body, lines) = (text(), text());
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    let attributes: Attributes = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    match decode(&body, &attributes) {
        Ok(Decoded::Run(message)) => {
            let prefix = &message.location.prefix;
            assert!(
                prefix.ends_with('/') && !prefix.starts_with('/'),
                "{prefix}"
            );
            assert!(prefix.split('/').all(|part| part != ".."), "{prefix}");
            assert_eq!(message.attributes, attributes);
        }
        Ok(Decoded::Inserted(inserted)) => assert!(!inserted.deltas.is_empty()),
        Ok(Decoded::Unhandled { .. } | Decoded::Ignored { .. }) => {}
        Err(refused) => assert!(refused.error.code().starts_with("CC-")),
    }
}
