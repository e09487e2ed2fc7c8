//! The writing end of a pipe that frames go into, and the content of sockets by `splice(2)`.

use crate::sys::mux::outlet::Outlet;
use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;

/// A pipe's writing end.
pub struct PipeOutlet(Sender);

impl PipeOutlet {
    /// # Errors
    /// It is no pipe's writing end.
    pub fn new(pipe: OwnedFd) -> io::Result<PipeOutlet> {
        Sender::from_owned_fd(pipe).map(PipeOutlet)
    }
}

impl PipeOutlet {
    /// As [`Outlet::carry`], for what cannot be moved.
    async fn copy(&mut self, socket: &OwnedFd, length: usize) -> io::Result<bool> {
        let mut bytes = vec![0; length];
        let mut read = 0;
        while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
            match nix::unistd::read(socket, room) {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
        }
        self.0.write_all(&bytes).await?;
        Ok(read == length)
    }
}

impl Outlet for PipeOutlet {
    fn carries(&self) -> bool {
        true
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    async fn carry(&mut self, socket: &OwnedFd, length: usize) -> io::Result<bool> {
        let mut left = length;
        while left > 0 {
            self.0.writable().await?;
            let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
            let moved = self.0.try_io(|| match splice(socket, None, self.0.as_fd(), None, left, flags) {
                Ok(moved) => Ok(Some(moved)),
                // Either the pipe is full or there is nothing: only the first will change.
                Err(Errno::EAGAIN) if waiting(socket)? > 0 => Err(io::ErrorKind::WouldBlock.into()),
                Err(Errno::EPIPE) => Err(io::ErrorKind::BrokenPipe.into()),
                Err(_) => Ok(None),
            });
            match moved {
                Ok(None | Some(0)) => return self.copy(socket, left).await,
                Ok(Some(moved)) => left -= moved.min(left),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn end(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// Moves at most `length` bytes of a pipe to a socket.
///
/// # Errors
/// `WouldBlock`: the pipe is empty. Others: it has ended, or the socket takes nothing now.
pub fn move_on(pipe: impl AsFd, socket: impl AsFd, length: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    match splice(&pipe, None, socket, None, length, flags) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(moved) => Ok(moved),
        Err(Errno::EAGAIN) if waiting(&pipe)? > 0 => Err(io::Error::other("the socket is full")),
        Err(error) => Err(error.into()),
    }
}

/// How many bytes have come on a socket, or into a pipe, and were not read yet (tcp(7), SIOCINQ; pipe(7), FIONREAD).
///
/// # Errors
/// It is nothing that can tell.
pub fn waiting(socket: impl AsFd) -> io::Result<usize> {
    let mut count: c_int = 0;
    // SAFETY: FIONREAD writes one int, to where `count` is; the descriptor is open as long as it is borrowed.
    let asked = unsafe { nix::libc::ioctl(socket.as_fd().as_raw_fd(), nix::libc::FIONREAD, &raw mut count) };
    Errno::result(asked)?;
    usize::try_from(count).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn what_a_socket_has_goes_into_the_pipe_and_what_it_has_not_is_made_up() {
        let (mut read, write) = std::io::pipe().unwrap();
        // Far less than is carried.
        nix::fcntl::fcntl(&write, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let mut outlet = PipeOutlet::new(write.into()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut says = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (hears, _) = listener.accept().unwrap();
        hears.set_nonblocking(true).unwrap();
        let said: Vec<u8> = (0..50_000_u32).map(|number| number as u8).collect();
        says.write_all(&said).unwrap();
        while waiting(&hears).unwrap() < said.len() {
            tokio::task::yield_now().await;
        }
        let hears = OwnedFd::from(hears);
        let reading = std::thread::spawn(move || {
            let mut heard = vec![0; 50_010];
            read.read_exact(&mut heard).map(|()| heard)
        });
        assert!(outlet.carry(&hears, said.len()).await.unwrap());
        drop(says);
        assert!(!outlet.carry(&hears, 10).await.unwrap());
        let heard = reading.join().unwrap().unwrap();
        assert!(heard[..said.len()] == said && heard[said.len()..] == [0; 10]);
    }
}
