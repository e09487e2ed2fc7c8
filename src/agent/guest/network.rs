//! The guest's one network interface. QEMU's user network has fixed addresses (QEMU's manual, "Using the user mode network
//! stack"), so nobody has to be asked for one.

use crate::model::{Result, Trying};
use crate::sys::linux::link::{self, LOOPBACK, Links};
use std::fs;
use std::io;
use std::net::Ipv4Addr;

pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const PREFIX: u8 = 24;
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const INTERFACE: &str = "eth0";

/// Connects the guest.
///
/// # Errors
/// There is no interface.
pub fn connect() -> Result<()> {
    // An address of the other kind would only be waited for.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6"), "1");
    let connected = (|| {
        let links = Links::open()?;
        let index = Links::index_of(INTERFACE)?;
        let own = link::address(index, ADDRESS, PREFIX);
        links.change([link::up(LOOPBACK), own, link::up(index), link::default_route(GATEWAY)])?;
        io::Result::Ok(())
    })();
    connected.trying(|| format!("cannot connect the guest through {INTERFACE}"))
}
