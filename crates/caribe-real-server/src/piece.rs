//! The pieces that make a machine a real server of a VIP, and whether each is in place.
//!
//! The plan of `up` and the answer of `status` both come from here, so that they cannot differ.

use std::net::IpAddr;

use crate::arp_rules::ArpRule;
use crate::facts::Facts;
use crate::request::{ArpMode, Method, Request, prefix};
use crate::setting::{Key, effective};

/// One condition that must hold for a VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The VIP is an address of the machine, where it belongs.
    Address { interface: String, vip: IpAddr },
    /// No interface but `lo` has the VIP, so that no neighbour solicitation for it is answered.
    Silent { vip: IpAddr },
    /// The kernel's setting, whose effective value on the interface must be fit.
    Setting { key: Key },
    /// A rule of our nftables table.
    ArpRule(ArpRule),
    /// Our program is on the interface.
    Decapsulator,
    /// And it knows the VIP.
    Decapsulates { vip: IpAddr },
}

/// How a piece was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// It is as it must be.
    pub(crate) in_place: bool,
    /// What there is, in words.
    pub(crate) detail: String,
}

/// The pieces of one VIP.
pub(crate) fn pieces(vip: IpAddr, method: Method, request: &Request, facts: &Facts) -> Vec<Piece> {
    let mut pieces = vec![Piece::Address {
        interface: request.home(vip).to_owned(),
        vip,
    }];
    match (vip, request.arp) {
        (IpAddr::V6(_), _) => pieces.push(Piece::Silent { vip }),
        (IpAddr::V4(_), ArpMode::Sysctl) => {
            pieces.push(Piece::Silent { vip });
            pieces.extend([Key::ArpIgnore, Key::ArpAnnounce].map(|key| Piece::Setting { key }));
        }
        (IpAddr::V4(vip), ArpMode::Nftables) => {
            pieces.push(Piece::ArpRule(ArpRule::Ignore { vip }));
            // Without an own address the request is refused, and status misses the address.
            if let Some(own) = facts.own_address(request) {
                pieces.push(Piece::ArpRule(ArpRule::Mask { vip, own }));
            }
        }
    }
    if method == Method::Tunnel {
        pieces.extend([Piece::Decapsulator, Piece::Decapsulates { vip }]);
        if vip.is_ipv4() {
            pieces.push(Piece::Setting { key: Key::RpFilter });
        }
    }
    pieces
}

/// True for a value with which the kernel does what a real server needs.
pub(crate) fn is_fit(key: Key, value: u8) -> bool {
    match key {
        // 1 and 2 answer for addresses of the receiving interface alone, 8 not at all; 3 would
        // answer for a global address on `lo`, and 4 to 7 mean nothing.
        Key::ArpIgnore => matches!(value, 1 | 2 | 8),
        Key::ArpAnnounce => value == 2,
        // 1 checks that replies leave by the interface that the packet came in by.
        Key::RpFilter => value != 1,
    }
}

impl Piece {
    /// A short name, for tables and programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Piece::Address { .. } => "address",
            Piece::Silent { .. } => "silent",
            Piece::Setting { key } => match key {
                Key::ArpIgnore => "arp_ignore",
                Key::ArpAnnounce => "arp_announce",
                Key::RpFilter => "rp_filter",
            },
            Piece::ArpRule(ArpRule::Ignore { .. }) => "arp_drop",
            Piece::ArpRule(ArpRule::Mask { .. }) => "arp_mask",
            Piece::Decapsulator => "decapsulator",
            Piece::Decapsulates { .. } => "decapsulates",
        }
    }

    /// How it is in the live system.
    pub(crate) fn examine(&self, request: &Request, facts: &Facts) -> Finding {
        match self {
            Piece::Address { interface, vip } => {
                let prefix = prefix(*vip);
                // On `lo`, a shorter prefix would make a whole subnet local.
                let exactly = (interface == "lo").then_some(prefix);
                let in_place = facts.has(interface, *vip, exactly);
                found(
                    in_place,
                    format!("{vip}/{prefix}"),
                    &format!("on {interface}"),
                )
            }
            Piece::Silent { vip } => match facts.owners(*vip).next() {
                None => finding(true, "no other interface has the address"),
                Some(owner) => finding(
                    false,
                    &format!("{owner} has the address and answers for it"),
                ),
            },
            Piece::Setting { key } => match effective(&facts.settings, *key, &request.interface) {
                Some(value) => finding(is_fit(*key, value), &format!("effective value {value}")),
                None => finding(false, "cannot be read: no such interface"),
            },
            Piece::ArpRule(rule) => {
                let rules = facts.arp_rules.as_deref().unwrap_or_default();
                found(
                    rules.contains(rule),
                    rule.to_string(),
                    "in the nftables table",
                )
            }
            Piece::Decapsulator => decapsulator(request, facts),
            Piece::Decapsulates { vip } => {
                let known = facts.decapsulator.as_ref();
                let in_place = known.is_some_and(|program| program.vips.contains(vip));
                found(in_place, vip.to_string(), "among the VIPs of the program")
            }
        }
    }
}

fn decapsulator(request: &Request, facts: &Facts) -> Finding {
    let interface = &request.interface;
    let attached = facts.interface.as_ref().and_then(|found| found.xdp);
    match attached {
        Some(attached) if facts.decapsulates() => {
            let mode = if attached.native {
                "native mode"
            } else {
                "generic mode, which is slower"
            };
            finding(true, &format!("on {interface} in {mode}"))
        }
        Some(attached) => finding(
            false,
            &format!(
                "another XDP program (id {}) is on {interface}",
                attached.program
            ),
        ),
        None => finding(false, &format!("not on {interface}")),
    }
}

fn found(in_place: bool, what: String, place: &str) -> Finding {
    let not = if in_place { "" } else { "not " };
    Finding {
        in_place,
        detail: format!("{what} is {not}{place}"),
    }
}

fn finding(in_place: bool, detail: &str) -> Finding {
    Finding {
        in_place,
        detail: detail.to_owned(),
    }
}
