//! The reading end of a pipe that frames come out of.

use crate::sys::mux::inlet::Inlet;
use crate::sys::pipe_outlet::move_on;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A pipe's reading end.
pub struct PipeInlet {
    pipe: Receiver,
    /// What was read of it before.
    early: Vec<u8>,
}

impl PipeInlet {
    /// `early` is what was read of it already.
    ///
    /// # Errors
    /// It is no pipe's reading end.
    pub fn new(pipe: OwnedFd, early: Vec<u8>) -> io::Result<PipeInlet> {
        Ok(PipeInlet { pipe: Receiver::from_owned_fd(pipe)?, early })
    }
}

impl Inlet for PipeInlet {
    async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.early.is_empty() {
            return self.pipe.read(into).await;
        }
        let length = self.early.len().min(into.len());
        into[..length].copy_from_slice(&self.early[..length]);
        self.early.drain(..length);
        Ok(length)
    }

    async fn readable(&self) -> io::Result<()> {
        self.pipe.readable().await
    }

    fn move_to(&self, socket: &TcpStream, length: usize) -> io::Result<Option<usize>> {
        if !self.early.is_empty() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Outside of `try_io` only what says that nothing is there may be WouldBlock.
        let moved = self.pipe.try_io(|| match move_on(&self.pipe, socket, length) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            other => Ok(other),
        });
        match moved {
            Ok(moved) => moved.map(Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[tokio::test]
    async fn what_was_read_early_comes_first_and_the_rest_goes_to_a_socket_while_that_takes_it() {
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"content").unwrap();
        let mut inlet = PipeInlet::new(read.into(), b"early".to_vec()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let takes = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        takes.set_nonblocking(true).unwrap();
        let mut hears = listener.accept().unwrap().0;
        assert!(inlet.move_to(&takes, 100).is_err(), "what was read has to be read");
        let mut early = [0; 9];
        assert_eq!((inlet.read(&mut early).await.unwrap(), &early[..5]), (5, &b"early"[..]));
        inlet.readable().await.unwrap();
        assert_eq!(inlet.move_to(&takes, 4).unwrap(), Some(4));
        assert_eq!(inlet.move_to(&takes, 100).unwrap(), Some(3));
        assert_eq!(inlet.move_to(&takes, 100).unwrap(), None, "nothing is there yet");
        let mut heard = [0; 7];
        hears.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"content");
        // Nobody reads: the socket is full at last, while the pipe is not empty.
        loop {
            write.write_all(&[7; 4096]).unwrap();
            inlet.readable().await.unwrap();
            match inlet.move_to(&takes, 4096) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("4096 bytes are there"),
                Err(_) => break,
            }
        }
        drop(write);
    }
}
