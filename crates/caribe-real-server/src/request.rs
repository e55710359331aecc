//! What an administrator asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How packets for the VIPs come from the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Direct routing: as they are, in a frame to this machine.
    Direct,
    /// Tunnelling: inside another IP packet to this machine.
    Tunnel,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::Direct => "direct",
            Method::Tunnel => "tunnel",
        })
    }
}

/// How the machine is kept from answering ARP requests for an IPv4 VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ArpMode {
    /// The VIP is on `lo`, and the sysctls `arp_ignore` and `arp_announce` are raised.
    Sysctl,
    /// The VIP is on the interface itself, and an nftables table of family arp drops requests
    /// for it and hides it as a sender, as the arptables rules of Piranha's guides do.
    Nftables,
}

impl fmt::Display for ArpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ArpMode::Sysctl => "sysctl",
            ArpMode::Nftables => "nftables",
        })
    }
}

/// Everything that makes a machine a real server of some VIPs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The VIPs, of both families, and how packets for each come.
    pub vips: BTreeMap<IpAddr, Method>,
    /// The interface that the director's packets come in by.
    pub interface: String,
    /// How ARP is silenced.
    pub arp: ArpMode,
}

impl Request {
    /// The interface that a VIP belongs on. Linux answers a neighbour solicitation only on the
    /// interface that has the address, so an IPv6 VIP is silent on `lo` by itself.
    pub fn home(&self, vip: IpAddr) -> &str {
        match (self.arp, vip) {
            (ArpMode::Nftables, IpAddr::V4(_)) => &self.interface,
            _ => "lo",
        }
    }
}

/// Prefix length of a VIP on its home: the address alone, so that no route comes with it.
pub(crate) fn prefix(vip: IpAddr) -> u8 {
    if vip.is_ipv4() { 32 } else { 128 }
}
