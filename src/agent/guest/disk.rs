//! The data disk: everything the guest keeps. It begins as the pack's template and grows with the device; nothing is
//! formatted here.

use super::{complain, files};
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::ext4;
use crate::sys::linux::mount::{AccessTime, Attributes, mount_on};
use crate::sys::linux::uevent::Events;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const DEVICE: &str = "/dev/vda";
const NAME: &str = "vda";
/// Where it is mounted.
pub const FOLDER: &str = "/data";
/// In /sys/class/block/NAME/size, whatever the disk's own.
const SECTOR_BYTES: u64 = 512;
/// Offset of the magic number of ext4 in its first superblock, and the number (linux/fs/ext4/ext4.h).
const MAGIC_OFFSET: u64 = 1024 + 56;
const MAGIC: [u8; 2] = [0x53, 0xef];

/// Mounts it.
///
/// # Errors
/// There is none, or it is damaged.
pub fn mount() -> Result<()> {
    let attributes = Attributes { no_suid: false, access_time: AccessTime::Never, ..Attributes::default() };
    // What is damaged is not written to any more; blocks that were freed are given back to the host.
    let mounted = mount_on(Path::new(FOLDER), "ext4", DEVICE, "discard,errors=remount-ro", attributes);
    mounted.map_err(explain)
}

/// Makes what has to be on it.
///
/// # Errors
/// It is full, or damaged.
pub fn make_folders() -> Result<()> {
    fs::create_dir_all(files::HOME).trying(|| format!("cannot make {} on the guest's disk", files::HOME))
}

/// Why it could not be mounted, in words that tell what to do.
fn explain(failure: Failure) -> Failure {
    let reason = match has_file_system() {
        Err(_) => "the VM has no disk",
        Ok(false) => "the VM's disk holds no file system of ours",
        Ok(true) => "the VM's disk is damaged",
    };
    Failure::because(reason, failure).hint("`devenv vm rm` makes a new one; what is on it is lost")
}

fn has_file_system() -> std::io::Result<bool> {
    let mut device = File::open(DEVICE)?;
    let mut magic = [0; 2];
    device.seek(SeekFrom::Start(MAGIC_OFFSET))?;
    device.read_exact(&mut magic)?;
    Ok(magic == MAGIC)
}

/// Lets the file system fill its device, now and whenever that has grown. Never returns in a guest whose kernel tells.
pub fn follow_size() {
    let events = Events::open();
    grow();
    let Ok(events) = events else { return };
    while let Ok(event) = events.next() {
        let concerns = |event: &crate::sys::linux::uevent::Event| {
            event.action == "change" && event.device.ends_with(&format!("/{NAME}"))
        };
        if event.as_ref().is_none_or(concerns) {
            grow();
        }
    }
}

/// Lets the file system fill its device.
pub fn grow() {
    let grown = fs::read_to_string(format!("/sys/class/block/{NAME}/size")).and_then(|text| {
        let sectors: u64 = text.trim().parse().map_err(std::io::Error::other)?;
        ext4::grow(Path::new(FOLDER), sectors * SECTOR_BYTES)
    });
    if let Err(error) = grown {
        complain(&Failure::because("cannot let the guest's file system fill its disk", error));
    }
}
