//! Pings of boxes to the outside, where this user may ping at all.

use super::egress::may_reach;
use crate::sys::linux::icmp::{self, Echo};
use crate::sys::linux::nft::Network;
use crate::sys::linux::udp::receive;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long an answer is waited for; programs that ping give up sooner.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pings on their way; more are dropped.
const AT_ONCE: usize = 256;

/// Whether this user may ping: a socket that is not used tells.
pub fn is_allowed() -> bool {
    icmp::ping(Ipv4Addr::LOCALHOST).is_ok()
}

/// Serves the socket that hears the pings of all boxes, until dropped. The router's own address answers by itself.
pub async fn serve(heard: UdpSocket, gateway: Ipv4Addr, inside: Network) {
    let heard = Arc::new(heard);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(Some(echo)) = receive(&heard, icmp::read_request).await else { continue };
        if echo.to == gateway {
            let _ = icmp::answer(&*heard, &echo);
            continue;
        }
        let Ok(permit) = room.clone().try_acquire_owned() else { continue };
        if may_reach(echo.to, inside) {
            let heard = heard.clone();
            tokio::spawn(async move {
                if let Ok(Ok(())) = timeout(PATIENCE, pass_on(&echo)).await {
                    let _ = icmp::answer(&*heard, &echo);
                }
                drop(permit);
            });
        }
    }
}

/// Pings for the box; returns when the reply is there.
async fn pass_on(echo: &Echo) -> io::Result<()> {
    let outward = UdpSocket::from_std(icmp::ping(echo.to)?)?;
    icmp::forward(&outward, echo)?;
    while !receive(&outward, |packet| icmp::is_reply(packet, echo)).await? {}
    Ok(())
}
