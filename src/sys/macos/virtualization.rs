//! Virtualization.framework: one machine, run in this process until it ends.
//!
//! Everything the framework does with a machine happens on one serial queue; nothing here touches it elsewhere.

use crate::model::{Failure, Result, Trying};
use crate::sys::virtualization::{DiskCaching, VirtualMachine};
use block2::RcBlock;
use dispatch2::{DispatchQueue, DispatchRetained};
use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2::{AllocAnyThread, DefinedClass, define_class, msg_send};
use objc2_foundation::{NSArray, NSError, NSObject, NSObjectProtocol, NSString, NSURL};
use objc2_virtualization::*;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};

/// Runs `machine` until its guest ends.
///
/// # Errors
/// The framework refuses it (the program is not signed for it, too much memory, a file is missing), or it ended by a
/// fault of its own.
pub fn run(machine: &VirtualMachine) -> Result<()> {
    let listener =
        UnixListener::bind(&machine.socket).trying(|| format!("cannot listen at {}", machine.socket.display()))?;
    let configuration = configuration(machine)?;
    let queue = DispatchQueue::new("devenv.vm", None);
    let (ends, ended) = channel();
    let watcher = Watcher::new(ends.clone());
    // SAFETY: the queue is serial, and from here on the machine is used on it only; the delegate is kept in `OnQueue`
    // as long as the machine, which refers to it weakly.
    let running = unsafe {
        let machine = VZVirtualMachine::initWithConfiguration_queue(VZVirtualMachine::alloc(), &configuration, &queue);
        machine.setDelegate(Some(ProtocolObject::from_ref(&*watcher)));
        OnQueue { machine, _watcher: watcher }
    };
    let (tells, told) = channel();
    let starting = running.clone();
    queue.exec_async(move || starting.start(tells));
    told.recv().unwrap_or_else(|_| Err(Failure::new("the virtual machine ended before it began")))?;
    let port = machine.guest_port;
    std::thread::spawn(move || accept(&listener, &queue, &running, port));
    ended.recv().unwrap_or(Ok(()))
}

fn configuration(wanted: &VirtualMachine) -> Result<Retained<VZVirtualMachineConfiguration>> {
    // SAFETY: plain constructors and setters of new objects that no other thread knows; arguments have the types the
    // framework's headers give, and numbers are checked by it in `validateWithError`.
    unsafe {
        let configuration = VZVirtualMachineConfiguration::new();
        configuration.setCPUCount(wanted.cpus as usize);
        configuration.setMemorySize(wanted.memory_bytes);

        let loader = VZLinuxBootLoader::initWithKernelURL(VZLinuxBootLoader::alloc(), &url(&wanted.kernel));
        loader.setInitialRamdiskURL(Some(&url(&wanted.initramfs)));
        loader.setCommandLine(&NSString::from_str(&wanted.command_line));
        configuration.setBootLoader(Some(&loader));

        let DiskCaching::Cached = wanted.disk_caching;
        let attachment =
            VZDiskImageStorageDeviceAttachment::initWithURL_readOnly_cachingMode_synchronizationMode_error(
                VZDiskImageStorageDeviceAttachment::alloc(),
                &url(&wanted.disk),
                false,
                VZDiskImageCachingMode::Cached,
                VZDiskImageSynchronizationMode::Fsync,
            )
            .map_err(|error| failure(&format!("cannot use the disk {}", wanted.disk.display()), &error))?;
        let disk = VZVirtioBlockDeviceConfiguration::initWithAttachment(
            VZVirtioBlockDeviceConfiguration::alloc(),
            &attachment,
        );
        configuration.setStorageDevices(&NSArray::from_retained_slice(&[disk.into_super()]));

        let network = VZVirtioNetworkDeviceConfiguration::new();
        network.setAttachment(Some(&VZNATNetworkDeviceAttachment::new()));
        configuration.setNetworkDevices(&NSArray::from_retained_slice(&[network.into_super()]));

        let console = VZFileSerialPortAttachment::initWithURL_append_error(
            VZFileSerialPortAttachment::alloc(),
            &url(&wanted.console),
            false,
        )
        .map_err(|error| failure(&format!("cannot write {}", wanted.console.display()), &error))?;
        let port = VZVirtioConsoleDeviceSerialPortConfiguration::new();
        port.setAttachment(Some(&console));
        configuration.setSerialPorts(&NSArray::from_retained_slice(&[port.into_super()]));

        let (socket, entropy, balloon) = (
            VZVirtioSocketDeviceConfiguration::new(),
            VZVirtioEntropyDeviceConfiguration::new(),
            VZVirtioTraditionalMemoryBalloonDeviceConfiguration::new(),
        );
        configuration.setSocketDevices(&NSArray::from_retained_slice(&[socket.into_super()]));
        configuration.setEntropyDevices(&NSArray::from_retained_slice(&[entropy.into_super()]));
        configuration.setMemoryBalloonDevices(&NSArray::from_retained_slice(&[balloon.into_super()]));

        configuration.validateWithError().map_err(|error| failure("cannot make the virtual machine", &error))?;
        Ok(configuration)
    }
}

