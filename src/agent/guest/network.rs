//! The guest's one network interface, with the address that the host's DHCP server gives: that of QEMU's user network, or of
//! macOS.

use super::dhcp::{self, Lease};
use super::{complain, files};
use crate::model::{Result, Trying};
use crate::sys::linux::link::{self, LOOPBACK, Links};
use std::fs;
use std::io;
use std::time::Duration;

const INTERFACE: &str = "eth0";

/// After a lease could not be renewed. A computer may sleep over its end: the address is kept meanwhile, since nobody
/// else asks for one.
const PAUSE: Duration = Duration::from_secs(60);

/// Connects the guest.
///
/// # Errors
/// There is no interface, or nobody gives an address.
pub fn connect() -> Result<Lease> {
    let trying = || format!("cannot connect the guest through {INTERFACE}");
    // An address of the other kind would only be waited for.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6"), "1");
    let up = (|| {
        let links = Links::open()?;
        links.change([link::up(LOOPBACK), link::up(Links::index_of(INTERFACE)?)])?;
        io::Result::Ok(links)
    })();
    let links = up.trying(trying)?;
    let lease = dhcp::ask(INTERFACE, None).trying(trying)?;
    take(&links, &lease).trying(trying)?;
    Ok(lease)
}

fn take(links: &Links, lease: &Lease) -> io::Result<()> {
    let index = Links::index_of(INTERFACE)?;
    links.ensure(link::address(index, lease.address, lease.prefix))?;
    lease.gateway.map_or(Ok(()), |gateway| links.ensure(link::default_route(gateway)))
}

/// Renews the lease before it ends, again and again. When another address is given, it is used beside the old one.
pub fn keep(mut lease: Lease) {
    while let Some(pause) = lease.renew_after {
        std::thread::sleep(pause);
        let renewed = dhcp::ask(INTERFACE, Some(lease.address)).and_then(|renewed| {
            if renewed.name_servers != lease.name_servers {
                files::write_name_servers(&renewed.name_servers)?;
            }
            let links = Links::open().trying(|| "cannot talk to the network")?;
            take(&links, &renewed).trying(|| "cannot use the address").map(|()| renewed)
        });
        match renewed {
            Ok(renewed) => lease = renewed,
            Err(failure) => {
                complain(&failure);
                lease.renew_after = Some(PAUSE);
            }
        }
    }
}
