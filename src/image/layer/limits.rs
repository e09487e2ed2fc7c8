//! What a layer may ask of this computer.

/// Bounds on one layer; beyond them it is taken for an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one layer. The largest real layers (whole distributions) have about a million.
    pub entries: u64,
    /// Bytes that any layer may unpack to, however small it is compressed.
    pub unpacked_base_bytes: u64,
    /// And so many times its compressed size on top. gzip reaches 1032 at most, real layers 2 to 20.
    pub unpacked_ratio: u64,
    /// Bytes of one extended header (names, attributes).
    pub header_bytes: u64,
    /// Bytes of one path: PATH_MAX of Linux.
    pub path_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: 5_000_000,
            unpacked_base_bytes: 2 << 30,
            unpacked_ratio: 200,
            header_bytes: 1 << 20,
            path_bytes: 4096,
        }
    }
}

impl Limits {
    /// What a layer of so many compressed bytes may unpack to.
    pub fn unpacked_bytes(&self, compressed_bytes: u64) -> u64 {
        self.unpacked_base_bytes.saturating_add(self.unpacked_ratio.saturating_mul(compressed_bytes))
    }
}
