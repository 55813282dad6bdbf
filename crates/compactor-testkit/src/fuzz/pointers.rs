//! Any bytes as a pointer, or as another short text of another writer, give names that can be keys, or an
//! error.

use compactor_core::keys::DeltaLocation;
use compactor_core::ports::WallTime;
use compactor_core::{CollectionName, RunId, Version};

/// Takes the whole input, if it is UTF-8, as a pointer, a name, a run id, a location and a time.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(version) = text.trim().parse::<Version>() {
        assert_eq!(version.to_string(), text.trim());
        let next = Version::mint(WallTime(0), uuid::Uuid::nil(), Some(&version));
        assert!(next > version, "{next} after {version}");
    }
    if let Ok(name) = text.parse::<CollectionName>() {
        assert!(!name.as_str().contains('/'));
    }
    if let Ok(run) = text.parse::<RunId>() {
        assert_eq!(run.as_str(), text);
    }
    if let Ok(location) = DeltaLocation::parse(text) {
        let again = DeltaLocation::parse(&location.prefix).expect("a prefix is a location");
        assert_eq!(again.prefix, location.prefix);
    }
    if let Ok(time) = WallTime::parse_iso(text) {
        assert_eq!(WallTime::parse_iso(&time.to_iso()).ok(), Some(time));
    }
}
