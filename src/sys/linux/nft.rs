//! Packet rules (nf_tables) that bring what leaves a bridge to sockets of ours, each rule set replaced in one step.

use super::netlink::{ACKNOWLEDGE, APPEND, CREATE, Message, Netlink};
use std::io;
use std::net::Ipv4Addr;

// linux/netfilter/nf_tables.h: messages, with NFNL_SUBSYS_NFTABLES (10) in the high byte.
const NEW_TABLE: u16 = 0xa00;
const DELETE_TABLE: u16 = 0xa02;
const NEW_CHAIN: u16 = 0xa03;
const NEW_RULE: u16 = 0xa06;
/// `NFNL_MSG_BATCH_BEGIN` and `_END`.
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
/// `NFPROTO_IPV4`
const IPV4: u8 = 2;
/// The register rules compute in (`NFT_REG_1`).
const REGISTER: [u8; 4] = be(1);
/// Fields of the IPv4 header: offset and length.
const DESTINATION: (u32, u32) = (16, 4);
/// The destination port in a TCP or UDP header.
const PORT: (u32, u32) = (2, 2);

/// The packets a rule means: those to `destination`/`prefix`, or those to anywhere else.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

/// IP protocol numbers.
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// The packet rules of a namespace, one table for each purpose.
///
/// One socket for all of them: closing one makes the kernel wait, and the next change with it.
pub struct Rules {
    socket: Netlink,
    /// Whether tables of ours may be there already.
    may_exist: bool,
}

impl Rules {
    /// Those of the calling thread's namespace; `may_exist`: an earlier process may have left tables, which are
    /// replaced.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT`: the kernel has no netfilter.
    pub fn open(may_exist: bool) -> io::Result<Rules> {
        Ok(Rules { socket: Netlink::netfilter()?, may_exist })
    }

    /// Sends TCP that enters this namespace for anywhere but `inside` to our listener on `port`; its own address is told
    /// by `SO_ORIGINAL_DST`. Connections made to `port` itself are sent to the port `closed`, where nothing listens.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `ENOENT`, `EPROTONOSUPPORT`: the kernel lacks nf_tables or its NAT.
    pub fn redirect_tcp(&self, table: &str, inside: Network, port: u16, closed: u16) -> io::Result<()> {
        let refuse = Rule::new()
            .protocol(TCP)
            .equals(Base::Transport, PORT, &port.to_be_bytes())
            .destination_in(inside)
            .redirect(closed);
        let redirect = Rule::new().protocol(TCP).destination_not_in(inside).redirect(port);
        // Priority -100 is where destinations are rewritten (NF_IP_PRI_NAT_DST).
        self.put(table, "nat", -100, vec![refuse, redirect])
    }

    /// Sends UDP that enters this namespace for anywhere but `inside` to our transparent socket on `port`, unchanged.
    /// The packets get the firewall mark `mark`, by which a route has to deliver them here.
    ///
    /// # Errors
    /// As [`Rules::redirect_tcp`]; transparent proxying is a part of its own.
    pub fn capture_udp(&self, table: &str, inside: Network, port: u16, mark: u8) -> io::Result<()> {
        let rule = Rule::new().protocol(UDP).destination_not_in(inside).transparent(port).mark(mark).accept();
        // Priority -150 is before routing and before addresses are rewritten (NF_IP_PRI_MANGLE).
        self.put(table, "filter", -150, vec![rule])
    }

    /// Gives ICMP that enters this namespace for anywhere but `inside` the firewall mark `mark`.
    ///
    /// # Errors
    /// As [`Rules::redirect_tcp`].
    pub fn mark_icmp(&self, table: &str, inside: Network, mark: u8) -> io::Result<()> {
        let rule = Rule::new().protocol(ICMP).destination_not_in(inside).mark(mark).accept();
        self.put(table, "filter", -150, vec![rule])
    }

    /// Makes the table with one chain at the prerouting hook, in one transaction.
    fn put(&self, table: &str, chain_kind: &str, priority: i32, rules: Vec<Rule>) -> io::Result<()> {
        const CHAIN: &str = "entering";
        let message = |kind, flags| Message::new(kind, flags | ACKNOWLEDGE).raw(&[IPV4, 0, 0, 0]);
        let mut messages = Vec::new();
        if self.may_exist {
            // Making it first lets the deletion find something.
            messages.push(message(NEW_TABLE, CREATE).text(1, table));
            messages.push(message(DELETE_TABLE, 0).text(1, table));
        }
        messages.extend([
            message(NEW_TABLE, CREATE).text(1, table),
            // NFTA_CHAIN_TABLE 1, _NAME 3, _HOOK 4 (number 0: prerouting; priority), _TYPE 7
            message(NEW_CHAIN, CREATE)
                .text(1, table)
                .text(3, CHAIN)
                .nest(4, |hook| hook.attribute(1, &be(0)).attribute(2, &priority.to_be_bytes()))
                .text(7, chain_kind),
        ]);
        for rule in rules {
            // NFTA_RULE_TABLE 1, _CHAIN 2, _EXPRESSIONS 4
            let head = message(NEW_RULE, CREATE | APPEND).text(1, table).text(2, CHAIN);
            messages.push(head.nest(4, |list| rule.0.into_iter().fold(list, |list, fill| fill(list))));
        }
        // struct nfgenmsg of the batch: family, version, subsystem 10.
        let edge = |kind| Message::new(kind, 0).raw(&[0, 0, 0, 10]);
        self.socket.batch(edge(BATCH_BEGIN), messages, edge(BATCH_END))
    }
}

