//! The answer of `status`: each piece of each VIP, judged by the live system.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use crate::facts::{Counts, Facts};
use crate::piece::pieces;
use crate::request::{ArpMode, Method, Request};

/// Whether a machine is a real server of some VIPs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Everything is as it must be.
    pub in_place: bool,
    /// The interface.
    pub interface: String,
    /// How ARP is silenced.
    pub arp: ArpMode,
    /// The VIPs, in order.
    pub vips: Vec<VipStatus>,
    /// Counters of the decapsulating program, if it is there.
    pub tunnel: Option<Counts>,
}

/// One VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VipStatus {
    /// The VIP.
    pub vip: IpAddr,
    /// How packets for it come.
    pub method: Method,
    /// All of its pieces are in place.
    pub in_place: bool,
    /// Its pieces.
    pub pieces: Vec<PieceStatus>,
}

/// One piece of a VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PieceStatus {
    /// Its short name, e.g. `address`, `arp_ignore`, `decapsulator`.
    pub name: &'static str,
    /// It is as it must be.
    pub in_place: bool,
    /// What was found.
    pub detail: String,
}

/// Judges a request by what the live system looks like. A request without VIPs is not in place.
pub fn status(request: &Request, facts: &Facts) -> Status {
    let vips: Vec<VipStatus> = request
        .vips
        .iter()
        .map(|(vip, method)| of_vip(*vip, *method, request, facts))
        .collect();
    Status {
        in_place: !vips.is_empty() && vips.iter().all(|vip| vip.in_place),
        interface: request.interface.clone(),
        arp: request.arp,
        vips,
        tunnel: facts.decapsulator.as_ref().map(|program| program.counts),
    }
}

fn of_vip(vip: IpAddr, method: Method, request: &Request, facts: &Facts) -> VipStatus {
    let pieces: Vec<PieceStatus> = pieces(vip, method, request, facts)
        .iter()
        .map(|piece| {
            let finding = piece.examine(request, facts);
            PieceStatus {
                name: piece.name(),
                in_place: finding.in_place,
                detail: finding.detail,
            }
        })
        .collect();
    VipStatus {
        vip,
        method,
        in_place: pieces.iter().all(|piece| piece.in_place),
        pieces,
    }
}

impl Status {
    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = format!("real server on {}, --arp {}\n", self.interface, self.arp);
        for vip in &self.vips {
            let verdict = if vip.in_place {
                "in place"
            } else {
                "NOT in place"
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} ({}): {verdict}", vip.vip, vip.method);
            for piece in &vip.pieces {
                let mark = if piece.in_place { "ok     " } else { "MISSING" };
                let _ = writeln!(text, "  {mark} {:<13} {}", piece.name, piece.detail);
            }
        }
        if let Some(counts) = self.tunnel {
            let _ = writeln!(
                text,
                "tunnel: {} packets unwrapped, {} passed, {} refused (for none of the VIPs), \
                 {} corrupt, {} dropped for congestion",
                counts.decapsulated,
                counts.passed,
                counts.refused,
                counts.corrupt,
                counts.congested
            );
        }
        text
    }
}
