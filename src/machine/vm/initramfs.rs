//! The guest's first file system as the kernel unpacks it: a cpio archive in the "newc" form, uncompressed
//! (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).

use crate::model::guest::SEED_PATH;

/// Where the guest finds what the pack says of itself.
pub const PACK_PATH: &str = "/pack.json";
/// Where the guest finds its kernel's modules.
pub const MODULES_PATH: &str = "/modules";
/// What the kernel runs first.
pub const INIT_PATH: &str = "/init";

/// Kinds of inodes, inode(7).
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// What a guest is made of.
pub struct Contents<'a> {
    /// JSON of a `model::guest::Seed`.
    pub seed: &'a [u8],
    /// JSON of the pack.
    pub pack: &'a [u8],
    /// File names and contents.
    pub modules: &'a [(String, Vec<u8>)],
    /// The program that becomes process 1.
    pub program: &'a [u8],
}

/// The archive. The seed is first and for root only.
pub fn build(contents: &Contents) -> Vec<u8> {
    let modules_bytes: usize = contents.modules.iter().map(|(_, content)| content.len()).sum();
    // A header, a name and padding are below 512 bytes each.
    let room = (contents.modules.len() + 8) * 512 + modules_bytes;
    let mut archive = Archive::new(room + contents.program.len() + contents.seed.len() + contents.pack.len());
    archive.file(SEED_PATH, 0o600, contents.seed);
    archive.entry("/dev", FOLDER | 0o755, &[], (0, 0));
    // The kernel opens it for process 1 before anything is mounted (major and minor of Linux's devices.txt).
    archive.entry("/dev/console", CHARACTER_DEVICE | 0o600, &[], (5, 1));
    archive.file(PACK_PATH, 0o644, contents.pack);
    archive.entry(MODULES_PATH, FOLDER | 0o755, &[], (0, 0));
    for (name, content) in contents.modules {
        archive.file(&format!("{MODULES_PATH}/{name}"), 0o644, content);
    }
    archive.file(INIT_PATH, 0o755, contents.program);
    archive.end()
}

struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn new(room: usize) -> Archive {
        Archive { bytes: Vec::with_capacity(room), inode: 0 }
    }

    fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, FILE | mode, content, (0, 0));
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        let name = path.trim_start_matches('/');
        self.inode += 1;
        let length = u32::try_from(content.len()).expect("no file of a guest is 4 GB long");
        // inode, mode, uid, gid, links, time, length, device of the file, device it stands for, length of name, check
        let fields = [
            self.inode,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            device.0,
            device.1,
            u32::try_from(name.len() + 1).unwrap_or(0),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
    }

    fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        self.pad(512);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mode, path and content of every entry.
    fn read(mut archive: &[u8]) -> Vec<(u32, String, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            let field = |index: usize| {
                let text = std::str::from_utf8(&archive[6 + index * 8..14 + index * 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap() as usize
            };
            assert_eq!(&archive[..6], b"070701");
            let (mode, length, name_length) = (field(1), field(6), field(11));
            let name = String::from_utf8(archive[110..110 + name_length - 1].to_vec()).unwrap();
            let start = (110 + name_length).next_multiple_of(4);
            if name == "TRAILER!!!" {
                return entries;
            }
            entries.push((mode as u32, name, archive[start..start + length].to_vec()));
            archive = &archive[(start + length).next_multiple_of(4)..];
        }
    }

    #[test]
    fn the_seed_is_first_and_secret_and_everything_is_there() {
        let modules = [("a.ko".to_owned(), vec![1, 2, 3, 4, 5]), ("b.ko".to_owned(), vec![])];
        let archive = build(&Contents { seed: b"{s}", pack: b"{}", modules: &modules, program: b"\x7fELF" });
        assert_eq!(archive.len() % 512, 0);
        let entries = read(&archive);
        let listed: Vec<_> = entries.iter().map(|(mode, name, _)| format!("{mode:o} {name}")).collect();
        assert_eq!(
            listed,
            [
                "100600 seed.json",
                "40755 dev",
                "20600 dev/console",
                "100644 pack.json",
                "40755 modules",
                "100644 modules/a.ko",
                "100644 modules/b.ko",
                "100755 init"
            ]
        );
        assert_eq!((entries[0].2.as_slice(), entries[5].2.as_slice()), (&b"{s}"[..], &[1, 2, 3, 4, 5][..]));
    }
}
