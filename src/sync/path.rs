//! Names below the root of a tree: bytes, as the file system has them, with `/` between.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest path taken (PATH_MAX of Linux, without its NUL).
const LONGEST_PATH_BYTES: usize = 4095;
/// The deepest path taken: trees are walked by functions that call themselves, and the stack has an end.
const MOST_PARTS: usize = 200;
/// The longest name taken (NAME_MAX).
const LONGEST_NAME_BYTES: usize = 255;

/// A path relative to the root of a tree; empty for the root. Holds no `.`, no `..`, no empty part and no NUL, also
/// when it was read from the wire. In order, a folder is followed by what is in it only if no sibling sorts between:
/// order is that of the parts, not of the bytes. A copy costs nothing: a path is held in many places while it is synced.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TreePath(Arc<[u8]>);

impl TreePath {
    /// The root itself.
    pub fn root() -> TreePath {
        TreePath::default()
    }

    /// A path from its bytes; `None` when it could lead elsewhere or is too long.
    pub fn parse(bytes: &[u8]) -> Option<TreePath> {
        let path = TreePath(bytes.into());
        path.is_fine().then_some(path)
    }

    /// Whether it leads nowhere else and is not too long: what was put together from names need not be.
    pub fn is_fine(&self) -> bool {
        let bytes = &self.0;
        let fine = bytes.is_empty() || bytes.split(|byte| *byte == b'/').all(is_name);
        let parts = bytes.iter().filter(|byte| **byte == b'/').count();
        fine && bytes.len() <= LONGEST_PATH_BYTES && parts < MOST_PARTS
    }

    /// Whether the name `name` in this folder makes a fine path, given that this is one.
    pub fn takes(&self, name: &[u8]) -> bool {
        let parts = self.parts().count() + 1;
        is_name(name) && parts <= MOST_PARTS && self.0.len() + 1 + name.len() <= LONGEST_PATH_BYTES
    }

    /// `path` as seen from `root`; `None` when it is not below it.
    pub fn below(root: &Path, path: &Path) -> Option<TreePath> {
        use std::os::unix::ffi::OsStrExt;
        TreePath::parse(path.strip_prefix(root).ok()?.as_os_str().as_bytes())
    }

    /// The name `name` in this folder.
    pub fn join(&self, name: &[u8]) -> TreePath {
        if self.0.is_empty() {
            return TreePath(name.into());
        }
        TreePath(self.0.iter().chain(b"/").chain(name).copied().collect())
    }

    /// The folder it is in, and its name there; `None` for the root.
    pub fn split(&self) -> Option<(TreePath, &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (TreePath(self.0[..at].into()), &self.0[at + 1..]),
            None => (TreePath::root(), &self.0),
        })
    }

    /// Its names, from the root down.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// Whether it is `other` or below it.
    pub fn is_within(&self, other: &TreePath) -> bool {
        other.0.is_empty()
            || self.0 == other.0
            || (self.0.starts_with(&other.0) && self.0.get(other.0.len()) == Some(&b'/'))
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For libraries that want a path; relative.
    pub fn as_path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// The path below `root`.
    pub fn under(&self, root: &Path) -> PathBuf {
        if self.0.is_empty() { root.to_owned() } else { root.join(self.as_path()) }
    }
}

/// Whether a name may stand in a folder.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME_BYTES
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &TreePath) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TreePath {
    /// Name by name: as bytes, with what parts names before everything that a name can have in it.
    fn cmp(&self, other: &TreePath) -> std::cmp::Ordering {
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        match self.0.iter().zip(&*other.0).find(|(one, two)| one != two) {
            Some((one, two)) => rank(one).cmp(&rank(two)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { return String::from_utf8_lossy(&self.0).fmt(f) })
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for TreePath {
    /// For paths known when the program is written.
    fn from(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).unwrap_or_default()
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<TreePath, D::Error> {
        let path = from.deserialize_bytes(BytesVisitor(TreePath::parse))?;
        path.ok_or_else(|| D::Error::custom("a path that may not be"))
    }
}

/// Bytes as one piece: serde would take a vector byte by byte.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Blob, D::Error> {
        from.deserialize_byte_buf(BytesVisitor(<[u8]>::to_vec)).map(Blob)
    }
}

/// For `serde(with)`: shared bytes as one piece.
pub mod shared_bytes {
    use super::{Arc, BytesVisitor, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &Arc<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        from.deserialize_bytes(BytesVisitor(|bytes: &[u8]| bytes.into()))
    }
}

/// A hash, written and read in one go.
pub mod hash_bytes {
    use super::{BytesVisitor, Deserializer, Error, Serializer};

    pub fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(hash)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let hash: Option<[u8; 32]> = from.deserialize_bytes(BytesVisitor(|bytes: &[u8]| bytes.try_into().ok()))?;
        hash.ok_or_else(|| D::Error::custom("a hash of another length"))
    }
}

/// Makes something of bytes.
struct BytesVisitor<F>(F);

impl<T, F: FnOnce(&[u8]) -> T> Visitor<'_> for BytesVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        Ok(self.0(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_lead_out_is_no_path() {
        for bad in ["/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b"] {
            assert_eq!(TreePath::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(TreePath::parse(&[b'a'; 256]), None);
        assert!(TreePath::parse(b"\xff/..a").is_some());
        let wire = postcard::to_stdvec(&Blob(b"../x".to_vec())).unwrap();
        assert!(postcard::from_bytes::<TreePath>(&wire).is_err());
    }

    #[test]
    fn a_folder_takes_the_names_that_make_fine_paths() {
        let long = vec!["x".repeat(249); 16].join("/");
        let deep = |parts: usize| vec!["d"; parts].join("/");
        for (folder, names) in [
            ("", vec!["a", ".", "..", "", "a/b", "a\0"]),
            (&*long, vec!["y", &"y".repeat(95), &"y".repeat(96)]),
            (&*deep(199), vec!["y"]),
            (&*deep(200), vec!["y"]),
        ] {
            let folder = TreePath::parse(folder.as_bytes()).unwrap();
            for name in names {
                let path = folder.join(name.as_bytes());
                let is_one_more = path.parts().count() == folder.parts().count() + 1;
                assert_eq!(folder.takes(name.as_bytes()), path.is_fine() && is_one_more, "{folder} {name}");
            }
        }
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_before_longer_names() {
        let mut paths: Vec<TreePath> = ["a-b", "a/c", "a", "a/b/c", "b"].map(TreePath::from).to_vec();
        paths.sort();
        assert_eq!(paths, ["a", "a/b/c", "a/c", "a-b", "b"].map(TreePath::from));
        assert!(TreePath::from("a/b").is_within(&"a".into()));
        assert!(!TreePath::from("a-b").is_within(&"a".into()));
        assert_eq!(TreePath::from("a/b").split(), Some(("a".into(), &b"b"[..])));
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_that_of_the_names(
            one in proptest::collection::vec("[\\x01!.0a]{1,3}", 0..4),
            two in proptest::collection::vec("[\\x01!.0a]{1,3}", 0..4),
        ) {
            let path = |names: &[String]| TreePath(names.join("/").into_bytes().into());
            proptest::prop_assert_eq!(path(&one).cmp(&path(&two)), one.cmp(&two));
        }
    }
}
