//! Our nftables table, through netlink: read, replaced as a whole, removed.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook, HookNumber, NfTablesMessage, RuleAttribute, RuleMessage,
    TableAttribute, TableMessage,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use crate::arp_rules::{ArpRule, Chain};

/// The name of our table, in family arp.
pub(crate) const TABLE: &str = "caribe_real_server";

/// NFNL_SUBSYS_NFTABLES, the addressee of a batch.
const NFTABLES: u16 = 10;
/// NF_ACCEPT, the policy of our chains.
const ACCEPT: u32 = 1;

/// The rules of our table as the kernel has them; `None` when there is no table. A rule that is
/// not of our making is left out.
///
/// # Errors
///
/// What the kernel refused.
pub(crate) fn rules() -> io::Result<Option<Vec<ArpRule>>> {
    let mut connection = Connection::open()?;
    let table = NfTablesMessage::GetTable(TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.to_owned())],
    });
    match connection.exchange(vec![request(table, 0)]) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let rules = NfTablesMessage::GetRule(RuleMessage {
        attributes: vec![RuleAttribute::Table(TABLE.to_owned())],
    });
    let answers = connection.exchange(vec![request(rules, NLM_F_DUMP)])?;
    Ok(Some(answers.iter().filter_map(rule_of).collect()))
}

/// Makes our table hold exactly these rules, in one transaction.
///
/// # Errors
///
/// What the kernel refused; nothing is changed then.
pub(crate) fn replace(rules: &[ArpRule]) -> io::Result<()> {
    let mut messages = removal();
    messages.push(create(table()));
    for chain in Chain::ALL {
        messages.push(create(NfTablesMessage::NewChain(ChainMessage {
            attributes: vec![
                ChainAttribute::Table(TABLE.to_owned()),
                ChainAttribute::Name(chain.name().to_owned()),
                ChainAttribute::Hook(vec![
                    Hook::Number(HookNumber::Other(chain.hook())),
                    Hook::Priority(0),
                ]),
                ChainAttribute::Policy(ACCEPT),
                ChainAttribute::Type("filter".to_owned()),
            ],
        })));
    }
    for rule in rules {
        let rule = NfTablesMessage::NewRule(RuleMessage {
            attributes: vec![
                RuleAttribute::Table(TABLE.to_owned()),
                RuleAttribute::Chain(rule.chain().name().to_owned()),
                RuleAttribute::Expressions(rule.expressions()),
            ],
        });
        messages.push(request(rule, NLM_F_CREATE | NLM_F_APPEND));
    }
    transact(messages)
}

/// Removes our table; it need not be there.
///
/// # Errors
///
/// What the kernel refused.
pub(crate) fn remove() -> io::Result<()> {
    transact(removal())
}

/// Creating first makes the deletion succeed whether or not the table is there.
fn removal() -> Vec<NetlinkMessage<NetfilterMessage>> {
    let deletion = NfTablesMessage::DeleteTable(TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.to_owned())],
    });
    vec![create(table()), request(deletion, 0)]
}

fn table() -> NfTablesMessage {
    NfTablesMessage::NewTable(TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.to_owned())],
    })
}

fn create(message: NfTablesMessage) -> NetlinkMessage<NetfilterMessage> {
    request(message, NLM_F_CREATE)
}

/// Every request is acknowledged: by NLM_F_ACK, or by the end of its dump.
fn request(message: NfTablesMessage, flags: u16) -> NetlinkMessage<NetfilterMessage> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::ARP, 0, 0);
    let mut message = NetlinkMessage::from(NetfilterMessage::new(header, message));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message
}

fn transact(mut messages: Vec<NetlinkMessage<NetfilterMessage>>) -> io::Result<()> {
    let bracket = |message| {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES);
        let mut message = NetlinkMessage::from(NetfilterMessage::new(header, message));
        message.header.flags = NLM_F_REQUEST;
        message
    };
    messages.insert(0, bracket(ControlMessage::BatchBegin));
    messages.push(bracket(ControlMessage::BatchEnd));
    Connection::open()?.exchange(messages).map(drop)
}

fn rule_of(message: &NetfilterMessage) -> Option<ArpRule> {
    let NetfilterMessageInner::NfTables(NfTablesMessage::NewRule(rule)) = &message.inner else {
        return None;
    };
    // Kernels before 5.19 do not filter a dump by table.
    let ours = rule
        .attributes
        .contains(&RuleAttribute::Table(TABLE.to_owned()));
    rule.attributes
        .iter()
        .find_map(|attribute| match attribute {
            RuleAttribute::Expressions(expressions) if ours => ArpRule::recognise(expressions),
            _ => None,
        })
}

struct Connection {
    socket: Socket,
    sequence: u32,
}

impl Connection {
    /// A socket in the network namespace of the calling thread.
    fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel handles a request while it is being sent and queues all its answers, so
        // there is nothing to wait for: a lost answer shows as WouldBlock, not as a hang.
        socket.set_non_blocking(true)?;
        Ok(Connection {
            socket,
            sequence: 0,
        })
    }

    /// Sends messages as one datagram and gathers the answers until each message that asks for
    /// it is acknowledged, or one is refused.
    fn exchange(
        &mut self,
        messages: Vec<NetlinkMessage<NetfilterMessage>>,
    ) -> io::Result<Vec<NetfilterMessage>> {
        let mut bytes = Vec::new();
        let mut unanswered = 0;
        for mut message in messages {
            self.sequence += 1;
            message.header.sequence_number = self.sequence;
            if message.header.flags & NLM_F_ACK != 0 {
                unanswered += 1;
            }
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len(), 0);
            message.serialize(&mut bytes[start..]);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        while unanswered > 0 {
            unanswered -= self.receive(&mut answers)?;
        }
        Ok(answers)
    }

    /// Takes one datagram of answers in; tells how many requests it completes.
    fn receive(&self, answers: &mut Vec<NetfilterMessage>) -> io::Result<usize> {
        let (datagram, _) = self.socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        let mut completed = 0;
        while !rest.is_empty() {
            let message = NetlinkMessage::<NetfilterMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            let length = message.header.length as usize;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => completed += 1,
                _ => {}
            }
            rest = rest
                .get(length.next_multiple_of(4).max(16)..)
                .unwrap_or_default();
        }
        Ok(completed)
    }
}
