//! Network namespaces, and a thread that goes into them so that the rest of the program need not.
//!
//! A socket keeps the namespace of the thread that made it. A thread that has left the namespace of the host cannot
//! come back without rights there, so one thread does nothing but visit.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// A network namespace, alive as long as this is.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<OwnedFd>);

impl Namespace {
    /// The namespace a `/proc/PID/ns/net` or a descriptor under `/proc/PID/fd` leads to.
    ///
    /// # Errors
    /// It does not exist, may not be opened, or is no namespace of the network.
    pub fn open(path: &Path) -> io::Result<Namespace> {
        let file = File::open(path)?;
        Namespace::from_descriptor(file.into())
    }

    /// # Errors
    /// The descriptor is of something else.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Namespace> {
        // SAFETY: NS_GET_NSTYPE takes no argument and answers a number; on anything but a namespace it is refused.
        let kind = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&descriptor), libc::NS_GET_NSTYPE) };
        if kind != libc::CLONE_NEWNET {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a network namespace"));
        }
        Ok(Namespace(Arc::new(descriptor)))
    }

    /// A new descriptor of the same namespace.
    ///
    /// # Errors
    /// Too many are open.
    pub fn to_descriptor(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Whether both are the same namespace.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn is(&self, other: &Namespace) -> io::Result<bool> {
        let number =
            |namespace: &Namespace| Ok::<_, io::Error>(File::from(namespace.to_descriptor()?).metadata()?.ino());
        Ok(number(self)? == number(other)?)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// The thread that visits namespaces. It ends when its last handle is dropped.
#[derive(Clone)]
pub struct Visitor(Sender<Work>);

impl Visitor {
    /// Starts the thread.
    ///
    /// # Errors
    /// No more threads are allowed.
    pub fn start() -> io::Result<Visitor> {
        let (sender, receiver) = channel::<Work>();
        // It makes sockets and short netlink requests: little stack is needed.
        let builder = thread::Builder::new().name("visitor".into()).stack_size(256 * 1024);
        builder.spawn(move || receiver.into_iter().for_each(|work| work()))?;
        Ok(Visitor(sender))
    }

    /// Has `work` done in `namespace`; `done` gets its result, on the visiting thread.
    pub fn send<T: Send + 'static>(
        &self,
        namespace: &Namespace,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
        done: impl FnOnce(io::Result<T>) + Send + 'static,
    ) {
        let namespace = namespace.clone();
        let enter_and_work = move || {
            let entered = setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
            done(entered.and_then(|()| work()));
        };
        // The thread outlives every handle, so there is somebody to take it.
        let _ = self.0.send(Box::new(enter_and_work));
    }

    /// Makes a new namespace; `done` gets it, on the visiting thread.
    pub fn create(&self, done: impl FnOnce(io::Result<Namespace>) + Send + 'static) {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Namespace::open(Path::new("/proc/thread-self/ns/net"))
        };
        let _ = self.0.send(Box::new(move || done(make())));
    }
}
