//! Files with long runs of zeros: what is nothing takes no room on disk.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Zeros are left out by whole blocks of file systems.
const BLOCK_BYTES: usize = 4096;

/// Writes `data` where `file` stands, leaving holes where whole blocks are zero. The file is as long as was written.
///
/// # Errors
/// The disk is full.
pub fn write(file: &mut File, data: &[u8]) -> io::Result<()> {
    let mut rest = data;
    while !rest.is_empty() {
        let zeros = run(rest, true);
        if zeros > 0 {
            let end = file.stream_position()? + zeros as u64;
            // What stands there already would show through.
            if file.metadata()?.len() < end {
                file.set_len(end)?;
                file.seek(SeekFrom::Start(end))?;
            } else {
                file.write_all(&rest[..zeros])?;
            }
            rest = &rest[zeros..];
        }
        let full = run(rest, false);
        file.write_all(&rest[..full])?;
        rest = &rest[full..];
    }
    Ok(())
}

/// How many bytes at the beginning are blocks of zeros only, or blocks that are not. What is less than a block is not.
fn run(data: &[u8], zero: bool) -> usize {
    let is_zero = |block: &[u8]| block.len() == BLOCK_BYTES && block.iter().all(|byte| *byte == 0);
    data.chunks(BLOCK_BYTES).take_while(|block| is_zero(block) == zero).map(<[u8]>::len).sum()
}

/// Copies into a file in the same way.
pub struct Holed<'a>(pub &'a mut File);

impl Write for Holed<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        write(self.0, data).map(|()| data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn zeros_take_no_room_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut data = vec![0; 3 << 20];
        data[1 << 20] = 1;
        data.extend([0, 0, 7]);
        data.extend([0; 5000]);
        let mut file = File::create_new(&path).unwrap();
        for piece in data.chunks(300_000) {
            Holed(&mut file).write_all(piece).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == data);
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 20);
        write(&mut file, &[0; BLOCK_BYTES]).unwrap();
        assert_eq!(file.metadata().unwrap().len(), (data.len() + BLOCK_BYTES) as u64);
    }

    #[test]
    fn old_content_does_not_show_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [1; 3 * BLOCK_BYTES]).unwrap();
        let mut file = File::options().write(true).open(&path).unwrap();
        write(&mut file, &[0; 2 * BLOCK_BYTES]).unwrap();
        let now = std::fs::read(&path).unwrap();
        assert!(
            now[..2 * BLOCK_BYTES].iter().all(|byte| *byte == 0)
                && now[2 * BLOCK_BYTES..].iter().all(|byte| *byte == 1)
        );
    }
}
