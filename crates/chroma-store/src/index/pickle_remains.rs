//! Recovers the labels of ids from a damaged pickle of id maps. It finds pairs one by one, so that
//! a bad byte hides one pair and not all.
//!
//! If two places contradict each other, it gives the id up: a wrong label would give another
//! record's vector.

use std::collections::{HashMap, HashSet};

/// The maps of the pickle, in their order. The last one has no labels.
const NAMES: [&str; 3] = ["id_to_label", "label_to_id", "id_to_seq_id"];

/// Ids with their labels, as far as they can be recovered.
pub(super) fn labels(bytes: &[u8]) -> HashMap<String, u64> {
    let [labels, ids, seqs] = NAMES.map(|name| place(bytes, name));
    let mut found = Found::default();
    found.read(bytes, labels, ids, id_and_label);
    found.read(bytes, ids, seqs, label_and_id);
    found.undisputed()
}

/// Where the name of a map begins.
fn place(bytes: &[u8], name: &str) -> Option<usize> {
    let is_name = |at: &usize| string(&bytes[*at..]).is_some_and(|(found, _)| found == name);
    (0..bytes.len()).find(is_name)
}

/// A pair, and the bytes after it.
type Pair<'b> = (&'b str, u64, &'b [u8]);

fn id_and_label(bytes: &[u8]) -> Option<Pair<'_>> {
    let (id, after) = string(bytes)?;
    let (label, after) = integer(after)?;
    Some((id, label, after))
}

fn label_and_id(bytes: &[u8]) -> Option<Pair<'_>> {
    let (label, after) = integer(bytes)?;
    let (id, after) = string(after)?;
    Some((id, label, after))
}

#[derive(Debug, Default)]
struct Found {
    labels: HashMap<String, u64>,
    ids: HashMap<u64, String>,
    disputed: HashSet<String>,
}

impl Found {
    /// Reads the pairs between two names. If the second name cannot be found, stops at a bad byte:
    /// what follows may belong to the next map.
    fn read(
        &mut self,
        bytes: &[u8],
        name: Option<usize>,
        next: Option<usize>,
        pair: fn(&[u8]) -> Option<Pair<'_>>,
    ) {
        let Some(name) = name else { return };
        let end = next.filter(|next| *next > name);
        let mut rest = bytes.get(name..end.unwrap_or(bytes.len()));
        if let Some((_, after)) = rest.and_then(string) {
            rest = Some(after);
        }
        let mut rest = rest.unwrap_or_default();
        while let Some((byte, next)) = rest.split_first() {
            rest = if let Some((id, label, after)) = pair(rest) {
                self.add(id, label);
                after
            } else if end.is_some() || BETWEEN.contains(byte) {
                behind(next)
            } else {
                return;
            };
        }
    }

    fn add(&mut self, id: &str, label: u64) {
        // chromadb counts from 1; 0 is what a zeroed page gives.
        if label == 0 {
            return;
        }
        let other_label = self.labels.insert(id.to_owned(), label);
        if other_label.is_some_and(|other| other != label) {
            self.disputed.insert(id.to_owned());
        }
        let other_id = self.ids.insert(label, id.to_owned());
        if let Some(other) = other_id.filter(|other| other != id) {
            self.disputed.insert(id.to_owned());
            self.disputed.insert(other);
        }
    }

    fn undisputed(mut self) -> HashMap<String, u64> {
        self.labels.retain(|id, _| !self.disputed.contains(id));
        self.labels
    }
}

/// Opcodes between pairs: EMPTY_DICT, MARK, SETITEMS and SETITEM.
const BETWEEN: &[u8] = b"}(us";

/// A string, and the bytes after it and after the pickler's memo opcodes.
fn string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (opcode, after) = bytes.split_first()?;
    let (length, after) = match opcode {
        // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
        0x8c => number::<1>(after)?,
        b'X' => number::<4>(after)?,
        0x8d => number::<8>(after)?,
        _ => return None,
    };
    let (text, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
    let text = std::str::from_utf8(text).ok()?;
    Some((text, behind(after)))
}

fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (opcode, after) = bytes.split_first()?;
    let (value, after) = match opcode {
        // BININT1, BININT2, BININT
        b'K' => number::<1>(after)?,
        b'M' => number::<2>(after)?,
        b'J' => number::<4>(after)?,
        // LONG1
        0x8a => match after.split_first()? {
            (5, after) => number::<5>(after)?,
            (8, after) => number::<8>(after)?,
            _ => return None,
        },
        _ => return None,
    };
    Some((value, behind(after)))
}

/// Skips BINPUT, LONG_BINPUT, MEMOIZE and the head of a FRAME.
fn behind(mut bytes: &[u8]) -> &[u8] {
    loop {
        let length = match bytes.first() {
            Some(0x94) => 1,
            Some(b'q') => 2,
            Some(b'r') => 5,
            Some(0x95) => 9,
            _ => return bytes,
        };
        let Some(after) = bytes.get(length..) else {
            return bytes;
        };
        bytes = after;
    }
}

/// A little-endian number of `N` bytes.
fn number<const N: usize>(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, after) = bytes.split_first_chunk::<N>()?;
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(number);
    Some((u64::from_le_bytes(whole), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SchemaLevel;
    use crate::index::id_maps::tests::written;

    fn of(ids: usize) -> HashMap<String, u64> {
        (0..ids)
            .map(|at| (format!("record {at}"), at as u64 + 1))
            .collect()
    }

    #[test]
    fn sound_pickle_gives_every_pair() {
        for level in [SchemaLevel::L06, SchemaLevel::L15] {
            for ids in [0, 1, 2, 300, 3000] {
                assert_eq!(labels(&written(ids, level)), of(ids), "{level:?} {ids}");
            }
        }
    }

    /// A bad byte never gives a wrong pair, and outside of a name it costs few pairs.
    #[test]
    fn bad_pickle_byte_hides_few_pairs_and_makes_no_wrong_one() {
        for level in [SchemaLevel::L06, SchemaLevel::L15] {
            let (sound, expected) = (written(40, level), of(40));
            // The bad byte lies in a name, or in a length, so that one string swallows many.
            let few = NAMES.join("").len() + 2 * expected.len();
            let mut hiding = 0;
            for at in 0..sound.len() {
                let mut fewest = expected.len();
                for bad in [0, 0xff, sound[at] ^ 1] {
                    let mut torn = sound.clone();
                    torn[at] = bad;
                    let found = labels(&torn);
                    let known = found.iter().filter(|(id, _)| expected.contains_key(*id));
                    let wrong = known.clone().find(|(id, label)| expected[*id] != **label);
                    assert_eq!(wrong, None, "{level:?} {at} {bad}");
                    fewest = fewest.min(known.count());
                }
                hiding += usize::from(fewest + 3 < expected.len());
            }
            assert!(hiding <= few, "{level:?} {hiding}");
        }
    }

    /// A zeroed part may hide the name of a map, and so which of two numbers is the label.
    #[test]
    fn zeroed_part_of_a_pickle_makes_no_wrong_pair() {
        for level in [SchemaLevel::L06, SchemaLevel::L15] {
            let (sound, expected) = (written(40, level), of(40));
            for length in [3, 30, 300] {
                for at in 0..sound.len() - length {
                    let mut torn = sound.clone();
                    torn[at..at + length].fill(0);
                    let found = labels(&torn);
                    let mut known = found.iter().filter(|(id, _)| expected.contains_key(*id));
                    let wrong = known.find(|(id, label)| expected[*id] != **label);
                    assert_eq!(wrong, None, "{level:?} {at} {length}");
                }
            }
        }
    }
}
