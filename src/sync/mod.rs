//! Two trees, one truth: keeps a folder the same on both sides of a byte stream.
