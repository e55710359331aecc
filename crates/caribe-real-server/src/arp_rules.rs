//! The nftables rules that keep a machine from speaking ARP for a VIP: equal to Piranha's
//! `arptables -A IN -d VIP -j DROP` and `-A OUT -s VIP -j mangle --mangle-ip-s RIP`.
//!
//! Pure: rules to netfilter's expressions and back.

use std::fmt;
use std::net::Ipv4Addr;

use netlink_packet_netfilter::nftables::{
    ChecksumType, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute,
    Operator, Payload, Register, Verdict, VerdictAttribute,
};
use serde::{Deserialize, Serialize};

/// A rule of our table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArpRule {
    /// Incoming ARP for the VIP is dropped.
    Ignore {
        /// The VIP.
        vip: Ipv4Addr,
    },
    /// Outgoing ARP that names the VIP as its sender names the machine's own address instead.
    Mask {
        /// The VIP.
        vip: Ipv4Addr,
        /// The machine's own address.
        own: Ipv4Addr,
    },
}

impl fmt::Display for ArpRule {
    /// In nft's language.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArpRule::Ignore { vip } => write!(f, "arp daddr ip {vip} drop"),
            ArpRule::Mask { vip, own } => {
                write!(f, "arp saddr ip {vip} arp saddr ip set {own}")
            }
        }
    }
}

/// The base chain that a rule belongs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    Input,
    Output,
}

impl Chain {
    pub(crate) const ALL: [Chain; 2] = [Chain::Input, Chain::Output];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Chain::Input => "input",
            Chain::Output => "output",
        }
    }

    /// The hook's number: NF_ARP_IN, NF_ARP_OUT.
    pub(crate) fn hook(self) -> u32 {
        match self {
            Chain::Input => 0,
            Chain::Output => 1,
        }
    }
}

/// Offset of the sender's protocol address in an ARP packet for IPv4 over Ethernet.
const SENDER: u32 = 14;
/// Offset of the target's protocol address.
const TARGET: u32 = 24;
/// NFT_PAYLOAD_NETWORK_HEADER: offsets count from the ARP header.
const NETWORK_HEADER: u32 = 1;
/// NF_DROP.
const DROP: u32 = 0;

/// What a rule comes down to, stripped of everything that cannot differ.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Load { offset: u32 },
    Equals(Ipv4Addr),
    Take(Ipv4Addr),
    Store { offset: u32 },
    Drop,
}

impl ArpRule {
    pub(crate) fn chain(&self) -> Chain {
        match self {
            ArpRule::Ignore { .. } => Chain::Input,
            ArpRule::Mask { .. } => Chain::Output,
        }
    }

    pub(crate) fn expressions(&self) -> Vec<ListAttribute<ExpressionAttribute>> {
        let steps = self.steps();
        steps.iter().map(|step| step.expression().into()).collect()
    }

    /// The rule that expressions of the kernel stand for; `None` when they are not of our making.
    pub(crate) fn recognise(expressions: &[ListAttribute<ExpressionAttribute>]) -> Option<Self> {
        let steps: Vec<Step> = expressions
            .iter()
            .map(|item| Step::from_expression(expression(item)?))
            .collect::<Option<_>>()?;
        match *steps.as_slice() {
            [Step::Load { offset: TARGET }, Step::Equals(vip), Step::Drop] => {
                Some(ArpRule::Ignore { vip })
            }
            [
                Step::Load { offset: SENDER },
                Step::Equals(vip),
                Step::Take(own),
                Step::Store { offset: SENDER },
            ] => Some(ArpRule::Mask { vip, own }),
            _ => None,
        }
    }

    fn steps(&self) -> Vec<Step> {
        match *self {
            ArpRule::Ignore { vip } => {
                vec![Step::Load { offset: TARGET }, Step::Equals(vip), Step::Drop]
            }
            ArpRule::Mask { vip, own } => vec![
                Step::Load { offset: SENDER },
                Step::Equals(vip),
                Step::Take(own),
                Step::Store { offset: SENDER },
            ],
        }
    }
}

