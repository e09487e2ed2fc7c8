//! A local port that leads to a port of a box elsewhere.
