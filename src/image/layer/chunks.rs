//! Pieces of a stream between threads, read as one.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::Receiver;

/// Reads what another thread sends, to the end of the channel.
pub struct ChunkReader {
    chunks: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    used: usize,
}

impl ChunkReader {
    pub fn new(chunks: Receiver<Vec<u8>>) -> ChunkReader {
        ChunkReader { chunks, chunk: Vec::new(), used: 0 }
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.used == self.chunk.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.chunk, self.used) = (chunk, 0),
                Err(_) => return Ok(&[]),
            }
        }
        Ok(&self.chunk[self.used..])
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let length = chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&chunk[..length]);
        self.consume(length);
        Ok(length)
    }
}