fn expression(item: &ListAttribute<ExpressionAttribute>) -> Option<&Expressions> {
    let ListAttribute::Element(attributes) = item else {
        return None;
    };
    attributes.iter().find_map(|attribute| match attribute {
        ExpressionAttribute::Data(expressions) => Some(expressions),
        _ => None,
    })
}

impl Step {
    fn expression(&self) -> Expressions {
        let value = |address: &Ipv4Addr| DataAttribute::Value(address.octets().to_vec());
        match self {
            Step::Load { offset } => Expressions::Payload(vec![
                Payload::DestinationRegister(Register::Reg1),
                Payload::Base(NETWORK_HEADER),
                Payload::Offset(*offset),
                Payload::Len(4),
            ]),
            Step::Equals(address) => Expressions::Cmp(vec![
                Cmp::SourceRegister(Register::Reg1),
                Cmp::Op(Operator::Equal),
                Cmp::Data(value(address)),
            ]),
            Step::Take(address) => Expressions::Immediate(vec![
                Immediate::DestinationRegister(Register::Reg1),
                Immediate::Data(value(address)),
            ]),
            Step::Store { offset } => Expressions::Payload(vec![
                Payload::SourceRegister(Register::Reg1),
                Payload::Base(NETWORK_HEADER),
                Payload::Offset(*offset),
                Payload::Len(4),
                Payload::CsumType(ChecksumType::None),
            ]),
            Step::Drop => Expressions::Immediate(vec![
                Immediate::DestinationRegister(Register::Verdict),
                Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(
                    Verdict::Other(DROP),
                )])),
            ]),
        }
    }

    fn from_expression(expression: &Expressions) -> Option<Self> {
        match expression {
            Expressions::Payload(attributes) => Self::from_payload(attributes),
            Expressions::Cmp(attributes) => {
                let equal = attributes.contains(&Cmp::Op(Operator::Equal));
                attributes.iter().find_map(|attribute| match attribute {
                    Cmp::Data(data) if equal => address(data).map(Step::Equals),
                    _ => None,
                })
            }
            Expressions::Immediate(attributes) => {
                attributes.iter().find_map(|attribute| match attribute {
                    Immediate::Data(DataAttribute::Verdict(verdict)) => verdict
                        .contains(&VerdictAttribute::Code(Verdict::Other(DROP)))
                        .then_some(Step::Drop),
                    Immediate::Data(data) => address(data).map(Step::Take),
                    _ => None,
                })
            }
            _ => None,
        }
    }

    fn from_payload(attributes: &[Payload]) -> Option<Self> {
        let (mut store, mut offset, mut ours) = (false, None, 0);
        for attribute in attributes {
            match attribute {
                Payload::SourceRegister(_) => store = true,
                Payload::Offset(value) => offset = Some(*value),
                Payload::Base(NETWORK_HEADER) | Payload::Len(4) => ours += 1,
                _ => {}
            }
        }
        let offset = offset.filter(|_| ours == 2)?;
        Some(if store {
            Step::Store { offset }
        } else {
            Step::Load { offset }
        })
    }
}

fn address(data: &DataAttribute) -> Option<Ipv4Addr> {
    match data {
        DataAttribute::Value(bytes) => <[u8; 4]>::try_from(bytes.as_slice()).ok().map(Into::into),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
    const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    #[test]
    fn rules_are_recognised_from_their_own_expressions() {
        for rule in [
            ArpRule::Ignore { vip: VIP },
            ArpRule::Mask { vip: VIP, own: OWN },
        ] {
            assert_eq!(ArpRule::recognise(&rule.expressions()), Some(rule));
        }
    }

    #[test]
    fn other_rules_are_not_taken_for_ours() {
        let mut shortened = ArpRule::Ignore { vip: VIP }.expressions();
        shortened.pop();
        assert_eq!(ArpRule::recognise(&shortened), None);
        let mut reversed = ArpRule::Mask { vip: VIP, own: OWN }.expressions();
        reversed.reverse();
        assert_eq!(ArpRule::recognise(&reversed), None);
        assert_eq!(ArpRule::recognise(&[]), None);
    }
}