const fn be(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

type Fill = Box<dyn FnOnce(Message) -> Message>;

/// Which header an offset counts from (`enum nft_payload_bases`).
#[derive(Clone, Copy)]
enum Base {
    Network = 1,
    Transport = 2,
}

/// A rule: expressions the kernel evaluates in order until one does not match.
struct Rule(Vec<Fill>);

impl Rule {
    fn new() -> Rule {
        Rule(Vec::new())
    }

    /// Adds an expression: NFTA_LIST_ELEM 1 holding NFTA_EXPR_NAME 1 and NFTA_EXPR_DATA 2.
    fn expression(mut self, name: &'static str, data: impl FnOnce(Message) -> Message + 'static) -> Rule {
        self.0.push(Box::new(move |list| list.nest(1, |element| element.text(1, name).nest(2, data))));
        self
    }

    /// NFTA_CMP_SREG 1, _OP 2 (0 equal, 1 not equal), _DATA 3 (NFTA_DATA_VALUE 1)
    fn compare(self, operator: u32, value: Vec<u8>) -> Rule {
        self.expression("cmp", move |data| {
            data.attribute(1, &REGISTER).attribute(2, &be(operator)).nest(3, |holder| holder.attribute(1, &value))
        })
    }

    /// NFTA_PAYLOAD_DREG 1, _BASE 2, _OFFSET 3, _LEN 4
    fn load(self, base: Base, field: (u32, u32)) -> Rule {
        self.expression("payload", move |data| {
            let data = data.attribute(1, &REGISTER).attribute(2, &be(base as u32));
            data.attribute(3, &be(field.0)).attribute(4, &be(field.1))
        })
    }

    fn equals(self, base: Base, field: (u32, u32), value: &[u8]) -> Rule {
        self.load(base, field).compare(0, value.to_vec())
    }

    /// The protocol above IP: NFTA_META_DREG 1, _KEY 2 (16: NFT_META_L4PROTO)
    fn protocol(self, number: u8) -> Rule {
        let load = |data: Message| data.attribute(1, &REGISTER).attribute(2, &be(16));
        self.expression("meta", load).compare(0, vec![number])
    }

    fn destination_in(self, network: Network) -> Rule {
        self.load_network(network).compare(0, network.address.octets().to_vec())
    }

    fn destination_not_in(self, network: Network) -> Rule {
        self.load_network(network).compare(1, network.address.octets().to_vec())
    }

    /// NFTA_BITWISE_SREG 1, _DREG 2, _LEN 3, _MASK 4, _XOR 5
    fn load_network(self, network: Network) -> Rule {
        let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix)).unwrap_or(0);
        self.load(Base::Network, DESTINATION).expression("bitwise", move |data| {
            data.attribute(1, &REGISTER)
                .attribute(2, &REGISTER)
                .attribute(3, &be(4))
                .nest(4, |holder| holder.attribute(1, &be(mask)))
                .nest(5, |holder| holder.attribute(1, &be(0)))
        })
    }

    /// NFTA_IMMEDIATE_DREG 1, _DATA 2
    fn set(self, value: Vec<u8>) -> Rule {
        self.expression("immediate", move |data| {
            data.attribute(1, &REGISTER).nest(2, |holder| holder.attribute(1, &value))
        })
    }

    /// NFTA_REDIR_REG_PROTO_MIN 1
    fn redirect(self, port: u16) -> Rule {
        self.set(port.to_be_bytes().to_vec()).expression("redir", |data| data.attribute(1, &REGISTER))
    }

    /// NFTA_TPROXY_FAMILY 1, _REG_PORT 3
    fn transparent(self, port: u16) -> Rule {
        let family = be(u32::from(IPV4));
        let steer = move |data: Message| data.attribute(1, &family).attribute(3, &REGISTER);
        self.set(port.to_be_bytes().to_vec()).expression("tproxy", steer)
    }

    /// NFTA_META_KEY 2 (3: NFT_META_MARK), NFTA_META_SREG 3
    fn mark(self, mark: u8) -> Rule {
        let write = |data: Message| data.attribute(2, &be(3)).attribute(3, &REGISTER);
        self.set(u32::from(mark).to_ne_bytes().to_vec()).expression("meta", write)
    }

    /// Register 0 is the verdict; NFTA_DATA_VERDICT 2 with NFTA_VERDICT_CODE 1: NF_ACCEPT.
    fn accept(self) -> Rule {
        self.expression("immediate", |data| {
            let verdict = |holder: Message| holder.nest(2, |verdict| verdict.attribute(1, &be(1)));
            data.attribute(1, &be(0)).nest(2, verdict)
        })
    }
}
