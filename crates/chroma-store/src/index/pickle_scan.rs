//! Scans a pickle before it is read: it must have only opcodes that chromadb writes, and no deep
//! nesting.
//!
//! The pickle library runs no code and stays within its memory. But it recurses as deeply as values
//! are nested, and the stack is finite.

/// Most containers of one pickle. Those of chromadb have five or six.
const MAX_CONTAINERS: usize = 64;

/// The newest pickle protocol of Python.
const MAX_PROTOCOL: u8 = 5;

/// What [`scan`] finds.
#[derive(Debug, PartialEq)]
pub(super) struct Scanned<'b> {
    /// Bytes up to the end of the pickle. Neither Python nor this crate reads what follows.
    pub(super) length: usize,
    /// Module and name of the first class of which it has an instance.
    pub(super) class: Option<[&'b [u8]; 2]>,
}

/// Scans a pickle.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn scan(bytes: &[u8]) -> Result<Scanned<'_>, String> {
    let mut rest = bytes;
    let mut containers = 0;
    let mut class = None;
    // The last two strings, from which STACK_GLOBAL takes its class.
    let mut strings: [&[u8]; 2] = [&[], &[]];
    loop {
        let at = bytes.len() - rest.len();
        let Some((opcode, after)) = rest.split_first() else {
            return Err("it has no end".to_owned());
        };
        let argument = match *opcode {
            b'.' => {
                let length = at + 1;
                return Ok(Scanned { length, class });
            }
            // STACK_GLOBAL
            0x93 => {
                let [name, module] = strings;
                class.get_or_insert([module, name]);
                0
            }
            // MARK, NONE, NEWTRUE, NEWFALSE, MEMOIZE, SETITEM, SETITEMS
            b'(' | b'N' | 0x88 | 0x89 | 0x94 | b's' | b'u' => 0,
            // EMPTY_DICT, EMPTY_TUPLE, NEWOBJ, BUILD
            b'}' | b')' | 0x81 | b'b' => {
                containers += 1;
                0
            }
            // PROTO
            0x80 => match after.first() {
                Some(protocol) if *protocol > MAX_PROTOCOL => {
                    return Err(format!("protocol {protocol} at {at}, which Python has not"));
                }
                _ => 1,
            },
            // BININT1, BINGET, BINPUT
            b'K' | b'h' | b'q' => 1,
            b'M' => 2,
            // BININT, LONG_BINGET, LONG_BINPUT
            b'J' | b'j' | b'r' => 4,
            // FRAME, which Python reads at once
            0x95 => match sized::<8>(after) {
                frame if frame <= after.len() => 8,
                _ => return Err(format!("it ends inside the frame at {at}")),
            },
            // BINFLOAT
            b'G' => 8,
            // SHORT_BINUNICODE, LONG1
            0x8c | 0x8a => sized::<1>(after),
            b'X' => sized::<4>(after),
            0x8d => sized::<8>(after),
            b'c' => {
                let length = lines(after, 2);
                class = class.or_else(|| named(after.get(..length)?));
                length
            }
            other => {
                return Err(format!(
                    "opcode {other:#04x} at {at}, which chromadb never writes"
                ));
            }
        };
        if containers > MAX_CONTAINERS {
            return Err(format!("more than {MAX_CONTAINERS} containers"));
        }
        let (value, behind) = after
            .split_at_checked(argument)
            .ok_or_else(|| format!("it ends inside the value at {at}"))?;
        let head = match *opcode {
            0x8c => 1,
            b'X' => 4,
            0x8d => 8,
            _ => usize::MAX,
        };
        if let Some(string) = value.get(head..) {
            strings = [string, strings[0]];
        }
        rest = behind;
    }
}

/// Bytes of a length field and of the value that it measures.
fn sized<const N: usize>(bytes: &[u8]) -> usize {
    let Some(length) = bytes.first_chunk::<N>() else {
        return usize::MAX;
    };
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(length);
    usize::try_from(u64::from_le_bytes(whole)).map_or(usize::MAX, |length| length.saturating_add(N))
}

/// Bytes of `count` lines.
fn lines(bytes: &[u8], count: usize) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let last = ends.map(|(at, _)| at).nth(count - 1);
    last.map_or(usize::MAX, |at| at + 1)
}

/// The class that two lines name.
fn named(lines: &[u8]) -> Option<[&[u8]; 2]> {
    let mut lines = lines.split(|byte| *byte == b'\n');
    Some([lines.next()?, lines.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeply_nested_pickle_is_refused() {
        let mut nest = b"\x80\x02".to_vec();
        nest.extend([b']'; 1000]);
        nest.extend([b'a'; 999]);
        nest.push(b'.');
        assert!(scan(&nest).is_err());
        let mut nest = b"\x80\x02".to_vec();
        nest.extend([b'}'; 100]);
        nest.push(b'.');
        assert!(scan(&nest).is_err());
    }

    #[test]
    fn torn_pickle_is_refused() {
        for torn in [
            &b"\x80"[..],
            b"\x80\x02X\xff\xff\xff\xff.",
            b"\x80\x02ca\n",
            b"",
            b"\x8d.",
            b"\x80\x02\x95\x02\0\0\0\0\0\0\0.",
        ] {
            assert!(scan(torn).is_err(), "{torn:?}");
        }
    }

    #[test]
    fn unknown_pickle_protocol_is_refused() {
        assert!(scan(b"\x80\x05N.").is_ok());
        assert!(scan(b"\x80\x06N.").is_err());
    }

    #[test]
    fn pickle_scan_returns_the_first_class_in_either_form() {
        let class: [&[u8]; 2] = [b"a.b", b"C"];
        let instances: [&[u8]; 3] = [
            b"\x80\x02ca.b\nC\n)\x81cd\nE\n.",
            b"\x80\x05\x95\x0f\0\0\0\0\0\0\0\x8c\x03a.b\x94\x8c\x01C\x94\x93\x94)\x81.",
            b"\x80\x04X\x03\0\0\0a.bq\0X\x01\0\0\0Cq\x01\x93.",
        ];
        for instance in instances {
            assert_eq!(scan(instance).unwrap().class, Some(class));
        }
        assert_eq!(scan(b"\x80\x02}.").unwrap().class, None);
    }
}
