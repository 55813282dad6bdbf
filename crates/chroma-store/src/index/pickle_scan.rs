//! A look at a pickle before it is read: only what chromadb writes, and nothing nested deeply.
//!
//! The pickle library runs nothing and follows no pointers out of memory, but values are nested as
//! deeply as the bytes say, and the stack is not endless.

/// Dicts, instances and the like in one pickle of chromadb: five or six.
const MAX_CONTAINERS: usize = 64;

/// How long the pickle is, or what is wrong with it. Nobody reads what follows its end.
pub(super) fn check(bytes: &[u8]) -> Result<usize, String> {
    let mut rest = bytes;
    let mut containers = 0;
    loop {
        let at = bytes.len() - rest.len();
        let Some((opcode, after)) = rest.split_first() else {
            return Err("it has no end".to_owned());
        };
        let argument = match *opcode {
            b'.' => return Ok(at + 1),
            // MARK, NONE, NEWTRUE, NEWFALSE, MEMOIZE, SETITEM, SETITEMS, STACK_GLOBAL
            b'(' | b'N' | 0x88 | 0x89 | 0x94 | b's' | b'u' | 0x93 => 0,
            // EMPTY_DICT, EMPTY_TUPLE, NEWOBJ, BUILD
            b'}' | b')' | 0x81 | b'b' => {
                containers += 1;
                0
            }
            // PROTO, BININT1, BINGET, BINPUT
            0x80 | b'K' | b'h' | b'q' => 1,
            b'M' => 2,
            // BININT, LONG_BINGET, LONG_BINPUT
            b'J' | b'j' | b'r' => 4,
            // FRAME, BINFLOAT
            0x95 | b'G' => 8,
            // SHORT_BINUNICODE, LONG1
            0x8c | 0x8a => sized::<1>(after),
            b'X' => sized::<4>(after),
            0x8d => sized::<8>(after),
            b'c' => lines(after, 2),
            other => {
                return Err(format!(
                    "opcode {other:#04x} at {at}, which chromadb never writes"
                ));
            }
        };
        if containers > MAX_CONTAINERS {
            return Err(format!("more than {MAX_CONTAINERS} containers"));
        }
        rest = after
            .get(argument..)
            .ok_or_else(|| format!("it ends inside the value at {at}"))?;
    }
}

/// The bytes of a length and of what is that long.
fn sized<const N: usize>(bytes: &[u8]) -> usize {
    let Some(length) = bytes.first_chunk::<N>() else {
        return usize::MAX;
    };
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(length);
    usize::try_from(u64::from_le_bytes(whole)).map_or(usize::MAX, |length| length.saturating_add(N))
}

/// The bytes of so many lines.
fn lines(bytes: &[u8], count: usize) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let last = ends.map(|(at, _)| at).nth(count - 1);
    last.map_or(usize::MAX, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_nest_is_refused() {
        let mut nest = b"\x80\x02".to_vec();
        nest.extend([b']'; 1000]);
        nest.extend([b'a'; 999]);
        nest.push(b'.');
        assert!(check(&nest).is_err());
        let mut nest = b"\x80\x02".to_vec();
        nest.extend([b'}'; 100]);
        nest.push(b'.');
        assert!(check(&nest).is_err());
    }

    #[test]
    fn a_torn_pickle_is_refused() {
        for torn in [
            &b"\x80"[..],
            b"\x80\x02X\xff\xff\xff\xff.",
            b"\x80\x02ca\n",
            b"",
            b"\x8d.",
        ] {
            assert!(check(torn).is_err(), "{torn:?}");
        }
    }
}