/// A machine and who watches it.
#[derive(Clone)]
struct OnQueue {
    machine: Retained<VZVirtualMachine>,
    _watcher: Retained<Watcher>,
}

// SAFETY: the machine is used on its own serial queue only, whichever thread runs that; the watcher only sends on a
// channel.
unsafe impl Send for OnQueue {}
// SAFETY: as above; a shared reference is used to make a further owner only.
unsafe impl Sync for OnQueue {}

impl OnQueue {
    fn start(&self, tells: Sender<Result<()>>) {
        let done = RcBlock::new(move |error: *mut NSError| {
            // SAFETY: the framework gives nil or an error that lives as long as this call.
            let outcome = match unsafe { error.as_ref() } {
                None => Ok(()),
                Some(error) => Err(failure("cannot start the virtual machine", error)),
            };
            let _ = tells.send(outcome);
        });
        // SAFETY: called on the machine's queue.
        unsafe { self.machine.startWithCompletionHandler(&done) };
    }

    /// Connects `client` with the guest's port; when the guest does not listen the client sees its end.
    fn connect(&self, client: UnixStream, port: u32) {
        // SAFETY: called on the machine's queue; the only socket device is of the class that was configured.
        let Some(device) = (unsafe { self.machine.socketDevices() }).firstObject() else { return };
        let Ok(device) = device.downcast::<VZVirtioSocketDevice>() else { return };
        let client = std::sync::Mutex::new(Some(client));
        let done = RcBlock::new(move |connection: *mut VZVirtioSocketConnection, _: *mut NSError| {
            // SAFETY: nil, or a connection that lives as long as this call.
            let Some(connection) = (unsafe { connection.as_ref() }) else { return };
            // SAFETY: the descriptor is the connection's, open during this call; what is kept is a copy.
            let copy = unsafe { BorrowedFd::borrow_raw(connection.fileDescriptor()) }.try_clone_to_owned();
            let client = client.lock().ok().and_then(|mut client| client.take());
            if let (Ok(guest), Some(client)) = (copy, client) {
                relay(client, guest);
            }
        });
        // SAFETY: called on the machine's queue.
        unsafe { device.connectToPort_completionHandler(port, &done) };
    }
}

fn accept(listener: &UnixListener, queue: &DispatchRetained<DispatchQueue>, running: &OnQueue, port: u32) {
    for client in listener.incoming().flatten() {
        let running = running.clone();
        queue.exec_async(move || running.connect(client, port));
    }
}

/// Copies both ways until both sides have ended.
fn relay(client: UnixStream, guest: OwnedFd) {
    // A vsock descriptor is read, written and shut down as any socket.
    let guest = UnixStream::from(guest);
    let pair = client.try_clone().and_then(|client| guest.try_clone().map(|guest| (client, guest)));
    let Ok((client_too, guest_too)) = pair else { return };
    let copy = |mut from: UnixStream, mut to: UnixStream| {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    };
    std::thread::spawn(move || copy(client, guest));
    std::thread::spawn(move || copy(guest_too, client_too));
}

define_class!(
    /// Told by the framework when a machine ends.
    // SAFETY: NSObject asks nothing of its subclasses, and there is no Drop.
    #[unsafe(super(NSObject))]
    #[ivars = Sender<Result<()>>]
    struct Watcher;

    // SAFETY: NSObjectProtocol asks nothing.
    unsafe impl NSObjectProtocol for Watcher {}

    // SAFETY: the methods have the signatures of VZVirtualMachineDelegate.
    unsafe impl VZVirtualMachineDelegate for Watcher {
        #[unsafe(method(guestDidStopVirtualMachine:))]
        fn guest_did_stop(&self, _: &VZVirtualMachine) {
            let _ = self.ivars().send(Ok(()));
        }

        #[unsafe(method(virtualMachine:didStopWithError:))]
        fn did_stop_with_error(&self, _: &VZVirtualMachine, error: &NSError) {
            let _ = self.ivars().send(Err(failure("the virtual machine ended", error)));
        }
    }
);

impl Watcher {
    fn new(ends: Sender<Result<()>>) -> Retained<Watcher> {
        let this = Watcher::alloc().set_ivars(ends);
        // SAFETY: NSObject's `init` on a new object.
        unsafe { msg_send![super(this), init] }
    }
}

fn url(path: &Path) -> Retained<NSURL> {
    NSURL::fileURLWithPath(&NSString::from_str(&path.to_string_lossy()))
}

fn failure(what: &str, error: &NSError) -> Failure {
    Failure::because(what, error.localizedDescription().to_string())
}
