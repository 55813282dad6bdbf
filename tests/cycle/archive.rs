//! Archives that no honest producer makes: a gzip tar written byte by byte.

const BLOCK: usize = 512;

/// A tar under construction.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn file(self, name: &str, body: &[u8]) -> Self {
        self.entry(b'0', name, body)
    }

    /// A file whose name is in an entry of its own, as GNU tar has it.
    pub(crate) fn file_with_long_name(self, name: &str, body: &[u8]) -> Self {
        self.entry(b'L', "././@LongLink", name.as_bytes())
            .file("short", body)
    }

    /// An entry of any type with content: `L` for a long name, `x` for PAX records.
    pub(crate) fn entry(mut self, kind: u8, name: &str, body: &[u8]) -> Self {
        self.header(name, kind, "", body.len());
        self.0.extend_from_slice(body);
        self.pad();
        self
    }

    /// An entry of another type, `2` for a symbolic link and `1` for a hard link.
    pub(crate) fn link(mut self, kind: u8, name: &str, target: &str) -> Self {
        self.header(name, kind, target, 0);
        self
    }

    /// Ends the tar and packs it.
    pub(crate) fn gzip(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        gzip(&self.0)
    }

    /// <https://www.gnu.org/software/tar/manual/html_node/Standard.html>
    fn header(&mut self, name: &str, kind: u8, target: &str, size: usize) {
        let mut header = [0_u8; BLOCK];
        let mut set = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        set(0, name);
        set(100, "0000644\0");
        set(108, "0000000\0");
        set(116, "0000000\0");
        set(124, &format!("{size:011o}\0"));
        set(136, "00000000000\0");
        set(148, "        ");
        set(157, target);
        set(257, "ustar\x0000");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }
}

/// RFC 1952 around stored blocks of RFC 1951: nothing is compressed.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = plain.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let size = u16::try_from(block.len()).unwrap();
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend_from_slice(&size.to_le_bytes());
        packed.extend_from_slice(&(!size).to_le_bytes());
        packed.extend_from_slice(block);
    }
    packed.extend_from_slice(&crc32(plain).to_le_bytes());
    let size = u32::try_from(plain.len()).unwrap();
    packed.extend_from_slice(&size.to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
        crc
    })
}

#[test]
fn handmade_archive_is_valid_gzip_tar() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    let archive = Tar::default().file("./a/b.txt", b"hello").gzip();
    let to = tempfile::tempdir().unwrap();
    let limits = chroma_store::UnpackLimits {
        bytes: 1 << 20,
        ratio: 10,
        entries: 10,
    };
    let size = archive.len() as u64;
    chroma_store::unpack(archive.as_slice(), size, to.path(), limits).unwrap();
    assert_eq!(std::fs::read(to.path().join("a/b.txt")).unwrap(), b"hello");
}
