//! What the live system looks like, as far as a real server cares.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use caribe_network::{AssignedAddress, Interface};

use crate::arp_rules::ArpRule;
use crate::request::Request;
use crate::setting::Settings;

/// A picture of the system at one moment; everything is judged and planned from it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The interface of the request; `None` when there is none of that name.
    pub interface: Option<Interface>,
    /// The addresses of every interface, by its name, in the kernel's order.
    pub addresses: BTreeMap<String, Vec<AssignedAddress>>,
    /// Every gateway of the routing table.
    pub gateways: BTreeSet<IpAddr>,
    /// The settings of the interface and of all.
    pub settings: Settings,
    /// Our nftables table; `None` when there is none.
    pub arp_rules: Option<Vec<ArpRule>>,
    /// Our decapsulating program; `None` when it is not pinned.
    pub decapsulator: Option<Decapsulator>,
    /// Where a director's data plane is pinned; `None` when this machine is no director.
    pub director: Option<PathBuf>,
}

/// The pinned decapsulating program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decapsulator {
    /// The kernel's id of the program.
    pub program: u32,
    /// The VIPs whose packets it unwraps.
    pub vips: BTreeSet<IpAddr>,
    /// Its counters.
    pub counts: Counts,
}

/// What the decapsulating program did since it was attached, in packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Unwrapped.
    pub decapsulated: u64,
    /// No tunnel's packets: passed untouched.
    pub passed: u64,
    /// A tunnel's, but for none of the VIPs: passed to the stack untouched.
    pub refused: u64,
    /// For a VIP, with a wrong checksum in the tunnel's own header: dropped.
    pub corrupt: u64,
    /// For a VIP, marked for congestion on its way though the packet inside takes no part in
    /// that: dropped (RFC 6040).
    pub congested: u64,
}

impl Facts {
    /// The first IPv4 address of the interface that is none of the VIPs: what the machine calls
    /// itself there.
    pub(crate) fn own_address(&self, request: &Request) -> Option<Ipv4Addr> {
        let vips = &request.vips;
        self.addresses
            .get(&request.interface)?
            .iter()
            .find_map(|assigned| match assigned.address {
                IpAddr::V4(address) if !vips.contains_key(&assigned.address) => Some(address),
                _ => None,
            })
    }

    /// True when an interface has an address, with that prefix length if one is given.
    pub(crate) fn has(&self, interface: &str, address: IpAddr, prefix: Option<u8>) -> bool {
        self.addresses.get(interface).is_some_and(|all| {
            all.iter().any(|assigned| {
                assigned.address == address
                    && prefix.is_none_or(|prefix| prefix == assigned.prefix)
                    && !assigned.unusable
            })
        })
    }

    /// The interfaces other than `lo` that have an address.
    pub(crate) fn owners(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        self.addresses
            .keys()
            .map(String::as_str)
            .filter(move |interface| *interface != "lo" && self.has(interface, address, None))
    }

    /// True when our program is the one on the interface.
    pub(crate) fn decapsulates(&self) -> bool {
        let attached = self.interface.as_ref().and_then(|interface| interface.xdp);
        match (attached, &self.decapsulator) {
            (Some(attached), Some(ours)) => attached.program == ours.program,
            _ => false,
        }
    }
}
