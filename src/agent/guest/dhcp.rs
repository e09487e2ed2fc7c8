//! Asking for an address (RFC 2131, DHCP), as a client that has none.

use crate::model::{Failure, Result, Trying};
use crate::sys::linux::udp;
use crate::sys::process::random;
use dhcproto::v4::{self, DhcpOption, Flags, Message, MessageType, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long each question waits for its answer: the first may be lost while the interface comes up.
const PATIENCES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// A message has at most this size unless the client asks for more (RFC 2131, section 2), on a common network.
const LONGEST_MESSAGE_BYTES: usize = 1500;
/// A server that gives shorter leases is asked again after this time.
const LEAST_PAUSE: Duration = Duration::from_secs(60);

/// An address for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// Bits of the network's part of the address.
    pub prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    pub name_servers: Vec<Ipv4Addr>,
    /// When to ask again; `None`: it is for ever.
    pub renew_after: Option<Duration>,
}

/// Asks for an address for `interface`, which has to be up; for `known`, when it had one.
///
/// # Errors
/// There is no such interface, or nobody answers.
pub fn ask(interface: &str, known: Option<Ipv4Addr>) -> Result<Lease> {
    let path = format!("/sys/class/net/{interface}/address");
    let hardware = std::fs::read_to_string(&path).trying(|| format!("cannot read {path}"))?;
    let hardware = parse_hardware(hardware.trim()).ok_or_else(|| Failure::new(format!("{path} holds no address")))?;
    let socket = udp::broadcaster(interface, v4::CLIENT_PORT).trying(|| "cannot ask for an address")?;
    for patience in PATIENCES {
        let asking = Asking { socket: &socket, hardware, transaction: u32::from_be_bytes(random()?), patience };
        if let Some(lease) = asking.lease(known).trying(|| "cannot ask for an address")? {
            return Ok(lease);
        }
    }
    Err(Failure::new("no DHCP server gives an address"))
}

fn parse_hardware(text: &str) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets?.try_into().ok()
}

/// One exchange: an offer and its confirmation.
struct Asking<'a> {
    socket: &'a UdpSocket,
    hardware: [u8; 6],
    transaction: u32,
    patience: Duration,
}

impl Asking<'_> {
    fn lease(&self, known: Option<Ipv4Addr>) -> std::io::Result<Option<Lease>> {
        let mut discover = self.message(MessageType::Discover);
        if let Some(address) = known {
            discover.opts_mut().insert(DhcpOption::RequestedIpAddress(address));
        }
        self.send(&discover)?;
        let Some(offer) = self.answer(MessageType::Offer)? else { return Ok(None) };
        let mut request = self.message(MessageType::Request);
        request.opts_mut().insert(DhcpOption::RequestedIpAddress(offer.yiaddr()));
        if let Some(server) = offer.opts().get(OptionCode::ServerIdentifier) {
            request.opts_mut().insert(server.clone());
        }
        self.send(&request)?;
        Ok(self.answer(MessageType::Ack)?.and_then(|confirmed| read(&confirmed)))
    }

    fn message(&self, kind: MessageType) -> Message {
        let mut message = Message::default();
        // Without an address yet only what goes to everybody arrives.
        message.set_xid(self.transaction).set_flags(Flags::default().set_broadcast()).set_chaddr(&self.hardware);
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ParameterRequestList(vec![
            OptionCode::SubnetMask,
            OptionCode::Router,
            OptionCode::DomainNameServer,
        ]));
        message
    }

    fn send(&self, message: &Message) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        message.encode(&mut Encoder::new(&mut bytes)).map_err(std::io::Error::other)?;
        let everybody = SocketAddr::from((Ipv4Addr::BROADCAST, v4::SERVER_PORT));
        self.socket.send_to(&bytes, everybody).map(|_| ())
    }

    /// The answer to what was asked; `None` when there is none in time.
    fn answer(&self, kind: MessageType) -> std::io::Result<Option<Message>> {
        let deadline = Instant::now() + self.patience;
        let mut bytes = [0; LONGEST_MESSAGE_BYTES];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            let Ok(length) = self.socket.recv(&mut bytes) else { continue };
            if let Ok(message) = Message::decode(&mut Decoder::new(&bytes[..length]))
                && self.is_meant_by(&message)
                && message.opts().msg_type() == Some(kind)
            {
                return Ok(Some(message));
            }
        }
    }

    fn is_meant_by(&self, message: &Message) -> bool {
        message.opcode() == v4::Opcode::BootReply
            && message.xid() == self.transaction
            && message.chaddr() == self.hardware
    }
}

/// What a confirmation gives; `None`: no address that can be used.
fn read(confirmed: &Message) -> Option<Lease> {
    let options = confirmed.opts();
    let mask = match options.get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => u32::from(*mask),
        _ => return None,
    };
    let gateway = match options.get(OptionCode::Router) {
        Some(DhcpOption::Router(routers)) => routers.first().copied(),
        _ => None,
    };
    let name_servers = match options.get(OptionCode::DomainNameServer) {
        Some(DhcpOption::DomainNameServer(servers)) => servers.clone(),
        _ => Vec::new(),
    };
    // Half of the lease's time (RFC 2131, section 4.4.5); all ones: for ever (section 3.3).
    let renew_after = match options.get(OptionCode::AddressLeaseTime) {
        None | Some(DhcpOption::AddressLeaseTime(u32::MAX)) => None,
        Some(DhcpOption::AddressLeaseTime(seconds)) => {
            Some(Duration::from_secs(u64::from(seconds / 2)).max(LEAST_PAUSE))
        }
        Some(_) => return None,
    };
    let is_usable = !confirmed.yiaddr().is_unspecified() && mask.leading_ones() == mask.count_ones();
    let prefix = u8::try_from(mask.leading_ones()).ok()?;
    is_usable.then_some(Lease { address: confirmed.yiaddr(), prefix, gateway, name_servers, renew_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmation(mask: [u8; 4], seconds: u32) -> Message {
        let mut message = Message::default();
        message.set_yiaddr([10, 0, 2, 15]);
        for option in [
            DhcpOption::SubnetMask(mask.into()),
            DhcpOption::Router(vec![[10, 0, 2, 2].into()]),
            DhcpOption::DomainNameServer(vec![[10, 0, 2, 3].into(), [10, 0, 2, 4].into()]),
            DhcpOption::AddressLeaseTime(seconds),
        ] {
            message.opts_mut().insert(option);
        }
        message
    }

    #[test]
    fn a_confirmation_is_read() {
        let lease = read(&confirmation([255, 255, 255, 0], 86400)).unwrap();
        assert_eq!((lease.address, lease.prefix), (Ipv4Addr::new(10, 0, 2, 15), 24));
        assert_eq!(lease.gateway, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(lease.name_servers.len(), 2);
        assert_eq!(lease.renew_after, Some(Duration::from_secs(43200)));
        assert_eq!(read(&confirmation([255, 255, 255, 0], 10)).unwrap().renew_after, Some(LEAST_PAUSE));
        assert_eq!(read(&confirmation([255, 255, 255, 0], u32::MAX)).unwrap().renew_after, None);
        assert_eq!(read(&confirmation([255, 0, 255, 0], 10)), None);
        assert_eq!(read(&Message::default()), None);
    }

    #[test]
    fn a_hardware_address_is_read() {
        assert_eq!(parse_hardware("52:54:00:12:34:5f"), Some([0x52, 0x54, 0, 0x12, 0x34, 0x5f]));
        assert_eq!(parse_hardware("52:54:00"), None);
        assert_eq!(parse_hardware(""), None);
    }
}
